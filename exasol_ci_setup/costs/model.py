"""Data model of cost estimates: rates, charges, prices and the estimate."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

HOURS_A_MONTH: Final = 730
"""Hours of a month in the AWS calculator: https://aws.amazon.com/calculator/calculator-assumptions."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A kind of price in the AWS price list.

    `usage` is the usage type without the prefix of the region (``EUC1-``). `filters` are attributes that select the product.
    `region_field` is the name of the attribute with the region.
    """

    service: str
    usage: str
    filters: tuple[tuple[str, str], ...] = ()
    region_field: str = "regionCode"


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one unit, in the first non-free tier, which begins above `above` units per month.

    `tiered` is true if there are more tiers with other prices.
    """

    amount: Decimal
    currency: str
    above: Decimal = Decimal(0)
    tiered: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge of a resource.

    If the resource `runs` all the time, `quantity` is the number of units per month, or None if it is known only after deployment.
    Otherwise the charge depends on usage and has no quantity. Prices are shown for `per` units, because prices of single requests are too
    small to read.
    """

    what: str
    unit: str
    rate: Rate
    quantity: Decimal | None = None
    runs: bool = False
    per: int = 1


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
