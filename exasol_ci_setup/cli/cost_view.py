"""How an estimate of costs reads: a table, the total, and what is not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli import show
from exasol_ci_setup.costs.model import HOURS_A_MONTH

if TYPE_CHECKING:
    from decimal import Decimal

    from exasol_ci_setup.costs.model import Cost, Line


def lines(cost: Cost) -> list[str]:
    """Return `cost` as lines."""
    prices = f" ({cost.currency}, without taxes, discounts and free allowances)" if cost.currency else ""
    found = [click.style(f"What stack {show.clean(cost.stack_name)} costs in {cost.region}{prices}", bold=True)]
    if cost.lines:
        rows = [(line.logical_id, line.what, _unit_price(line), _quantity(line), _amount(line)) for line in cost.lines]
        found += ["", *show.table(("RESOURCE", "BILLED BY", "UNIT PRICE", "UNITS A MONTH", "A MONTH"), rows)]
    found += ["", click.style(_total(cost), bold=True)]
    if cost.free:
        one = len(cost.free) == 1
        found.append(
            f"{len(cost.free)} {'resource costs' if one else 'resources cost'} nothing {'itself' if one else 'themselves'}"
        )
    found += [f"not known: what {show.clean(each.logical_id)} ({show.clean(each.type)}) costs" for each in cost.unknown]
    if cost.calculator_url:
        found.append(f"AWS's calculator: {show.clean(cost.calculator_url)}")
    return found


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _unit_price(line: Line) -> str:
    unit = f"{line.per:,} {line.unit}" if line.per > 1 else line.unit
    if line.unit_price is None:
        return "price not found" if line.price == "not-found" else f"per {unit}"
    tier = ", first tier" if line.tiered else ""
    above = f", above {line.above:,f}" if line.above else ""
    return f"{_plain(line.unit_price)} per {unit}{above}{tier}"


def _quantity(line: Line) -> str:
    if line.basis == "use":
        return ""
    return "not known" if line.quantity is None else _plain(line.quantity)


def _amount(line: Line) -> str:
    if line.basis == "use":
        return "by use"
    return "not known" if line.amount is None else f"{line.amount:.2f}"


def _total(cost: Cost) -> str:
    running = [line for line in cost.lines if line.basis == "always"]
    what = f"a month for what runs all the time ({HOURS_A_MONTH} hours)"
    if cost.total is None:
        return f"no total: no price was found of what runs all the time ({HOURS_A_MONTH} hours a month)"
    amount = " ".join(part for part in (f"{cost.total:.2f}", cost.currency) if part)
    missing = sum(line.amount is None for line in running)
    if missing:
        return f"{amount} {what}, without {missing} of {len(running)} amounts: the total is incomplete"
    if not cost.complete:
        return f"{amount} {what}, without what is not known: the total is incomplete"
    if running:
        return f"{amount} {what}; what depends on use comes on top"
    return "nothing runs all the time: all of it depends on use" if cost.lines else "nothing in it is billed"
