"""Requests to the AWS price list, and prices in its replies."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exasol_ci_setup.aws.session import connect
from exasol_ci_setup.core.errors import CredentialsInvalidError
from exasol_ci_setup.costs import rates
from exasol_ci_setup.costs.model import Price
from exasol_ci_setup.costs.prices import endpoint_region, look_up, price_of
from tests.answers import Answers, AwsError, DroppedConnectionError
from tests.costs.price_list import FRANKFURT, flat, get_products, product


def filters(call) -> dict[str, str]:
    assert {each["Type"] for each in call["Filters"]} == {"TERM_MATCH"}
    return {each["Field"]: each["Value"] for each in call["Filters"]}


def test_price_matches_usage_type():
    by_cpu, by_memory = rates.fargate(arm=False)

    assert price_of(by_cpu, FRANKFURT["AmazonECS"]) == Price(Decimal("0.04656"), "USD")
    assert price_of(by_memory, FRANKFURT["AmazonECS"]) == Price(Decimal("0.00511"), "USD")
    assert price_of(rates.LOGS_INGESTED, FRANKFURT["AmazonCloudWatch"]) == Price(Decimal("0.63"), "USD")
    assert price_of(rates.PUBLIC_IPV4, FRANKFURT["AmazonVPC"]) == Price(Decimal("0.005"), "USD")


@pytest.mark.parametrize("prefix", ["", "EU-", "USE1-", "EUC1-", "us-gov-west-1-", "ap-southeast-2-"])
def test_region_prefix_of_usage_type_is_ignored(prefix):
    found = flat("AWSELB", f"{prefix}LoadBalancerUsage", "0.0225")

    assert price_of(rates.LOAD_BALANCER, [found]) == Price(Decimal("0.0225"), "USD")


@pytest.mark.parametrize("prefix", ["Global-", "TS-", "EUC1-TS-", "EUC1-Reserved-", "Outposts-"])
def test_other_prefix_of_usage_type_does_not_match(prefix):
    assert price_of(rates.LOAD_BALANCER, [flat("AWSELB", f"{prefix}LoadBalancerUsage", "0.0055")]) is None


def test_price_is_first_non_free_tier():
    assert price_of(rates.OBJECTS, FRANKFURT["AmazonS3"]) == Price(Decimal("0.0245"), "USD", tiered=True)
    assert price_of(rates.KEY_REQUESTS, FRANKFURT["awskms"]) == Price(Decimal("0.000003"), "USD", above=Decimal(20000))


def test_tiers_are_sorted_by_begin():
    shuffled = product("AmazonS3", "TimedStorage-ByteHrs", ("512000", "0.021"), ("51200", "0.022"), ("0", "0.023"))

    assert price_of(rates.OBJECTS, [shuffled]) == Price(Decimal("0.023"), "USD", tiered=True)


def test_free_product_has_zero_price():
    assert price_of(rates.IMAGES, [flat("AmazonECR", "TimedStorage-ByteHrs", "0.0")]) == Price(Decimal(0), "USD")


def test_different_prices_give_no_price():
    cheap, dear = (flat("AmazonECR", "EUC1-TimedStorage-ByteHrs", amount) for amount in ("0.10", "0.20"))

    assert price_of(rates.IMAGES, [cheap, dear]) is None
    assert price_of(rates.IMAGES, [cheap, cheap]) == Price(Decimal("0.10"), "USD")


def test_reserved_product_has_no_price():
    reserved = flat("AmazonECR", "TimedStorage-ByteHrs", "0.1").replace('"OnDemand"', '"Other"')

    assert price_of(rates.IMAGES, [reserved]) is None
    assert price_of(rates.IMAGES, [reserved, *FRANKFURT["AmazonECR"]]) == Price(Decimal("0.1"), "USD")


def test_price_in_china_is_in_cny():
    found = flat("AmazonECR", "CNN1-TimedStorage-ByteHrs", "0.7", currency="CNY")

    assert price_of(rates.IMAGES, [found]) == Price(Decimal("0.7"), "CNY")


def test_each_rate_is_one_request_for_region(answers):
    answers.on("pricing", "GetProducts", get_products)

    found = look_up(answers.account, [rates.IMAGES, rates.SECRET, rates.IMAGES])

    assert found.refusal == ""
    assert found.found == {rates.IMAGES: Price(Decimal("0.1"), "USD"), rates.SECRET: Price(Decimal("0.4"), "USD")}
    assert [call["ServiceCode"] for call in answers.of("GetProducts")] == ["AmazonECR", "AWSSecretsManager"]
    assert filters(answers.of("GetProducts")[0]) == {"regionCode": "eu-central-1"}


def test_instance_price_is_linux_with_shared_tenancy(answers):
    answers.on("pricing", "GetProducts", get_products)

    look_up(answers.account, [rates.instance("t3.micro"), rates.DATA_OUT])

    machine, data = map(filters, answers.of("GetProducts"))
    assert machine == {
        "regionCode": "eu-central-1",
        "instanceType": "t3.micro",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    assert data == {"fromRegionCode": "eu-central-1", "transferType": "AWS Outbound"}


def test_all_pages_are_read(answers):
    answers.on(
        "pricing",
        "GetProducts",
        [
            {"PriceList": [flat("AmazonECR", "Other", "1")], "NextToken": "more"},
            {"PriceList": FRANKFURT["AmazonECR"]},
        ],
    )

    assert look_up(answers.account, [rates.IMAGES]).found == {rates.IMAGES: Price(Decimal("0.1"), "USD")}


def test_unknown_service_gives_no_price_and_continues(answers):
    answers.on("pricing", "GetProducts", [AwsError("NotFoundException", "none"), {"PriceList": FRANKFURT["AmazonECR"]}])

    found = look_up(answers.account, [rates.SECRET, rates.IMAGES])

    assert found.refusal == ""
    assert found.found[rates.SECRET] is None
    assert found.found[rates.IMAGES] is not None


def test_missing_permission_is_named_and_stops_requests(answers):
    answers.on("pricing", "GetProducts", AwsError("AccessDeniedException", "not authorized"))

    found = look_up(answers.account, [rates.SECRET, rates.IMAGES])

    assert found.found == {}
    assert found.refusal == "AWS does not allow GetProducts: not authorized; the permission is pricing:GetProducts"
    assert len(answers.of("GetProducts")) == 1


def test_prices_before_outage_are_kept(answers):
    answers.on("pricing", "GetProducts", [{"PriceList": FRANKFURT["AmazonECR"]}, *[DroppedConnectionError()] * 3])

    found = look_up(answers.account, [rates.IMAGES, rates.SECRET])

    assert list(found.found) == [rates.IMAGES]
    assert found.refusal.startswith("AWS did not answer: ")
    # Two retries instead of nine, because prices are optional.
    assert len(answers.of("GetProducts")) == 4


def test_invalid_credentials_raise(answers):
    answers.on("pricing", "GetProducts", AwsError("UnrecognizedClientException", "invalid token"))

    with pytest.raises(CredentialsInvalidError):
        look_up(answers.account, [rates.IMAGES])


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("eu-central-1", "eu-central-1"),
        ("eu-west-3", "eu-central-1"),
        ("me-central-1", "eu-central-1"),
        ("us-west-2", "us-east-1"),
        ("sa-east-1", "us-east-1"),
        ("ca-central-1", "us-east-1"),
        ("ap-northeast-1", "ap-south-1"),
        ("cn-north-1", "cn-northwest-1"),
        ("us-gov-west-1", None),
    ],
)
def test_nearest_endpoint_of_partition_is_used(region, endpoint):
    assert endpoint_region(connect(region=region, access_key=("AKIDEXAMPLE", "dummy"))) == endpoint


def test_partition_without_price_list_gives_refusal(monkeypatch):
    answers = Answers(monkeypatch, region="us-gov-west-1")

    found = look_up(answers.account, [rates.IMAGES])

    assert found.refusal == "AWS has no price list in the partition of us-gov-west-1"
    assert answers.calls == []
