"""Region, credentials and network of a program's stacks, under one name."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from exasol_ci_setup.constructs.policy import PolicyArn
from exasol_ci_setup.constructs.values import HashableDict, Items, Name, RoleArn, SubnetId, Tags, Value, VpcId, matching

Region = Annotated[str, matching(r"[a-z]{2,}(-[a-z]+)+-[0-9]+", "use the name of a region, such as eu-central-1")]


class Scope(Value):
    """Settings that the constructs of a program share.

    `name` is the prefix of the names of all its stacks. The roles in `role_assumptions` are assumed in this order, beginning with the
    credentials of `profile` (None: the default credentials of AWS), each with `external_id` if it is set. `vpc_id` and `subnet_ids` are the network of clusters, instances and
    security groups; the default is the default VPC. `api_key` and `endpoint` are accepted for compatibility with programs for a hosted
    service, and have no effect: everything runs locally.
    """

    known_first: ClassVar[frozenset[str]] = frozenset({"name", "region", "role_assumptions", "external_id", "profile"})

    region: Annotated[Region, Field(description="AWS region of the stacks, such as eu-central-1.")]
    name: Annotated[Name, Field(description="Prefix of the names of all stacks.")]
    role_assumptions: Annotated[Items[RoleArn], Field(description="ARNs of roles to assume, in this order.")] = ()
    external_id: Annotated[
        Annotated[str, matching(r"[A-Za-z0-9_+=,.@:/-]{2,1224}", "use 2 to 1224 letters, digits and _+=,.@:/-")] | None,
        Field(description="External ID that the roles require from another company. Default: none."),
    ] = None
    api_key: str | None = Field(default=None, repr=False, description="Accepted for compatibility, without effect.")
    endpoint: Annotated[str | None, Field(description="Accepted for compatibility, without effect.")] = None
    profile: Annotated[
        str | None, Field(description="Profile of the AWS configuration. Default: the AWS credential chain.")
    ] = None
    vpc_id: Annotated[
        VpcId | None,
        Field(description="The VPC of clusters, instances and security groups. Default: the region's default VPC."),
    ] = None
    subnet_ids: Annotated[
        Items[SubnetId], Field(description="Subnets of the VPC. Default: those of the default VPC.")
    ] = ()
    tags: Tags = Field(default_factory=HashableDict, description="Tags of all stacks, and of their resources.")
    permissions_boundary: Annotated[
        PolicyArn | None, Field(description="ARN of the policy that limits all roles of the stacks.")
    ] = None


HangarScope = Scope
