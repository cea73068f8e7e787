"""Determine the VPC and subnets of a stack: the given ones, or the default ones of the account and region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.compute import Instance
from exasol_ci_setup.core.errors import AccessDeniedError, InputError

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct

_HINT: Final = "set the VPC and its subnets (--vpc-id and --subnet-id, or vpc_id= and subnet_ids= of the scope)"

_FARGATE_ZONES: Final = {
    "ap-northeast-1": frozenset({"apne1-az1", "apne1-az2", "apne1-az4"}),
    "ca-central-1": frozenset({"cac1-az1", "cac1-az2"}),
    "cn-north-1": frozenset({"cnn1-az1", "cnn1-az2"}),
    "us-west-1": frozenset({"usw1-az1", "usw1-az3"}),
}
"""The IDs of the zones with Fargate in regions where some lack it:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate.html."""


def find(account: Account, construct: Construct) -> dict[str, str]:
    """Return the values for the `network_parameters` of `construct`; calls AWS only for missing ones.

    Raises InputError if there is no default either, and the errors of `translate_aws_errors`.
    """
    if not construct.network_parameters:
        return {}
    vpc_id, subnet_ids = construct.configured_network
    needs_subnets = construct.network_parameters != ("VpcId",)
    if vpc_id is None:
        vpc_id = _vpc_of(account, subnet_ids) if subnet_ids else _default_vpc(account)
        if not subnet_ids and needs_subnets:
            subnet_ids = _default_subnets(account, vpc_id, construct)
    elif needs_subnets and not subnet_ids:
        raise InputError(f"{construct.kind} {construct.label!r} needs subnets of VPC {vpc_id}", hint=_HINT)
    found = {"VpcId": vpc_id, "SubnetIds": ",".join(subnet_ids), "SubnetId": next(iter(subnet_ids), "")}
    return {name: found[name] for name in construct.network_parameters}


def _vpc_of(account: Account, subnet_ids: tuple[str, ...]) -> str:
    with translate_aws_errors():
        subnets = account.client("ec2").describe_subnets(SubnetIds=list(subnet_ids))["Subnets"]
    vpcs = sorted({subnet["VpcId"] for subnet in subnets})
    if len(vpcs) != 1:
        raise InputError(f"the subnets {', '.join(subnet_ids)} are in several VPCs: {', '.join(vpcs)}", hint=_HINT)
    return vpcs[0]


def _default_vpc(account: Account) -> str:
    with translate_aws_errors():
        vpcs = account.client("ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not vpcs:
        raise InputError(f"{account.region} has no default VPC", hint=_HINT)
    return vpcs[0]["VpcId"]


def _default_subnets(account: Account, vpc_id: str, construct: Construct) -> tuple[str, ...]:
    """Return the default subnets in the zones that can run the construct, sorted by zone."""
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "default-for-az", "Values": ["true"]}]
    with translate_aws_errors():
        pages = account.client("ec2").get_paginator("describe_subnets").paginate(Filters=filters)  # type: ignore[arg-type] # a list of such dictionaries
        subnets = [subnet for page in pages for subnet in page["Subnets"]]
    if not subnets:
        raise InputError(f"VPC {vpc_id}, the default one in {account.region}, has no default subnets", hint=_HINT)
    what, zones = _zones(account, construct)
    usable = [
        each for each in subnets if zones is None or {each["AvailabilityZone"], each.get("AvailabilityZoneId")} & zones
    ]
    if not usable:
        has = ", ".join(sorted(each["AvailabilityZone"] for each in subnets))
        raise InputError(
            f"{what} is available in {', '.join(sorted(zones or ())) or 'no zone'} of {account.region}, "
            f"but the default subnets are in {has}",
            hint=_HINT,
        )
    # Sorted, so that the next deployment has the same value of the parameter.
    return tuple(subnet["SubnetId"] for subnet in sorted(usable, key=lambda each: each["AvailabilityZone"]))


def _zones(account: Account, construct: Construct) -> tuple[str, frozenset[str] | None]:
    """Return what the construct runs on, and the names or IDs of the zones that have it; None for all zones."""
    if isinstance(construct, Instance):
        return f"instance type {construct.instance_type}", _zones_of_type(account, construct.instance_type)
    return "Fargate", _FARGATE_ZONES.get(account.region)


def _zones_of_type(account: Account, instance_type: str) -> frozenset[str] | None:
    """Return the names of the zones that have an instance type; None if the caller may not know them.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html.
    """
    try:
        with translate_aws_errors():
            pages = (
                account.client("ec2")
                .get_paginator("describe_instance_type_offerings")
                .paginate(
                    LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}]
                )
            )
            return frozenset(each["Location"] for page in pages for each in page["InstanceTypeOfferings"])
    except AccessDeniedError:
        # Without this permission, EC2 reports a zone without the type.
        return None
