"""Combine the charges of resources with prices to a cost estimate."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.costs import Cost, Line, Resource
from exasol_ci_setup.costs.billing import charges
from exasol_ci_setup.costs.prices import Prices
from exasol_ci_setup.template.intrinsics import as_mapping, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from exasol_ci_setup.costs.model import Charge, Rate

_CENT: Final = Decimal("0.01")


def estimate(
    stack_name: str,
    region: str,
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    look_up: Callable[[Iterable[Rate]], Prices],
) -> Cost:
    """Return the cost of the parsed `template` with `parameters` in `region`.

    Calls `look_up` once, for all rates. Raises the errors of `look_up`.
    """
    resources = as_mapping(resolve(template, {**parameters, "AWS::Region": region}).get("Resources"))
    billed: list[tuple[Resource, Charge]] = []
    free: list[Resource] = []
    unknown: list[Resource] = []
    for logical_id, each in resources.items():
        resource = Resource(logical_id, str(as_mapping(each).get("Type", "")))
        billable = charges(as_mapping(each), resources)
        if billable is None:
            unknown.append(resource)
        elif billable:
            billed += [(resource, charge) for charge in billable]
        else:
            free.append(resource)
    rates = dict.fromkeys(charge.rate for _, charge in billed)
    prices = look_up(rates) if rates else Prices()
    lines = tuple(_line(resource, charge, prices) for resource, charge in billed)
    running = [line for line in lines if line.basis == "always"]
    amounts = [line.amount for line in running if line.amount is not None]
    currencies = {price.currency for price in prices.found.values() if price is not None}
    return Cost(
        stack_name=stack_name,
        region=region,
        currency=" and ".join(sorted(currencies)),
        lines=lines,
        # Amounts in different currencies cannot be added.
        total=sum(amounts, Decimal(0)) if (amounts or not running) and len(currencies) <= 1 else None,
        complete=len(amounts) == len(running) and not unknown,
        free=tuple(free),
        unknown=tuple(unknown),
        notes=(f"prices are missing: {prices.refusal}",) if prices.refusal else (),
    )


def _line(resource: Resource, charge: Charge, prices: Prices) -> Line:
    price = prices.found.get(charge.rate)
    amount = None
    if price is not None and charge.runs and charge.quantity is not None:
        # Round each line, so that the total is the sum of the lines.
        amount = (price.amount * charge.quantity).quantize(_CENT, ROUND_HALF_UP)
    is_requested = charge.rate in prices.found
    return Line(
        logical_id=resource.logical_id,
        type=resource.type,
        what=charge.what,
        basis="always" if charge.runs else "use",
        price="found" if price is not None else "not-found" if is_requested else "not-asked",
        unit=charge.unit,
        per=charge.per,
        unit_price=None if price is None else price.amount * charge.per,
        above=None if price is None else price.above,
        tiered=price is not None and price.tiered,
        quantity=charge.quantity,
        amount=amount,
    )
