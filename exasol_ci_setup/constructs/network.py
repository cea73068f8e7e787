"""Security groups: the allowed incoming and outgoing traffic."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, model_validator

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.values import GroupId, Items, SubnetId, Value, VpcId, between, refusal

if TYPE_CHECKING:
    from typing_extensions import Self

_HIGHEST_PROTOCOL: Final = 255
_NUMBERS: Final = {"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
_ANY_PORT: Final = (-1, -1)


def _is_network(cidr: str) -> str:
    try:
        ipaddress.ip_network(cidr)
    except ValueError:
        raise refusal(
            "use a block of addresses, such as 10.0.0.0/8 or 2001:db8::/32, without bits set after its length"
        ) from None
    if "/" not in cidr:
        raise refusal("use a block of addresses with its length, such as 203.0.113.7/32 for a single one")
    return cidr


Cidr = Annotated[str, AfterValidator(_is_network)]


def _is_protocol(name: str) -> str:
    number = int(name) if name.isascii() and name.isdigit() and len(name) <= len(str(_HIGHEST_PROTOCOL)) else -1
    if name not in {"tcp", "udp", "icmp", "icmpv6", "-1"} and not 0 <= number <= _HIGHEST_PROTOCOL:
        raise refusal("use tcp, udp, icmp, icmpv6, a protocol's number, or -1 for all of them")
    return name


Protocol = Annotated[str, AfterValidator(_is_protocol)]
Port = Annotated[int, between(-1, 65_535, "as the number of a port")]


class _Rule(Value):
    """Traffic of one protocol through a range of ports, from or to some blocks of addresses.

    For ICMP the ports are type and code, -1 for all. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ec2-securitygroup-ingress.html.
    """

    from_port: Annotated[Port, Field(description="First port of the range; for ICMP its type, and -1 for all.")]
    to_port: Annotated[Port, Field(description="Last port of the range; for ICMP its code, and -1 for all.")]
    protocol: Annotated[Protocol, Field(description="Protocol by name or number; -1 allows all.")]
    cidr_ip: Annotated[Items[Cidr], Field(description="Blocks of addresses.")] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.protocol in {"tcp", "udp", "6", "17"} and not 0 <= self.from_port <= self.to_port:
            raise refusal("the first port of a range must not be above the last, nor below 0")
        if not self.sources:
            raise refusal("a rule needs a block of addresses: omit a rule without one")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The blocks of addresses, and the groups, from or to which the traffic is allowed."""
        return tuple(self.cidr_ip)

    @property
    def has_ports(self) -> bool:
        """Whether the rule is limited to some ports, or types and codes, of the protocol."""
        return self.protocol != "-1"

    @property
    def permissions(self) -> tuple[tuple[str, tuple[int, int], str], ...]:
        """The permissions as EC2 compares them: protocol by number, range of ports, and source in canonical form.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html.
        """
        protocol = _NUMBERS.get(self.protocol, str(int(self.protocol)) if self.protocol.isdigit() else self.protocol)
        ports = (self.from_port, self.to_port) if protocol in _NUMBERS.values() else _ANY_PORT
        return tuple((protocol, ports, _canonical(source)) for source in self.sources)

    @property
    def blocks(self) -> tuple[tuple[str, str], ...]:
        """Each block of addresses with the name of the CloudFormation property for its address family."""
        return tuple(("CidrIpv6" if ":" in block else "CidrIp", block) for block in self.cidr_ip)


def _canonical(block: str) -> str:
    """Return a block of addresses in one spelling; text with the output of another construct is unchanged."""
    try:
        return str(ipaddress.ip_network(block))
    except ValueError:
        return block


class Ingress(_Rule):
    """Incoming traffic, from blocks of addresses or from the members of a security group."""

    source_group: Annotated[
        SecurityGroup | GroupId | None,
        Field(description="Security group whose members may connect: a construct or an ID. Default: none."),
    ] = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The blocks of addresses, and the ID of the group or the name of its stack."""
        if self.source_group is None:
            return super().sources
        name = self.source_group if isinstance(self.source_group, str) else f"stack {self.source_group.stack_name}"
        return (*super().sources, name)

    @property
    def blocks(self) -> tuple[tuple[str, str], ...]:
        """The blocks of addresses, and the group."""
        if self.source_group is None:
            return super().blocks
        group = self.source_group if isinstance(self.source_group, str) else self.source_group.group_id
        return (*super().blocks, ("SourceSecurityGroupId", group))


class Egress(_Rule):
    """Outgoing traffic."""


class SecurityGroup(ScopedConstruct):
    """A security group in the scope's VPC.

    If `egresses` is omitted, all outgoing traffic is allowed, as in EC2; an empty list allows none.
    """

    template: ClassVar[str] = "security_group.yaml.j2"
    network_parameters: ClassVar[tuple[str, ...]] = ("VpcId",)

    vpc_id: Annotated[VpcId | None, Field(description="The VPC. Default: the region's default VPC.")] = None
    ingresses: Annotated[Items[Ingress], Field(description="Allowed inbound traffic. Default: none.")] = ()
    egresses: Annotated[Items[Egress] | None, Field(description="Allowed outbound traffic. Default: all.")] = None

    @model_validator(mode="after")
    def _has_each_rule_once(self) -> Self:
        for rules in (self.ingresses, self.egresses or ()):
            each = [permission for rule in rules for permission in rule.permissions]
            if len(set(each)) < len(each):
                # InvalidPermission.Duplicate: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
                raise refusal("duplicate rule, which EC2 rejects")
        return self

    @property
    def configured_network(self) -> tuple[str | None, tuple[str, ...]]:
        """The VPC that the group sets, or that of its scope."""
        return super().configured_network if self.vpc_id is None else (self.vpc_id, ())

    @property
    def group_id(self) -> str:
        """The id of the group. Raises InputError before the stack is deployed."""
        return self.output("GroupId")


Ingress.model_rebuild()
"""Its field refers to SecurityGroup, which is defined below it."""

SecurityGroups = Items[SecurityGroup | GroupId]
"""Security groups of the program, or ids of existing ones."""


class Attached(ScopedConstruct):
    """A construct in subnets, with security groups that control its traffic.

    `vpc_id` and `subnet_ids` override those of the scope.
    """

    vpc_id: Annotated[VpcId | None, Field(description="The VPC. Default: the region's default VPC.")] = None
    subnet_ids: Annotated[
        Items[SubnetId], Field(description="Subnets of the VPC. Default: those of the default VPC.")
    ] = ()
    security_groups: Annotated[SecurityGroups, Field(description="Security groups by ID. Default: a new one.")] = ()

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The security groups that are constructs."""
        return tuple(group for group in self.security_groups if isinstance(group, SecurityGroup))

    @property
    def group_parameters(self) -> tuple[str, ...]:
        """The template's parameters for the ids of the security groups, in order."""
        return tuple(f"SecurityGroup{number}" for number, _ in enumerate(self.security_groups, 1))

    @property
    def parameter_sources(self) -> dict[str, tuple[ScopedConstruct, str]]:
        """The security groups that are constructs."""
        groups = zip(self.group_parameters, self.security_groups, strict=True)
        return {parameter: (group, "GroupId") for parameter, group in groups if isinstance(group, SecurityGroup)}

    @property
    def static_parameters(self) -> dict[str, str]:
        """The security groups that are set by their ids."""
        groups = zip(self.group_parameters, self.security_groups, strict=True)
        return {parameter: group for parameter, group in groups if isinstance(group, str)}

    @property
    def configured_network(self) -> tuple[str | None, tuple[str, ...]]:
        """The VPC and the subnets that the construct sets, or those of its scope."""
        if self.vpc_id is None and not self.subnet_ids:
            return super().configured_network
        return self.vpc_id, tuple(self.subnet_ids)
