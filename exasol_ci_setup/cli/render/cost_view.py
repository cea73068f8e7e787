"""Text of a cost estimate: a table, the total, and what the total lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.render import show
from exasol_ci_setup.costs.model import HOURS_A_MONTH

if TYPE_CHECKING:
    from decimal import Decimal

    from exasol_ci_setup.core.costs import Cost, Line

HEADER: Final = ("Resource", "Billed by", "Unit price", "Units a month", "A month")


def lines(cost: Cost, *, width: int | None = None) -> list[str]:
    """Return the lines of an estimate, for a terminal with `width` columns; None for another output."""
    prices = f" ({cost.currency}, without taxes, discounts and free allowances)" if cost.currency else ""
    lines = [click.style(f"Cost of stack {show.clean(cost.stack_name)} in {cost.region}{prices}", bold=True)]
    if cost.lines:
        lines += ["", *show.table(tuple(map(str.upper, HEADER)), rows(cost), width=width)]
    lines += ["", click.style(total(cost), bold=True)]
    if cost.free:
        one = len(cost.free) == 1
        lines.append(
            f"{len(cost.free)} {'resource costs' if one else 'resources cost'} nothing {'itself' if one else 'themselves'}"
        )
    lines += [f"unknown cost: {show.clean(each.logical_id)} ({show.clean(each.type)})" for each in cost.unknown]
    if cost.calculator_url:
        lines.append(f"AWS's calculator: {show.clean(cost.calculator_url)}")
    return lines


def rows(cost: Cost) -> list[tuple[str, ...]]:
    """Return the charges as rows of a table with the header `HEADER`."""
    return [(line.logical_id, line.what, _unit_price(line), _quantity(line), _amount(line)) for line in cost.lines]


def _decimal(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _unit_price(line: Line) -> str:
    unit = f"{line.per:,} {line.unit}" if line.per > 1 else line.unit
    if line.unit_price is None:
        return "price not found" if line.price == "not-found" else f"per {unit}"
    tier = ", first tier" if line.tiered else ""
    above = f", above {line.above:,f}" if line.above else ""
    return f"{_decimal(line.unit_price)} per {unit}{above}{tier}"


def _quantity(line: Line) -> str:
    if line.basis == "use":
        return ""
    return "unknown" if line.quantity is None else _decimal(line.quantity)


def _amount(line: Line) -> str:
    if line.basis == "use":
        return "by use"
    return "unknown" if line.amount is None else f"{line.amount:.2f}"


def total(cost: Cost) -> str:
    """Return the sum of the known amounts, and what it lacks."""
    running = [line for line in cost.lines if line.basis == "always"]
    period = f"a month for resources that run all the time ({HOURS_A_MONTH} hours)"
    if cost.total is None:
        return f"no total: found no price of resources that run all the time ({HOURS_A_MONTH} hours a month)"
    amount = " ".join(part for part in (f"{cost.total:.2f}", cost.currency) if part)
    missing = sum(line.amount is None for line in running)
    if missing:
        return f"{amount} {period}, without {missing} of {len(running)} amounts: the total is incomplete"
    if not cost.complete:
        return f"{amount} {period}, without unknown costs: the total is incomplete"
    if running:
        return f"{amount} {period}, plus costs by use"
    return "no resource runs all the time: all costs depend on use" if cost.lines else "no resource is billed"
