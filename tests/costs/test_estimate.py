"""Cost estimates: amounts, total, and missing values."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.costs.estimate import estimate
from exasol_ci_setup.costs.model import Price
from exasol_ci_setup.costs.prices import Prices
from tests.costs.price_list import found_in_frankfurt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exasol_ci_setup.core.costs import Cost
    from exasol_ci_setup.costs.model import Rate

MACHINE = {
    "Type": "AWS::EC2::Instance",
    "Properties": {
        "InstanceType": {"Ref": "Kind"},
        "BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp3", "VolumeSize": {"Ref": "Size"}}}],
        "CreditSpecification": {"CPUCredits": "standard"},
    },
}
TEMPLATE: dict[str, Any] = {
    "Parameters": {"Kind": {"Type": "String", "Default": "t3.micro"}, "Size": {"Type": "Number", "Default": 16}},
    "Conditions": {"Never": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}},
    "Resources": {
        "Machine": MACHINE,
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Role": {"Type": "AWS::IAM::Role"},
        "Elsewhere": {"Type": "AWS::SecretsManager::Secret", "Condition": "Never"},
    },
}


def of(template: dict[str, Any], look_up=found_in_frankfurt, **parameters: str) -> Cost:
    return estimate("box", "eu-central-1", template, parameters, look_up)


def test_total_is_sum_of_running_charges():
    cost = of(TEMPLATE)

    amounts = {line.what: line.amount for line in cost.lines if line.basis == "always"}
    assert amounts == {"t3.micro with Linux": Decimal("8.76"), "gp3 disk": Decimal("1.52")}
    assert cost.total == Decimal("10.28")
    assert cost.complete
    assert cost.currency == "USD"
    assert cost.notes == ()


def test_usage_charge_has_unit_price_without_amount():
    lines = {line.what: line for line in of(TEMPLATE).lines if line.basis == "use"}

    assert {line.amount for line in lines.values()} == {line.quantity for line in lines.values()} == {None}
    assert lines["objects"].unit_price == Decimal("0.0245")
    assert lines["objects"].tiered
    assert lines["writing and listing objects"].unit_price == Decimal("0.0054")
    assert lines["writing and listing objects"].per == 1000


def test_parameters_set_counts_and_sizes():
    cost = of(TEMPLATE, Size="100")

    assert [line.quantity for line in cost.lines if line.what == "gp3 disk"] == [Decimal(100)]


def test_resource_excluded_by_condition_is_omitted():
    cost = of(TEMPLATE)

    assert {line.logical_id for line in cost.lines} == {"Machine", "Bucket"}
    assert [each.logical_id for each in cost.free] == ["Role"]


def test_missing_price_makes_total_incomplete():
    cost = of(TEMPLATE, Kind="x9.huge")

    machine = cost.lines[0]
    assert (machine.price, machine.unit_price, machine.amount) == ("not-found", None, None)
    assert cost.total == Decimal("1.52")
    assert not cost.complete


def test_missing_quantity_makes_total_incomplete():
    service = {
        "Type": "AWS::ECS::Service",
        "Properties": {"LaunchType": "FARGATE", "TaskDefinition": {"Ref": "Task"}, "DesiredCount": {"Ref": "Count"}},
    }
    task = {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "256", "Memory": "512"}}
    cost = of({"Resources": {"Service": service, "Task": task, "Secret": {"Type": "AWS::SecretsManager::Secret"}}})

    assert [line.amount for line in cost.lines if line.logical_id == "Service"] == [None, None]
    assert cost.total == Decimal("0.40")
    assert not cost.complete


def test_unknown_type_makes_total_incomplete():
    cost = of({"Resources": {"Db": {"Type": "AWS::RDS::DBInstance"}, "Role": {"Type": "AWS::IAM::Role"}}})

    assert [(each.logical_id, each.type) for each in cost.unknown] == [("Db", "AWS::RDS::DBInstance")]
    assert [each.logical_id for each in cost.free] == ["Role"]
    assert not cost.complete


def test_no_prices_give_note_without_total():
    cost = of(TEMPLATE, lambda _rates: Prices(refusal="access denied"))

    assert cost.total is None
    assert not cost.complete
    assert {line.price for line in cost.lines} == {"not-asked"}
    assert cost.notes == ("prices are missing: access denied",)


def test_usage_charges_alone_give_zero_total():
    cost = of({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}})

    assert (cost.total, cost.complete) == (Decimal(0), True)


def test_different_currencies_give_no_total():
    currencies = iter(["USD", "CNY", *["USD"] * 9])
    cost = of(TEMPLATE, lambda rates: Prices({rate: Price(Decimal(1), next(currencies)) for rate in rates}))

    assert cost.total is None


def test_each_rate_is_requested_once():
    asked: list[list[Rate]] = []

    def look_up(rates: Iterable[Rate]) -> Prices:
        asked.append(list(rates))
        return Prices()

    twice = {"One": {"Type": "AWS::S3::Bucket"}, "Two": {"Type": "AWS::S3::Bucket"}}
    of({"Resources": twice}, look_up)
    of({"Resources": {"Role": {"Type": "AWS::IAM::Role"}}}, look_up)

    assert [len(rates) for rates in asked] == [3]
