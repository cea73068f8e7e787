"""Asks AWS's price list: one question for each kind of price."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import Account, ClientError, error_code, translate_aws_errors
from exasol_ci_setup.costs.model import Price
from exasol_ci_setup.errors import AccessDenied, AwsUnavailable, CredentialsInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exasol_ci_setup.costs.model import Rate

# Whose endpoint is the nearest, by the first part of a region's name, where that has none itself.
_NEAREST: Final = {"af": "eu", "il": "eu", "me": "eu", "ca": "us", "mx": "us", "sa": "us"}
# Before a usage type stands the region: `EUC1-`, `EU-` for Ireland, nothing for some services in us-east-1, `eu-central-1-`
# for KMS. `Global-` is what AWS gives for nothing, and any other word is another product.
_REGION_PREFIX: Final = r"(?:EU-|[A-Z]{2,4}[0-9]{1,2}-|[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}-)?"
# The price list lacks the service or the attribute, as it does some in China.
_UNKNOWN_TO_IT: Final = {"InvalidParameterException", "NotFoundException"}


@dataclass(frozen=True, slots=True)
class Prices:
    """What the price list says: a price, or None where it has none. A rate that is not in `found` was not asked for.

    `refusal` says why, and is empty if all were.
    """

    found: dict[Rate, Price | None] = field(default_factory=dict)
    refusal: str = ""


def look_up(account: Account, rates: Iterable[Rate]) -> Prices:
    """Return the prices of `rates` in the region of `account`.

    That the price list cannot be used is no error but the `refusal`; only credentials that do not work raise CredentialsInvalid.
    """
    region = endpoint_region(account)
    if region is None:
        return Prices(refusal=f"AWS has no price list in the partition of {account.region}")
    # It gives up sooner than others: what it would tell is not worth minutes where a network keeps it away.
    client = Account(account.session, region, account.endpoint_url).client("pricing", patient=False)
    found: dict[Rate, Price | None] = {}
    for rate in dict.fromkeys(rates):
        filters = {rate.region_field: account.region, **dict(rate.filters)}
        try:
            with translate_aws_errors():
                try:
                    pages = client.get_paginator("get_products").paginate(
                        ServiceCode=rate.service,
                        Filters=[
                            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()
                        ],
                        FormatVersion="aws_v1",
                    )
                    products = [item for page in pages for item in page["PriceList"]]
                except ClientError as error:
                    if error_code(error) not in _UNKNOWN_TO_IT:
                        raise
                    products = []
        except CredentialsInvalid:
            raise
        except AwsUnavailable as error:
            return Prices(found, _refusal(account, error))
        found[rate] = price_of(rate, products)
    return Prices(found)


def endpoint_region(account: Account) -> str | None:
    """Return the region whose price list is the nearest one of the account's partition, or None if that has none.

    Each tells the prices of all regions: https://docs.aws.amazon.com/general/latest/gr/billing.html.
    """
    with translate_aws_errors():
        partition = account.session.get_partition_for_region(account.region)
        regions = account.session.get_available_regions("pricing", partition_name=partition)
    continent = account.region.partition("-")[0]
    near = f"{_NEAREST.get(continent, continent)}-"
    return next((region for region in regions if region.startswith(near)), regions[0] if regions else None)


def price_of(rate: Rate, products: Iterable[str]) -> Price | None:
    """Return the one price that `products`, items of GetProducts in JSON, have for `rate`.

    None if there is none, or several that differ: which of them counts is then not known.
    """
    usage = re.compile(_REGION_PREFIX + re.escape(rate.usage))
    parsed = [json.loads(text) for text in products]
    offered = [
        list(item["terms"]["OnDemand"].values())
        for item in parsed
        if usage.fullmatch(item["product"]["attributes"].get("usagetype", "")) and "OnDemand" in item["terms"]
    ]
    prices = {_price(offers) for offers in offered}
    return prices.pop() if len(prices) == 1 else None


def _price(offers: list[dict[str, Any]]) -> Price | None:
    """Return the price of a product: of its first tier that costs something. None unless there is one offer in one currency."""
    if len(offers) != 1:
        return None
    tiers = sorted(
        (Decimal(tier.get("beginRange", "0")), currency, Decimal(amount))
        for tier in offers[0]["priceDimensions"].values()
        for currency, amount in tier["pricePerUnit"].items()
    )
    if len({currency for _, currency, _ in tiers}) != 1:
        return None
    paid = [tier for tier in tiers if tier[2]]
    above, currency, amount = (paid or tiers)[0]
    return Price(amount, currency, above, tiered=len(paid) > 1)


def _refusal(account: Account, error: AwsUnavailable) -> str:
    if isinstance(error, AccessDenied):
        return f"{error.message}; the permission is pricing:GetProducts"
    if account.endpoint_url:
        return "the endpoint in use does not have AWS's price list"
    return error.message
