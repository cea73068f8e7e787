"""Spaces: containers that run under a host name, behind the load balancer of their account and region."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, ValidationError, model_validator

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.container import Container, Port, VariableName, require_distinct
from exasol_ci_setup.constructs.container_secrets import parameter_arns, secret_arns
from exasol_ci_setup.constructs.image import image_parts
from exasol_ci_setup.constructs.load_balancer import CertificateArn, Domain, ListenerRule, LoadBalancer
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.constructs.policy import PolicyArns, PolicyStatement
from exasol_ci_setup.constructs.service import Cpu, require_fargate_size
from exasol_ci_setup.constructs.values import Items, KeyArn, SecretSource, between, matching, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

HostedZoneId = Annotated[
    str, matching(r"Z[A-Z0-9]{1,31}", "use the id of a hosted zone of Route 53, such as Z0123456789ABCDEFGHIJ")
]

SPACE_NAME: Final = r"(?=.{1,63}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*"
"""The pattern that the name of a space matches as a whole."""

SpaceName = Annotated[
    str,
    matching(
        SPACE_NAME,
        "use lower-case letters, digits and single hyphens between them, the first a letter, at most 63 characters,"
        " since the space's host is named after it",
    ),
]

_MOST_HOSTS: Final = 5
"""The values of a rule's conditions: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html."""

_LONGEST_HOST: Final = 128
"""Of a rule's condition: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_HostHeaderConditionConfig.html."""

CPU_PERCENTAGE: Final = 70
"""The average use of CPU that the number of tasks is to reach."""

PORTS: Final = range(8000, 9000)
"""The ports of the load balancer for spaces without a domain. No browser blocks one of them."""

HealthPath = Annotated[
    str,
    matching(r"/[!-~]{0,1023}", "use a path with a slash at the beginning, such as /health, in ASCII without spaces"),
]


def _is_image(text: str) -> str:
    source, tag = image_parts(text)
    try:
        Container(source=source, tag=tag)
    except ValidationError:
        raise refusal("use an image with its tag or digest, such as public.ecr.aws/nginx/nginx:1.27") from None
    return text


def preferred(numbers: Sequence[int], name: str) -> Iterator[int]:
    """Yield the numbers from one that depends on the name, so that spaces created at the same time rarely choose the same."""
    first = int(sha256(name.encode()).hexdigest(), base=16) % len(numbers)
    yield from numbers[first:]
    yield from numbers[:first]


class Space(ScopedConstruct):
    """A container that runs under a host name: on Fargate, behind the load balancer, and reachable only through it.

    The host is `domain` if it begins with the space's name and a dot, otherwise `name.domain`. Without a domain the space has a listener of its
    own at `listener_port` of a load balancer with `open_ports`. `memory` is in MiB, `cpu` in units of 1/1024 vCPU. `secrets` are the full ARNs
    of secrets by environment variable; only ECS reads them, when it starts the container. `priority` is that of the space's rule, and
    `listener_port` that of its listener; if omitted, a free one, or one that depends on the name.
    """

    template: ClassVar[str] = "space.yaml.j2"

    name: Annotated[SpaceName, Field(description="Name of the space, the first part of its host.")]
    load_balancer: Annotated[LoadBalancer, Field(description="The load balancer of the space.")]
    image: Annotated[str, AfterValidator(_is_image), Field(description="Image with its tag or digest.")]
    domain: Annotated[
        Domain | None, Field(description="Domain of the host. Default: the load balancer's host, with a port.")
    ] = None
    extra_hosts: Annotated[
        Items[Domain], Field(description="Other host names of the space, whose DNS records you create.")
    ] = ()
    redirect_hosts: Annotated[
        Items[Domain],
        Field(description="Host names that redirect to the host of the space, whose DNS records you create."),
    ] = ()
    port: Annotated[Port, Field(description="Port on which the container listens.")] = 80
    env: dict[VariableName, str] = Field(default_factory=dict, description="Environment variables by name.")
    secrets: dict[VariableName, SecretSource] = Field(
        default_factory=dict,
        description="Full ARNs of secrets, or of keys of their JSON, or of SSM parameters, by environment variable.",
    )
    kms_keys: Annotated[
        Items[KeyArn], Field(description="ARNs of your own KMS keys that encrypt the secrets. Default: keys of AWS.")
    ] = ()
    task_role_policy: Annotated[
        Items[PolicyStatement], Field(description="What the program in the container is allowed to do on AWS.")
    ] = ()
    managed_policy_arns: Annotated[
        PolicyArns, Field(description="Managed policies of the program in the container.")
    ] = ()
    enable_exec: Annotated[bool, Field(description="Allow commands in running tasks with ECS Exec.")] = False
    cpu: Annotated[Cpu, Field(description="Units of 1/1024 vCPU.")] = 256
    memory: Annotated[int, Field(description="Memory in MiB.")] = 512
    certificate_arn: Annotated[
        CertificateArn | None, Field(description="ARN of a certificate for HTTPS. Default: only HTTP.")
    ] = None
    hosted_zone_id: Annotated[
        HostedZoneId | None,
        Field(description="Hosted zone of Route 53 that gets a record for the host. Default: no record."),
    ] = None
    count: Annotated[int, between(0, 50, "tasks"), Field(description="Number of tasks.")] = 1
    max_count: Annotated[
        Annotated[int, between(1, 50, "tasks")] | None,
        Field(
            description="Greatest number of tasks, by their use of CPU; `count` is the least. Default: always `count`."
        ),
    ] = None
    health_path: Annotated[HealthPath, Field(description="Path of the health check.")] = "/"
    health_interval: Annotated[
        int,
        # The timeout of a check is 5 seconds, and must be shorter than the interval:
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html.
        between(6, 300, "seconds"),
        Field(description="Seconds between two health checks."),
    ] = 15
    grace_period: Annotated[
        int, between(0, 3600, "seconds"), Field(description="Seconds in which failed health checks stop no new task.")
    ] = 60
    release_history: Annotated[
        str,
        Field(
            description="JSON text in the template that `space rollback` reads: former releases and the current one."
        ),
    ] = ""
    priority: Annotated[
        Annotated[int, between(1, 50_000, "as the priority of a rule")] | None,
        Field(description="Priority of the rule, unique in its listener. Default: a free one."),
    ] = None
    listener_port: Annotated[
        Annotated[int, between(PORTS.start, PORTS.stop - 1, "as the port of a space")] | None,
        Field(
            description="Port of the load balancer for a space without a domain, unique in it. Default: one that depends on the name."
        ),
    ] = None

    @model_validator(mode="after")
    def _validate_values(self) -> Self:
        require_fargate_size(self.cpu, self.memory)
        if unsafe := [name for name, value in self.env.items() if "{{resolve:" in value]:
            raise refusal(
                f"{unsafe[0]} contains '{{{{resolve:', which CloudFormation would replace with a secret: use --secret"
            )
        require_distinct(self.env, self.secrets)
        for field in ("certificate_arn", "hosted_zone_id"):
            if getattr(self, field) is not None and self.domain is None:
                raise refusal(f"--{field.replace('_', '-')} needs a --domain")
        if self.max_count is not None and not 1 <= self.count < self.max_count:
            raise refusal("the least number of tasks must be at least 1, and below the greatest one")
        return self

    @model_validator(mode="after")
    def _validate_hosts(self) -> Self:
        for option, given in (("--extra-host", self.extra_hosts), ("--redirect-host", self.redirect_hosts)):
            if given and self.domain is None:
                raise refusal(f"{option} needs a --domain")
        for hosts in (self.hosts, tuple(self.redirect_hosts)):
            if repeated := [host for host in hosts if hosts.count(host) > 1]:
                raise refusal(f"the host {repeated[0]} is repeated")
        if len(self.hosts) > _MOST_HOSTS:
            raise refusal(f"use at most {_MOST_HOSTS} hosts")
        if len(self.redirect_hosts) > _MOST_HOSTS:
            raise refusal(f"use at most {_MOST_HOSTS} hosts that redirect")
        if both := set(self.redirect_hosts).intersection(self.hosts):
            raise refusal(f"{min(both)} is a host of the space, and cannot redirect to it")
        if long := [host for host in (*self.hosts, *self.redirect_hosts) if len(host) > _LONGEST_HOST]:
            raise refusal(
                f"the host {long[0]} has {len(long[0])} characters: a rule of a load balancer accepts {_LONGEST_HOST}"
            )
        return self

    @property
    def stack_name(self) -> str:
        """The name of the stack: space- and the name, unless another is set or the construct has a scope."""
        return super().stack_name if self.stack is not None or self.is_scoped else f"space-{self.name}"

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The load balancer."""
        return (self.load_balancer,)

    @property
    def parameter_sources(self) -> dict[str, tuple[ScopedConstruct, str]]:
        """The outputs of the load balancer's stack."""
        outputs = {
            "VpcId": "VpcId",
            "SubnetIds": "SubnetIds",
            "Cluster": "ClusterName",
            **({"LoadBalancer": "LoadBalancerArn"} if self.domain is None else {"Listener": self.listener_output}),
            "LoadBalancerGroup": "SecurityGroupId",
            "DnsName": "DnsName",
            **({"DnsZone": "DnsZone"} if self.hosted_zone_id is not None else {}),
        }
        return {parameter: (self.load_balancer, output) for parameter, output in outputs.items()}

    @property
    def listener_rules(self) -> tuple[ListenerRule, ...]:
        """The rules of a space with a domain: for its hosts, and for those that redirect."""
        if self.domain is None:
            return ()
        parameter = "Priority" if self.priority is None else None
        rule = ListenerRule(f"space {self.name!r}", parameter, "Listener", "Rule", hosts=self.hosts, keeps_any=True)
        if not self.redirect_hosts:
            return (rule,)
        redirect = ListenerRule(
            f"the redirect of space {self.name!r}",
            "RedirectPriority",
            "Listener",
            "RedirectRule",
            hosts=tuple(self.redirect_hosts),
            keeps_any=True,
        )
        return (rule, redirect)

    @property
    def cpu_percentage(self) -> int:
        """The average use of CPU that the number of tasks is to reach."""
        return CPU_PERCENTAGE

    @property
    def own_port(self) -> int:
        """The port of the load balancer for a space without a domain."""
        return next(preferred(PORTS, self.name)) if self.listener_port is None else self.listener_port

    @property
    def listener_output(self) -> str:
        """The output of the load balancer with the ARN of the listener for the rule of a space with a domain."""
        return "HttpListenerArn" if self.certificate_arn is None else "HttpsListenerArn"

    @property
    def host(self) -> str | None:
        """The host name of the space; None without a domain, when it is the load balancer's name."""
        if self.domain is None or self.domain.startswith(f"{self.name}."):
            return self.domain
        return f"{self.name}.{self.domain}"

    @property
    def most_tasks(self) -> int:
        """The greatest number of tasks."""
        return self.count if self.max_count is None else self.max_count

    @property
    def hosts(self) -> tuple[str, ...]:
        """All host names of the space, its own first; none without a domain."""
        return () if self.host is None else (self.host, *self.extra_hosts)

    @property
    def secret_arns(self) -> tuple[str, ...]:
        """The ARNs of the secrets in Secrets Manager, without duplicates and without keys of their JSON."""
        return secret_arns(self.secrets.values())

    @property
    def parameter_arns(self) -> tuple[str, ...]:
        """The ARNs of the SSM parameters, without duplicates."""
        return parameter_arns(self.secrets.values())

    @property
    def certificate_id(self) -> str:
        """The logical id of the certificate in the template. It depends on the certificate, because a replacement may remove others from the
        listener: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/865.
        """
        return f"Certificate{sha256(str(self.certificate_arn).encode()).hexdigest()[:8].upper()}"

    @property
    def container(self) -> Container:
        """The image as a container."""
        source, tag = image_parts(self.image)
        return Container(source=source, tag=tag)

    @property
    def log_group_prefix(self) -> str:
        """The prefix of the name of the container's log group, which ends in the stack's id."""
        return f"/ecs/{self.stack_name}/"

    @property
    def record(self) -> str:
        """The fields as JSON text in the template, so that the space can be recreated from its stack; without those that contain outputs."""
        outputs = {name for name in type(self).model_fields if any(placeholders_in(getattr(self, name)))}
        values = self.model_dump(
            mode="json",
            exclude={"scope", "stack", "own_tags", "load_balancer", "release_history", *outputs},
            exclude_none=True,
        )
        return json.dumps(values, sort_keys=True)
