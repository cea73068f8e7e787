"""What the costs of a template are told in: rates, charges, prices, and the estimate made of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

HOURS_A_MONTH: Final = 730
"""What AWS's own calculator takes for a month: https://aws.amazon.com/calculator/calculator-assumptions."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One kind of price in AWS's price list.

    `usage` is its usage type without the region's prefix (``EUC1-``), `filters` are attributes of the product that narrow
    the search, and `region_field` is the attribute that holds the region.
    """

    service: str
    usage: str
    filters: tuple[tuple[str, str], ...] = ()
    region_field: str = "regionCode"


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one unit: of the first tier that costs something, which begins above `above` units a month.

    `tiered` says that there are further tiers, with prices of their own.
    """

    amount: Decimal
    currency: str
    above: Decimal = Decimal(0)
    tiered: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    """One thing that a resource is billed by.

    If it `runs` all the time, `quantity` is how many units that is a month, or None if only a deployment decides it. Otherwise
    it depends on use and has no quantity. Prices are told for `per` units, as those of single requests are unreadably small.
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

    `basis` is ``always`` for what runs all the time, and ``use`` for what depends on use; `price` says whether `unit_price`, that
    of `per` units, was ``found``, ``not-found``, or ``not-asked`` since the price list could not be used. `quantity` is in units a
    month, `amount` in the estimate's currency a month, rounded to cents; both are None where they are not known.
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
    """What a template costs a month of 730 hours.

    `total` sums up what runs all the time, as far as that was found: only if `complete` it is all of it. It is None if nothing
    of it was found. `free` cost nothing themselves; of `unknown` it is not known whether they do. `currency` and
    `calculator_url` are empty where nobody told them; `notes` say why something is missing.
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
