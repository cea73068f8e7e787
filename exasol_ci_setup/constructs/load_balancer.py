"""The internet-facing load balancer that spaces and services share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, NamedTuple

from pydantic import Field, model_validator

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.constructs.values import Items, Name, SubnetId, VpcId, matching, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

_LEAST_SUBNETS: Final = 2
"""An Application Load Balancer needs two availability zones:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets-load-balancer."""

CertificateArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]{1,128}",
        "use the ARN of a certificate of AWS Certificate Manager",
    ),
]

Domain = Annotated[
    str,
    matching(
        # A listener's rule accepts only letters after the last dot, so no top-level domain that begins with xn--:
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_HostHeaderConditionConfig.html.
        r"(?=.{1,128}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}",
        "use the name of a domain in lower case, such as example.com, with letters only after the last dot",
    ),
]


@dataclass(frozen=True, slots=True)
class ListenerRule:
    """A rule whose priority is the value of `parameter`, or set if that is None. `listener` is the parameter with the ARN of its listener.

    `target` names what gets the requests, for messages. `hosts` and `paths` are the values of its conditions, and empty without one.
    Rules for one host precede those without, and those for paths of many parts (`depth`) those for shorter ones. With `keeps_any` a
    deployed rule keeps its priority, whichever it is.
    """

    target: str
    parameter: str | None
    listener: str
    logical_id: str
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    depth: int = 0
    keeps_any: bool = False

    @property
    def routes(self) -> frozenset[Route]:
        """The pairs of host and path that match the conditions."""
        return routes_of(self.hosts, self.paths)


class Route(NamedTuple):
    """A host and a path as the conditions of a rule name them; the host is None if any matches, and the path ``/*``."""

    host: str | None
    path: str

    def __str__(self) -> str:
        return f"host {self.host or '*'} and path {self.path}"


def routes_of(hosts: Iterable[str], paths: Iterable[str]) -> frozenset[Route]:
    """Return the routes of a rule with these values in its conditions. Hosts match in upper and lower case."""
    named: list[str | None] = [*(host.lower() for host in hosts)] or [None]
    return frozenset(Route(host, path) for path in tuple(paths) or ("/*",) for host in named)


def find_equal_routes(rules: Iterable[tuple[object, ListenerRule]]) -> tuple[ListenerRule, ListenerRule, Route] | None:
    """Return the first two rules that have a route in common, and the route; `rules` have an equal key if their listener is the same.

    AWS accepts both, and only the one with the lower priority gets the requests:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html.
    """
    first: dict[tuple[object, Route], ListenerRule] = {}
    for listener, rule in rules:
        for route in sorted(rule.routes, key=str):
            other = first.setdefault((listener, route), rule)
            if other is not rule:
                return other, rule, route
    return None


class LoadBalancer(ScopedConstruct):
    """An internet-facing load balancer that services of a program, or all spaces of an account and region share; and an ECS cluster for spaces.

    It answers with 404 until a service or a space adds a rule. With `certificate_arn` it answers HTTPS, and redirects HTTP to it; spaces add further
    certificates. With `open_ports` its security group admits the ports 8000 to 8999, on which spaces without a domain add listeners. `vpc_id` and
    `subnet_ids` override those of the scope.
    """

    template: ClassVar[str] = "load_balancer.yaml.j2"
    network_parameters: ClassVar[tuple[str, ...]] = ("VpcId", "SubnetIds")

    name: Annotated[Name, Field(description="Name of the load balancer.")] = "spaces"
    vpc_id: Annotated[VpcId | None, Field(description="The VPC. Default: the region's default VPC.")] = None
    subnet_ids: Annotated[
        Items[SubnetId],
        Field(description="Subnets of the VPC, in two or more zones. Default: those of the default VPC."),
    ] = ()
    certificate_arn: Annotated[
        CertificateArn | None, Field(description="ARN of a certificate for HTTPS. Default: only HTTP.")
    ] = None
    open_ports: Annotated[bool, Field(description="Admit the ports 8000 to 8999 for spaces without a domain.")] = False

    @model_validator(mode="after")
    def _has_two_zones(self) -> Self:
        if self.subnet_ids and len(set(self.subnet_ids)) < _LEAST_SUBNETS:
            raise refusal("a load balancer needs at least two subnets in different availability zones")
        return self

    @model_validator(mode="after")
    def _has_certificate_of_its_region(self) -> Self:
        # Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html.
        if self.certificate_arn is not None and self.scope is not None:
            region = self.certificate_arn.split(":")[3:4]
            if not any(placeholders_in(self.certificate_arn)) and region != [self.scope.region]:
                raise refusal(f"the certificate must be in the region of the load balancer, {self.scope.region}")
        return self

    @property
    def stack_name(self) -> str:
        """The name of the stack: spaces-load-balancer, unless another is set or the construct has a scope."""
        return super().stack_name if self.stack is not None or self.is_scoped else f"{self.name}-load-balancer"

    @property
    def configured_network(self) -> tuple[str | None, tuple[str, ...]]:
        """The VPC and the subnets that the construct sets, or those of its scope."""
        if self.vpc_id is None and not self.subnet_ids:
            return super().configured_network
        return self.vpc_id, tuple(self.subnet_ids)

    @property
    def listener_output(self) -> str:
        """The output with the ARN of the listener for requests: HTTPS with a certificate, otherwise HTTP."""
        return "HttpListenerArn" if self.certificate_arn is None else "HttpsListenerArn"

    @property
    def dns_name(self) -> str:
        """The host name of the load balancer, which AWS chooses. Raises InputError before the stack is deployed."""
        return self.output("DnsName")
