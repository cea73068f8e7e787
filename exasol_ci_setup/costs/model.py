"""Rates, charges and prices of resources."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

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
