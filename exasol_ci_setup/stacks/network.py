"""Determine the VPC and subnets of a stack: the given ones, or the default ones of the account and region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct

_HINT: Final = "set the VPC and its subnets (--vpc-id and --subnet-id, or vpc_id= and subnet_ids= of the scope)"


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
            subnet_ids = _default_subnets(account, vpc_id)
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


def _default_subnets(account: Account, vpc_id: str) -> tuple[str, ...]:
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "default-for-az", "Values": ["true"]}]
    with translate_aws_errors():
        pages = account.client("ec2").get_paginator("describe_subnets").paginate(Filters=filters)  # type: ignore[arg-type] # a list of such dictionaries
        subnets = [subnet for page in pages for subnet in page["Subnets"]]
    if not subnets:
        raise InputError(f"VPC {vpc_id}, the default one in {account.region}, has no default subnets", hint=_HINT)
    # Sorted, so that the next deployment has the same value of the parameter.
    return tuple(subnet["SubnetId"] for subnet in sorted(subnets, key=lambda each: each["AvailabilityZone"]))
