"""Clusters of services: containers that ECS runs on Fargate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field, model_validator

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.ci import RetentionInDays
from exasol_ci_setup.constructs.container import (
    Container,
    ContainerPath,
    Sidecar,
    VariableName,
    Volume,
    require_distinct,
)
from exasol_ci_setup.constructs.container_secrets import parameter_arns, secret_arns
from exasol_ci_setup.constructs.load_balancer import Domain, ListenerRule, LoadBalancer, find_equal_routes
from exasol_ci_setup.constructs.network import Attached
from exasol_ci_setup.constructs.policy import PolicyStatement
from exasol_ci_setup.constructs.routing import HealthCheck, RoutePath, Scaling
from exasol_ci_setup.constructs.runtime import TaskOptions, runtime
from exasol_ci_setup.constructs.schedule import Schedule
from exasol_ci_setup.constructs.values import Items, KeyArn, SecretSource, between, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.constructs.registry import Registry
    from exasol_ci_setup.constructs.runtime import TaskResult

_GIB: Final = 1024
_MOST_SCHEDULED: Final = 10
"""Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_EcsParameters.html."""
_MOST_CONTAINERS: Final = 10
"""Source: https://docs.aws.amazon.com/general/latest/gr/ecs-service.html."""
_MOST_GROUPS: Final = 5
_MOST_SUBNETS: Final = 16
"""Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_AwsVpcConfiguration.html."""
MEMORY: Final[Mapping[int, range | tuple[int, ...]]] = {
    256: (512, 1024, 2048),
    512: range(1 * _GIB, 4 * _GIB + 1, _GIB),
    1024: range(2 * _GIB, 8 * _GIB + 1, _GIB),
    2048: range(4 * _GIB, 16 * _GIB + 1, _GIB),
    4096: range(8 * _GIB, 30 * _GIB + 1, _GIB),
    8192: range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB),
    16384: range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB),
}
"""The supported memory sizes in MiB for each number of CPU units, of which 1024 are one vCPU:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html."""

Cpu = Literal[256, 512, 1024, 2048, 4096, 8192, 16384]


def require_fargate_size(cpu: int, memory: int) -> None:
    """Raise the validation error unless Fargate supports `memory` MiB with `cpu` units of CPU."""
    allowed = MEMORY[cpu]
    if memory not in allowed:
        step = "" if len(allowed) == len(MEMORY[256]) else f" in steps of {allowed[1] - allowed[0]}"
        raise refusal(f"with {cpu} units of cpu Fargate supports {allowed[0]} to {allowed[-1]} MiB of memory{step}")


class Service(ScopedConstruct):
    """A container that its cluster runs `count` times. `memory` is in MiB, `cpu` in units of 1/1024 vCPU.

    `secrets` are the full ARNs of secrets by environment variable. Only ECS reads them, when it starts a container.
    """

    has_stack: ClassVar[bool] = False
    also_known_as: ClassVar[dict[str, str]] = {"environmentVariables": "env_vars"}

    container: Annotated[Container, Field(description="The container that the tasks run.")]
    env_vars: dict[VariableName, str] = Field(default_factory=dict, description="Environment variables by name.")
    secrets: dict[VariableName, SecretSource] = Field(
        default_factory=dict,
        description="Full ARNs of secrets, or of keys of their JSON, or of SSM parameters, by environment variable.",
    )
    kms_keys: Annotated[
        Items[KeyArn], Field(description="ARNs of your own KMS keys that encrypt the secrets. Default: keys of AWS.")
    ] = ()
    cpu: Annotated[Cpu, Field(description="Units of 1/1024 vCPU for each task.")] = 256
    memory: Annotated[int, Field(description="Memory of each task in MiB.")] = 512
    count: Annotated[int, between(0, 1000, "tasks"), Field(description="Number of tasks.")] = 1

    task_role_policy: Annotated[
        Items[PolicyStatement], Field(description="What the program in the container is allowed to do on AWS.")
    ] = ()
    load_balancer: Annotated[
        LoadBalancer | None,
        Field(description="Load balancer that sends requests to the first port of the container. Default: none."),
    ] = None
    path: Annotated[
        RoutePath, Field(description="Path of the requests; includes all paths below. Longer paths have precedence.")
    ] = "/"
    host: Annotated[Domain | None, Field(description="Host name of the requests. Default: any.")] = None
    health_check: Annotated[HealthCheck, Field(description="How the load balancer checks each task.")] = HealthCheck()
    deregistration_delay: Annotated[
        int,
        between(0, 3600, "seconds"),
        Field(description="Seconds in which a task may finish its requests before it is stopped."),
    ] = 30
    schedule: Annotated[
        Schedule | None,
        Field(
            description="When `count` tasks start and run to their end, such as rate(1 hour). Default: they run always."
        ),
    ] = None
    architecture: Annotated[
        Literal["x86_64", "arm64"], Field(description="Processor of the tasks, which the image has to support.")
    ] = "x86_64"
    spot: Annotated[
        bool,
        Field(description="Run on spare capacity, which is cheaper and may be stopped after two minutes of notice."),
    ] = False
    enable_exec: Annotated[
        bool, Field(description="Allow commands in running tasks with `aws ecs execute-command`.")
    ] = False
    volumes: Annotated[Items[Volume], Field(description="File systems of EFS that the container mounts.")] = ()
    sidecars: Annotated[Items[Sidecar], Field(description="Further containers in each task.")] = ()
    shared_folders: Annotated[
        Items[ContainerPath], Field(description="Folders that all containers of a task share; deleted with the task.")
    ] = ()
    disk_in_gib: Annotated[
        Annotated[int, between(21, 200, "GiB")] | None,
        Field(description="Temporary disk of each task in GiB. Default: 20."),
    ] = None
    scaling: Annotated[Scaling | None, Field(description="Number of tasks by their load. Default: `count` tasks.")] = (
        None
    )

    @model_validator(mode="after")
    def _validate_names(self) -> Self:
        require_fargate_size(self.cpu, self.memory)
        require_distinct(self.env_vars, self.secrets)
        return self

    @model_validator(mode="after")
    def _has_different_containers(self) -> Self:
        names = [each.name for each in self.containers]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise refusal(f"two containers of a task have the name {twice!r}: give the sidecar another name")
        if len(names) > _MOST_CONTAINERS:
            raise refusal(
                f"a task has at most {_MOST_CONTAINERS} containers, so use at most {_MOST_CONTAINERS - 1} sidecars"
            )
        ports = [mapping.container_port for each in self.containers for mapping in each.container.port_mappings]
        if twice_port := next((port for port in ports if ports.count(port) > 1), None):
            raise refusal(f"two containers of a task use port {twice_port}: they share one network address")
        paths = [[path for _, path, _ in self.mounts(each)] for each in self.containers]
        if any(len(set(each)) < len(each) for each in paths):
            raise refusal("a container has two volumes or shared folders at one path")
        return self

    @model_validator(mode="after")
    def _validate_routing(self) -> Self:
        if self.load_balancer is None:
            for name in ("path", "host", "health_check", "deregistration_delay"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise refusal(f"{name} has no effect without load_balancer")
            if self.scaling is not None and self.scaling.requests is not None:
                raise refusal("scaling by requests needs load_balancer")
        elif not self.container.port_mappings:
            raise refusal("a service behind a load balancer needs a port: set port_mappings of the container")
        if self.schedule is not None and (
            self.load_balancer is not None or self.scaling is not None or self.enable_exec
        ):
            raise refusal("a scheduled service has no load_balancer, no scaling and no enable_exec: its tasks end")
        if self.schedule is not None and not 1 <= self.count <= _MOST_SCHEDULED:
            raise refusal(f"a schedule starts 1 to {_MOST_SCHEDULED} tasks")
        if self.scaling is not None and self.count != type(self).model_fields["count"].default:
            raise refusal("count has no effect with scaling: set min_count of scaling")
        return self

    @property
    def containers(self) -> tuple[Service | Sidecar, ...]:
        """What each task runs: the container of the service itself, and the sidecars."""
        return (self, *self.sidecars)

    @property
    def essential(self) -> bool:
        """Whether the task stops when the container of the service stops: always."""
        return True

    @property
    def start_conditions(self) -> tuple[tuple[str, str], ...]:
        """The sidecars that start before the container of the service, each with its state at that time."""
        return tuple((each.name, each.condition.upper()) for each in self.sidecars if each.condition is not None)

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The registries and builders of the images, and the load balancer, if they belong to the program."""
        images = (part for each in self.containers for part in (each.container.registry, each.container.builder))
        found = [part for part in (*images, self.load_balancer) if part is not None]
        return tuple({id(part): part for part in found}.values())

    @property
    def pulled(self) -> tuple[Container, ...]:
        """The containers whose images are in ECR, one for each repository."""
        found: dict[object, Container] = {}
        for each in self.containers:
            container = each.container
            repository = (
                id(container.registry) if container.registry else container.repository_arn or container.ecr_resource
            )
            if repository is not None:
                found.setdefault(repository, container)
        return tuple(found.values())

    @property
    def secret_arns(self) -> tuple[str, ...]:
        """The ARNs of the secrets in Secrets Manager that the containers get."""
        return secret_arns(source for each in self.containers for source in each.secrets.values())

    @property
    def parameter_arns(self) -> tuple[str, ...]:
        """The ARNs of the SSM parameters that the containers get."""
        return parameter_arns(source for each in self.containers for source in each.secrets.values())

    @property
    def task_volumes(self) -> tuple[tuple[str, Volume], ...]:
        """The volumes of all containers, each with its name in the task."""
        found = (volume for each in self.containers for volume in each.volumes)
        return tuple((f"volume{number}", volume) for number, volume in enumerate(found, 1))

    def mounts(self, container: Service | Sidecar) -> tuple[tuple[str, str, bool], ...]:
        """Return the name of each volume of a container, its path, and whether it is read-only."""
        before = 0
        for each in self.containers:
            if each is container:
                break
            before += len(each.volumes)
        own = self.task_volumes[before : before + len(container.volumes)]
        shared = (("shared" + str(number), path, False) for number, path in enumerate(self.shared_folders, 1))
        return (*((name, volume.path, volume.read_only) for name, volume in own), *shared)

    @property
    def file_systems(self) -> tuple[tuple[str, bool], ...]:
        """The file systems of the volumes, without duplicates, each with whether a container writes to it."""
        volumes = [volume for _, volume in self.task_volumes]
        ids = dict.fromkeys(each.file_system_id for each in volumes)
        return tuple((name, not all(each.read_only for each in volumes if each.file_system_id == name)) for name in ids)

    @property
    def port(self) -> int | None:
        """The port that gets the requests of the load balancer."""
        return self.container.port_mappings[0].container_port if self.container.port_mappings else None

    @property
    def path_patterns(self) -> tuple[str, ...]:
        """The paths of the requests as patterns of a listener's rule; empty for all paths without a host.

        Each rule needs a condition: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html.
        """
        if self.path == "/":
            return ("/*",) if self.host is None else ()
        return (self.path, f"{self.path}/*")

    @property
    def logical_id(self) -> str:
        """The prefix of the logical ids of the service's resources: its name without hyphens, in camel case."""
        return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", self.name))


class Cluster(Attached):
    """An ECS cluster and its services, which run on Fargate in a security group without incoming traffic.

    `security_groups` allow incoming traffic. `public_ip` gives each task a public address, which it needs to reach a registry from the
    subnets of a default VPC.
    """

    template: ClassVar[str] = "cluster.yaml.j2"
    services: Annotated[Items[Service], Field(description="The services of the cluster.")]
    private_domain: Annotated[
        Domain | None,
        Field(description="Domain in the VPC in which services reach each other as SERVICE.DOMAIN. Default: none."),
    ] = None
    public_ip: Annotated[bool, Field(description="Give each task a public address; a default VPC requires it.")] = True
    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")] = 30

    @model_validator(mode="after")
    def _has_different_services(self) -> Self:
        ids = [service.logical_id for service in self.services]
        twice = next((service.name for service in self.services if ids.count(service.logical_id) > 1), None)
        if twice is not None:
            raise refusal(f"two services have the name {twice!r}, or differ only in hyphens and case")
        return self

    @model_validator(mode="after")
    def _is_within_network_limits(self) -> Self:
        if len(self.security_groups) >= _MOST_GROUPS:
            raise refusal(
                f"use at most {_MOST_GROUPS - 1} security groups: ECS accepts {_MOST_GROUPS}, and one is that of the cluster"
            )
        if len(self.configured_network[1]) > _MOST_SUBNETS:
            raise refusal(f"use at most {_MOST_SUBNETS} subnets, the limit of ECS")
        return self

    @model_validator(mode="after")
    def _has_different_routes(self) -> Self:
        if equal := find_equal_routes((rule.listener, rule) for rule in self.listener_rules):
            one, other, route = equal
            raise refusal(
                f"two services have the same load balancer, host and path: {one.target} and {other.target}, {route}"
            )
        return self

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The services, and the security groups that are constructs."""
        return (*self.services, *super().parts)

    @property
    def network_parameters(self) -> tuple[str, ...]:  # type: ignore[override] # a class has them for all of its constructs
        """The VPC, and the subnets if a task runs in them."""
        return ("VpcId", "SubnetIds") if self.services else ("VpcId",)

    @property
    def registries(self) -> tuple[Registry, ...]:
        """The registries of the images, without duplicates."""
        found = (each.container.registry for service in self.services for each in service.containers)
        return tuple({id(registry): registry for registry in found if registry is not None}.values())

    @property
    def builders(self) -> tuple[ContainerBuilder, ...]:
        """The container builders of the images, without duplicates."""
        found = (each.container.builder for service in self.services for each in service.containers)
        return tuple({id(builder): builder for builder in found if builder is not None}.values())

    @property
    def has_group_output(self) -> bool:
        """Whether the group is an output: file systems have to allow traffic from it."""
        return any(service.task_volumes for service in self.services)

    @property
    def discovered(self) -> tuple[Service, ...]:
        """The services with a name in the private domain: those that always run and have a port."""
        if self.private_domain is None:
            return ()
        return tuple(each for each in self.services if each.port is not None and each.schedule is None)

    @property
    def inner_ports(self) -> tuple[int, ...]:
        """The ports on which services of the cluster reach each other."""
        containers = (each.container for service in self.discovered for each in service.containers)
        ports = (mapping.container_port for each in containers for mapping in each.port_mappings)
        return tuple(dict.fromkeys(ports))

    @property
    def load_balancers(self) -> tuple[LoadBalancer, ...]:
        """The load balancers of the services, without duplicates."""
        found = (service.load_balancer for service in self.services)
        return tuple({id(balancer): balancer for balancer in found if balancer is not None}.values())

    @property
    def ingresses(self) -> tuple[tuple[str, int], ...]:
        """The incoming traffic of the cluster's group: the parameter for the group of a load balancer, and a port. No duplicates."""
        found = (
            (self.load_balancer_parameter("LoadBalancerGroup", each.load_balancer), each.port)
            for each in self.services
            if each.load_balancer is not None and each.port is not None
        )
        return tuple(dict.fromkeys(found))

    @property
    def listener_rules(self) -> tuple[ListenerRule, ...]:
        """The rule of each service behind a load balancer."""
        return tuple(
            ListenerRule(
                target=f"service {each.name!r}",
                parameter=f"{each.logical_id}Priority",
                listener=self.load_balancer_parameter("Listener", each.load_balancer),
                logical_id=f"{each.logical_id}Rule",
                hosts=() if each.host is None else (each.host,),
                paths=each.path_patterns,
                depth=len([part for part in each.path.split("/") if part]),
            )
            for each in self.services
            if each.load_balancer is not None
        )

    def load_balancer_parameter(self, what: str, balancer: LoadBalancer) -> str:
        """Return the name of the parameter for an output of the load balancer."""
        return f"{what}{[id(each) for each in self.load_balancers].index(id(balancer)) + 1}"

    @property
    def configured_network(self) -> tuple[str | None, tuple[str, ...]]:
        """The VPC and the subnets that the cluster sets, or those of its first load balancer, or those of the scope."""
        if self.vpc_id is not None or self.subnet_ids or not self.load_balancers:
            return super().configured_network
        return self.load_balancers[0].configured_network

    def registry_parameter(self, registry: Registry) -> str:
        """Return the name of the parameter for the registry's repository."""
        return f"RepositoryName{[id(each) for each in self.registries].index(id(registry)) + 1}"

    def tag_parameter(self, builder: ContainerBuilder) -> str:
        """Return the name of the parameter for the tag of the builder's image."""
        return f"ImageTag{[id(each) for each in self.builders].index(id(builder)) + 1}"

    @property
    def static_parameters(self) -> dict[str, str]:
        """The tags of the built images, and the security groups that are set by their ids."""
        return {**{self.tag_parameter(each): each.image_tag for each in self.builders}, **super().static_parameters}

    @property
    def parameter_sources(self) -> dict[str, tuple[ScopedConstruct, str]]:
        """The repositories, the load balancers, and the security groups that are constructs."""
        repositories: dict[str, tuple[ScopedConstruct, str]] = {
            self.registry_parameter(registry): (registry, "RepositoryName") for registry in self.registries
        }
        balancers: dict[str, tuple[ScopedConstruct, str]] = {
            self.load_balancer_parameter(what, each): (each, output)
            for each in self.load_balancers
            for what, output in (("Listener", each.listener_output), ("LoadBalancerGroup", "SecurityGroupId"))
        }
        return {**repositories, **balancers, **super().parameter_sources}

    @property
    def log_group_prefix(self) -> str:
        """The prefix of the names of the services' log groups."""
        return f"/ecs/{self.stack_name}/"

    def log(self, service: Service | str, lines: int = 100) -> list[str]:
        """Return the last log lines of a service, oldest first. Raises the errors of `programs.actions.logs.log`."""
        return runtime().log(self, service, lines)

    def run_task(
        self,
        service: Service | str,
        command: str | None = None,
        *,
        env_vars: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> TaskResult:
        """Run one task of a service until it ends, such as a migration of a database, and return its exit code and log.

        The task has the image, roles, secrets and network of the service. `command` replaces the command of its container; it is split as in a
        shell. `env_vars` are further variables, not for secrets. `timeout` is in seconds. With `check=False` a failed task is no error. Raises
        the errors of `programs.actions.tasks.run_task`.
        """
        return runtime().run_task(self, service, TaskOptions(command, env_vars, timeout, check))
