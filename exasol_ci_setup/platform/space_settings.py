"""The keyword arguments of the functions for spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from exasol_ci_setup.constructs.policy import PolicyStatement


class SpaceSettings(TypedDict, total=False):
    """The settings of a space; None is as if omitted.

    `image`: image with its tag or digest. `domain`: the host is this if it begins with the name and a dot, otherwise ``NAME.DOMAIN``.
    `env`: variables. `cpu`: in vCPUs (``"1"``, ``"0.5"``, ``"250m"``). `memory`: in MiB or with a unit (``"512Mi"``, ``"1Gi"``). `port`: the
    port of the container. `secrets`: names or ARNs of secrets by variable, also with a key of their JSON, or parameters of SSM. `certificate_arn`: certificate of ACM. `hosted_zone_id`: zone of
    Route 53 for the DNS record. `containers`: a list of one mapping with image, env, cpu, memory and port, instead of the arguments.
    `count`: number of tasks (1), or least and greatest number as text (``"1-4"``); 0 stops the space. `health_path` (``/``), `health_interval` (15) and `grace_period` (60), in seconds: the
    health check, and the time in which its failures stop no new task. `extra_hosts`: other host names. `redirect_hosts`: host names that
    redirect to the host. `managed_policy_arns` and
    `task_role_policy`: the permissions of the program in the container. `enable_exec`: allow commands in running tasks. `tags`: tags of the
    stack and its resources, added to those that it has.
    """

    image: str | None
    domain: str | None
    env: Mapping[str, str] | None
    cpu: str | float | None
    memory: str | int | None
    port: int | None
    secrets: Mapping[str, str] | None
    certificate_arn: str | None
    hosted_zone_id: str | None
    containers: Sequence[Mapping[str, Any]] | None
    count: int | str | None
    health_path: str | None
    health_interval: int | None
    grace_period: int | None
    extra_hosts: Sequence[str] | None
    redirect_hosts: Sequence[str] | None
    managed_policy_arns: Sequence[str] | None
    task_role_policy: Sequence[PolicyStatement | Mapping[str, Any]] | None
    enable_exec: bool | None
    tags: Mapping[str, str] | None


class NewSpaceSettings(SpaceSettings, total=False):
    """The settings of a new space. `vpc_id` and `subnet_ids`: network of a new load balancer (default: the default VPC)."""

    vpc_id: str | None
    subnet_ids: Sequence[str]


class SpaceUpdate(SpaceSettings, total=False):
    """The changes to a space. `unset`: names of variables and secrets to remove."""

    unset: Sequence[str]


class SourceSettings(TypedDict, total=False):
    """What `space.add` builds, and where it pushes the image.

    `registry_name`: the registry (default: the space's name and ``-registry``). `skip_registry`: push nothing; needs `image`. `image`: run
    this image, and build nothing. `image_tag`: additional tag of the built image (``latest``). `dockerfile_path` (``Dockerfile``) and
    `docker_context` (``.``): what is built. `container_port`: the port of the container.
    """

    registry_name: str | None
    skip_registry: bool
    image: str | None
    image_tag: str | None
    dockerfile_path: str | Path | None
    docker_context: str | Path | None
    container_port: int | None


class AddSettings(SourceSettings, total=False):
    """The settings of `space.add`: those of its source, and those of `space.create`."""

    domain: str | None
    env: Mapping[str, str] | None
    cpu: str | float | None
    memory: str | int | None
    secrets: Mapping[str, str] | None
    certificate_arn: str | None
    hosted_zone_id: str | None
    count: int | str | None
    health_path: str | None
    health_interval: int | None
    grace_period: int | None
    extra_hosts: Sequence[str] | None
    redirect_hosts: Sequence[str] | None
    managed_policy_arns: Sequence[str] | None
    task_role_policy: Sequence[PolicyStatement | Mapping[str, Any]] | None
    enable_exec: bool | None
    tags: Mapping[str, str] | None
    unset: Sequence[str]
    vpc_id: str | None
    subnet_ids: Sequence[str]


def require_known(function: str, settings: Mapping[str, Any], kind: type[Any]) -> None:
    """Raise TypeError, as Python does, if a name of `settings` is not a setting of `kind`."""
    # It has the names of its bases too.
    known = kind.__annotations__.keys()
    if unknown := settings.keys() - known:
        raise TypeError(f"{function}() got an unexpected keyword argument {min(unknown)!r}")
