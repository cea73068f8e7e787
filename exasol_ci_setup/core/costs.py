"""The estimate of the monthly cost of a stack, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """A charge of a resource with its price.

    `basis` is ``always`` if the resource runs all the time, and ``use`` if the charge depends on usage. `unit_price` is the price of
    `per` units. `price` is ``found``, ``not-found``, or ``not-asked`` if the price list was unavailable. `quantity` is in units per
    month. `amount` is per month in the currency of the estimate, rounded to cents. Both are None if unknown.
    """

    logical_id: str
    type: str
    what: str
    basis: Literal["always", "use"]
    price: Literal["found", "not-found", "not-asked"]
    unit: str
    per: int
    unit_price: Decimal | None
    above: Decimal | None
    tiered: bool
    quantity: Decimal | None
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the template, by name and type."""

    logical_id: str
    type: str


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a template for a month of 730 hours.

    `total` is the sum of all known amounts of resources that run all the time, and None if no amount is known. If `complete`, no amount
    is missing. Resources in `free` have no charges; the charges of those in `unknown` are not known. `currency` and `calculator_url` are
    empty if unknown. `notes` are the reasons for missing values.
    """

    stack_name: str
    region: str
    currency: str
    lines: tuple[Line, ...]
    total: Decimal | None
    complete: bool
    free: tuple[Resource, ...] = ()
    unknown: tuple[Resource, ...] = ()
    calculator_url: str = ""
    notes: tuple[str, ...] = ()
