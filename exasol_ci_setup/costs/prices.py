"""Query the AWS price list, once for each rate."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import Account, ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import AccessDeniedError, AwsUnavailableError, CredentialsInvalidError
from exasol_ci_setup.costs.model import Price

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exasol_ci_setup.costs.model import Rate

# The nearest endpoint, by first part of a region's name, for continents without an endpoint.
_NEAREST: Final = {"af": "eu", "il": "eu", "me": "eu", "ca": "us", "mx": "us", "sa": "us"}
# A usage type begins with the region: `EUC1-`, `EU-` for Ireland, nothing for some services in us-east-1, `eu-central-1-`
# for KMS. `Global-` is the free tier, and other prefixes belong to other products.
_REGION_PREFIX: Final = r"(?:EU-|[A-Z]{2,4}[0-9]{1,2}-|[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}-)?"
# The price list has no such service or attribute, as for some services in China.
_NOT_LISTED: Final = {"InvalidParameterException", "NotFoundException"}


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by rate in `found`, None if the price list has no price. A rate that is not in `found` was not requested.

    `refusal` is the reason for rates that were not requested, and empty if all were requested.
    """

    found: dict[Rate, Price | None] = field(default_factory=dict)
    refusal: str = ""


def look_up(account: Account, rates: Iterable[Rate]) -> Prices:
    """Return the prices of `rates` in the region of `account`.

    If the price list is unavailable, the result has a `refusal`. Raises CredentialsInvalidError for invalid credentials only.
    """
    region = endpoint_region(account)
    if region is None:
        return Prices(refusal=f"AWS has no price list in the partition of {account.region}")
    # A short timeout: prices are not worth minutes of waiting in a network that blocks the endpoint.
    client = Account(account.session, region, account.endpoint_url).client("pricing", long_retries=False)
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
                    if error_code(error) not in _NOT_LISTED:
                        raise
                    products = []
        except CredentialsInvalidError:
            raise
        except AwsUnavailableError as error:
            return Prices(found, _refusal(account, error))
        found[rate] = price_of(rate, products)
    return Prices(found)


def endpoint_region(account: Account) -> str | None:
    """Return the nearest region with a price list in the account's partition, or None.

    Each price list has the prices of all regions: https://docs.aws.amazon.com/general/latest/gr/billing.html.
    """
    with translate_aws_errors():
        partition = account.session.get_partition_for_region(account.region)
        regions = account.session.get_available_regions("pricing", partition_name=partition)
    continent = account.region.partition("-")[0]
    near = f"{_NEAREST.get(continent, continent)}-"
    return next((region for region in regions if region.startswith(near)), regions[0] if regions else None)


def price_of(rate: Rate, products: Iterable[str]) -> Price | None:
    """Return the price for `rate` from `products`, the JSON items of GetProducts.

    None if no price or more than one price matches.
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
    """Return the price of a product in its first non-free tier; None without exactly one offer and currency."""
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


def _refusal(account: Account, error: AwsUnavailableError) -> str:
    if isinstance(error, AccessDeniedError):
        return f"{error.message}; the permission is pricing:GetProducts"
    if account.endpoint_url:
        return "the endpoint in use does not have AWS's price list"
    return error.message
