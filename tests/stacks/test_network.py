"""The VPC and subnets of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup.constructs import (
    Cluster,
    Container,
    Instance,
    LoadBalancer,
    Registry,
    Scope,
    SecurityGroup,
    Service,
)
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.stacks import network
from tests.answers import AwsError

if TYPE_CHECKING:
    from exasol_ci_setup.constructs import Construct
    from tests.answers import Answers

VPC, OTHER = "vpc-11111111", "vpc-22222222"
FIRST, SECOND = "subnet-11111111", "subnet-22222222"
GROUP = SecurityGroup(name="group")
CLUSTER = Cluster(name="cluster", services=(Service(name="web", container=Container(source="nginx", tag="1")),))
INSTANCE = Instance(name="box", instance_type="t3.micro", path_to_key="key")


def default_vpc(answers: Answers) -> None:
    answers.on("ec2", "DescribeVpcs", {"Vpcs": [{"VpcId": VPC}]})


def subnets(answers: Answers, *found: tuple[str, str, str]) -> None:
    listed = [
        {"SubnetId": subnet, "AvailabilityZone": zone, "AvailabilityZoneId": f"euc1-az{zone[-1]}", "VpcId": vpc}
        for subnet, zone, vpc in found
    ]
    answers.on("ec2", "DescribeSubnets", {"Subnets": listed})
    offered(answers, *(zone for _, zone, _ in found))


def offered(answers: Answers, *zones: str) -> None:
    found = [{"InstanceType": "t3.micro", "LocationType": "availability-zone", "Location": zone} for zone in zones]
    answers.on("ec2", "DescribeInstanceTypeOfferings", {"InstanceTypeOfferings": found})


def test_template_without_vpc_makes_no_call(answers: Answers):
    assert network.find(answers.account, Registry(name="images")) == {}
    assert answers.names() == []


def test_given_network_makes_no_call(answers: Answers):
    scope = Scope(region="eu-central-1", name="a", vpc_id=VPC, subnet_ids=(SECOND, FIRST))
    found = network.find(answers.account, CLUSTER.model_copy(update={"scope": scope}))
    assert found == {"VpcId": VPC, "SubnetIds": f"{SECOND},{FIRST}"}
    assert network.find(answers.account, GROUP.model_copy(update={"vpc_id": OTHER})) == {"VpcId": OTHER}
    assert answers.names() == []


def test_default_subnets_are_sorted_by_zone(answers: Answers):
    default_vpc(answers)
    subnets(answers, (SECOND, "eu-central-1b", VPC), (FIRST, "eu-central-1a", VPC))
    assert network.find(answers.account, CLUSTER) == {"VpcId": VPC, "SubnetIds": f"{FIRST},{SECOND}"}
    assert network.find(answers.account, INSTANCE) == {"VpcId": VPC, "SubnetId": FIRST}
    assert network.find(answers.account, GROUP) == {"VpcId": VPC}


def test_zone_without_instance_type_is_skipped(answers: Answers):
    default_vpc(answers)
    subnets(answers, (FIRST, "eu-central-1a", VPC), (SECOND, "eu-central-1b", VPC))
    offered(answers, "eu-central-1b")
    assert network.find(answers.account, INSTANCE)["SubnetId"] == SECOND


def test_type_in_no_zone_of_subnets_names_both(answers: Answers):
    default_vpc(answers)
    subnets(answers, (FIRST, "eu-central-1a", VPC))
    offered(answers, "eu-central-1c")
    with pytest.raises(InputError, match=r"type t3\.micro is available in eu-central-1c .* are in eu-central-1a"):
        network.find(answers.account, INSTANCE)


def test_denied_offerings_use_first_zone(answers: Answers):
    default_vpc(answers)
    subnets(answers, (FIRST, "eu-central-1a", VPC))
    answers.on("ec2", "DescribeInstanceTypeOfferings", AwsError("UnauthorizedOperation", status=403))
    assert network.find(answers.account, INSTANCE)["SubnetId"] == FIRST


@pytest.mark.parametrize("construct", [CLUSTER, LoadBalancer(name="front")])
def test_zone_without_fargate_is_skipped(construct: Construct, answers: Answers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(network._FARGATE_ZONES, "eu-central-1", frozenset({"euc1-aza"}))
    default_vpc(answers)
    subnets(answers, (FIRST, "eu-central-1a", VPC), (SECOND, "eu-central-1b", VPC))
    assert network.find(answers.account, construct)["SubnetIds"] == FIRST


def test_vpc_is_that_of_subnets(answers: Answers):
    subnets(answers, (FIRST, "eu-central-1a", OTHER))
    found = network.find(answers.account, INSTANCE.model_copy(update={"subnet_ids": (FIRST,)}))
    assert found == {"VpcId": OTHER, "SubnetId": FIRST}


def test_subnets_of_two_vpcs_are_refused(answers: Answers):
    subnets(answers, (FIRST, "eu-central-1a", VPC), (SECOND, "eu-central-1a", OTHER))
    with pytest.raises(InputError, match=f"are in several VPCs: {VPC}, {OTHER}"):
        network.find(answers.account, CLUSTER.model_copy(update={"subnet_ids": (FIRST, SECOND)}))


def test_vpc_without_subnets_is_rejected(answers: Answers):
    with pytest.raises(InputError, match=f"Cluster 'cluster' needs subnets of VPC {VPC}"):
        network.find(answers.account, CLUSTER.model_copy(update={"vpc_id": VPC}))


def test_region_without_default_vpc_names_options(answers: Answers):
    answers.on("ec2", "DescribeVpcs", {"Vpcs": []})
    with pytest.raises(InputError, match="has no default VPC") as caught:
        network.find(answers.account, GROUP)
    assert "--vpc-id" in caught.value.hint


def test_default_vpc_without_subnets_is_reported(answers: Answers):
    default_vpc(answers)
    subnets(answers)
    with pytest.raises(InputError, match=rf"VPC {VPC}, the default one in .* has no default subnets"):
        network.find(answers.account, CLUSTER)
