"""The containers of a task: image, command, ports, health check, volumes, and sidecars."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from exasol_ci_setup.constructs.asset import Asset
from exasol_ci_setup.constructs.builder import ContainerBuilder
from exasol_ci_setup.constructs.image import repository_arn
from exasol_ci_setup.constructs.registry import Registry, ecr_resource
from exasol_ci_setup.constructs.values import (
    Items,
    Name,
    SecretSource,
    Value,
    between,
    malformed,
    matching,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

ImageName = Annotated[
    str,
    matching(
        # Upper case is for the host alone: https://pkg.go.dev/github.com/distribution/reference.
        r"(?=.{1,255}\Z)([A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*(:[0-9]{1,5})?/)?"
        r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
        "use the name of an image without its tag, such as public.ecr.aws/nginx/nginx",
    ),
]

ImageTag = Annotated[
    str,
    matching(
        r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64}",
        "use the tag of an image, such as latest, or its digest, such as sha256:…",
    ),
]

VariableName = Annotated[
    str, matching(r"[A-Za-z_][A-Za-z0-9_]{0,255}", "use letters, digits and underscores, the first not a digit")
]


def _can_be_split(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        raise malformed("unbalanced quotation mark") from None
    if not words:
        raise malformed("use a command with its arguments, as in a shell")
    return command


Port = Annotated[int, between(1, 65_535, "as the number of a port")]


def require_distinct(variables: Mapping[str, object], secrets: Mapping[str, object]) -> None:
    """Raise the validation error for a name that is both a variable and a secret."""
    if both := variables.keys() & secrets.keys():
        raise refusal(f"{min(both)} cannot be both a variable and a secret")


ContainerPath = Annotated[str, matching(r"(/[A-Za-z0-9._-]+){1,16}", "use a path in the container, such as /data")]


class PortMappings(Value):
    """A port that the container listens on. On Fargate `host_port` must be the same."""

    container_port: Annotated[Port, Field(description="Port on which the container listens.")]
    host_port: Annotated[int | None, Field(description="The same port, since Fargate has no other.")] = None

    @model_validator(mode="after")
    def _are_the_same(self) -> Self:
        if self.host_port not in {None, self.container_port}:
            raise refusal("the host's port must equal the container's, since each task on Fargate has its own address")
        return self


class ContainerHealthCheck(Value):
    """A command that ECS runs in a container to check its health. A service replaces a task with an unhealthy essential container.

    Times are in seconds. ECS ignores the health check of the image.
    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html.
    """

    command: Annotated[
        Annotated[str, matching(r"(?s).*\S.*", "use a command for the shell of the image")],
        Field(description="Command for `sh` in the container; exit code 0 means healthy."),
    ]
    interval: Annotated[int, between(5, 300, "seconds"), Field(description="Seconds between two checks.")] = 30
    timeout: Annotated[int, between(2, 60, "seconds"), Field(description="Seconds to wait for the command.")] = 5
    retries: Annotated[
        int, between(1, 10, "checks"), Field(description="Failed checks that make the container unhealthy.")
    ] = 3
    start_period: Annotated[
        int, between(0, 300, "seconds"), Field(description="Seconds after the start in which failures do not count.")
    ] = 0


class Container(Value):
    """An image to run, and its start command.

    `source` is a container builder, which builds the image before the cluster is deployed and tags it with the hash of its source. Or it is a
    registry of the program, or the full name of another image; both need a `tag`. `start_command` replaces the image's command; it is split
    into words as in a shell, and runs without a shell.
    """

    source: Annotated[
        Registry | ContainerBuilder | ImageName,
        Field(description="The image: a registry, a container builder, or a name without a tag."),
    ]
    tag: Annotated[
        ImageTag | None, Field(description="Tag or digest of the image. Default: that of the builder's image.")
    ] = None
    start_command: Annotated[
        Annotated[str, AfterValidator(_can_be_split)] | None,
        Field(description="Command that replaces that of the image, in the words of a shell."),
    ] = None
    port_mappings: Annotated[Items[PortMappings], Field(description="Ports on which the container listens.")] = ()
    health_check: Annotated[
        ContainerHealthCheck | None, Field(description="Command that checks the container. Default: none.")
    ] = None
    stop_timeout: Annotated[
        Annotated[int, between(2, 120, "seconds")] | None,
        Field(description="Seconds between SIGTERM and SIGKILL when a task stops. Default: 30."),
    ] = None

    @model_validator(mode="after")
    def _has_each_port_once(self) -> Self:
        ports = [mapping.container_port for mapping in self.port_mappings]
        if len(set(ports)) < len(ports):
            raise refusal("duplicate port")
        return self

    @model_validator(mode="after")
    def _names_one_image(self) -> Self:
        if not isinstance(self.source, ContainerBuilder):
            if self.tag is None:
                raise refusal("tag is required: the tag of the image to run, such as latest")
            return self
        if self.tag is not None:
            raise refusal("the tag of a container builder's image is the hash of its source: omit tag")
        if not isinstance(self.source.registry, Registry):
            raise refusal("the container builder needs a Registry of the program")
        if not isinstance(self.source.asset, Asset) or self.source.asset.source is None:
            raise refusal("the container builder needs an Asset with a source")
        return self

    @property
    def builder(self) -> ContainerBuilder | None:
        """The container builder of the image, if it is one of the program."""
        return self.source if isinstance(self.source, ContainerBuilder) else None

    @property
    def registry(self) -> Registry | None:
        """The registry of the image, if it is one of the program."""
        found = self.source.registry if isinstance(self.source, ContainerBuilder) else self.source
        return found if isinstance(found, Registry) else None

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the start command."""
        return () if self.start_command is None else tuple(shlex.split(self.start_command))

    @property
    def ecr_resource(self) -> str | None:
        """The part of the ARN after the partition for an image in ECR, or None."""
        return ecr_resource(self.source) if isinstance(self.source, str) else None

    @property
    def repository_arn(self) -> str | None:
        """The output with the ARN of the repository if `source` is the `uri` of a registry of the program, or None."""
        return repository_arn(self.source) if isinstance(self.source, str) else None

    @property
    def separator(self) -> str:
        """The separator between the image's name and its tag or digest."""
        return "@" if self.tag is not None and self.tag.startswith("sha256:") else ":"


class Volume(Value):
    """An existing file system of EFS, mounted in a container with encryption in transit and permissions of the task's role.

    Its security group has to allow NFS (port 2049) from that of the cluster, which is the output SecurityGroupId.
    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/efs-volumes.html.
    """

    file_system_id: Annotated[
        Annotated[str, matching(r"fs-[0-9a-f]{8,40}", "use the id of a file system, such as fs-0123456789abcdef0")],
        Field(description="ID of the file system."),
    ]
    path: Annotated[ContainerPath, Field(description="Path in the container.")]
    access_point_id: Annotated[
        Annotated[
            str, matching(r"fsap-[0-9a-f]{8,40}", "use the id of an access point, such as fsap-0123456789abcdef0")
        ]
        | None,
        Field(description="ID of an access point. Default: the root of the file system."),
    ] = None
    read_only: Annotated[bool, Field(description="Mount it without permission to write.")] = False


class Sidecar(Value):
    """A further container in each task of a service. All containers of a task reach each other at 127.0.0.1.

    If an essential container stops, the whole task stops.
    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html.
    """

    name: Annotated[Name, Field(description="Name of the container, and prefix of its log streams.")]
    container: Annotated[Container, Field(description="The container.")]
    env_vars: dict[VariableName, str] = Field(default_factory=dict, description="Environment variables by name.")
    secrets: dict[VariableName, SecretSource] = Field(
        default_factory=dict, description="Secrets by environment variable, as those of a service."
    )
    volumes: Annotated[Items[Volume], Field(description="File systems of EFS that the container mounts.")] = ()
    essential: Annotated[bool, Field(description="Stop the task when this container stops.")] = True
    condition: Annotated[
        Literal["start", "healthy", "complete", "success"] | None,
        Field(
            description="State of this container in which that of the service starts; `success` is an end with exit code 0. "
            "Default: both start at the same time."
        ),
    ] = None

    @model_validator(mode="after")
    def _can_meet_condition(self) -> Self:
        require_distinct(self.env_vars, self.secrets)
        if self.condition in {"complete", "success"} and self.essential:
            raise refusal(
                f"a sidecar with the condition {self.condition} ends before the service starts: set essential=False"
            )
        if self.condition == "healthy" and self.container.health_check is None:
            raise refusal("the condition healthy needs health_check of the sidecar's container")
        return self
