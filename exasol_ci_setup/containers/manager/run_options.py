"""Models of the options that the Docker API gets for a container, and for a build, besides the common ones."""

from __future__ import annotations

import inspect
import json
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Final

from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.types import ContainerConfig, HostConfig
from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field, model_validator

from exasol_ci_setup.containers.manager.options import Formatted, Options, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEVICE_PARTS: Final = ("PathOnHost", "PathInContainer", "CgroupPermissions")
_RESTART_POLICIES: Final = ("no", "always", "unless-stopped", "on-failure")

# Parameters of docker-py that an option of an image, or the manager itself, sets. None has no effect in current engines.
HOST_OPTIONS: Final[Mapping[str, str | None]] = {
    "binds": "volumes.mount",
    "cap_add": "cpu.cap_add",
    "cap_drop": "cpu.cap_drop",
    "cpu_shares": "cpu.cpu_shares",
    "cpuset_cpus": "cpu.cpuset_cpus",
    "cpuset_mems": "cpu.cpuset_mems",
    "devices": "devices",
    "dns": "network.dns",
    "dns_search": "network.dns_search",
    "extra_hosts": "network.extra_hosts",
    "links": "links",
    "log_config": "log_config",
    "lxc_conf": None,
    "mem_limit": "cpu.mem_limit",
    "memswap_limit": "cpu.memswap_limit",
    "network_mode": "network.mode",
    "port_bindings": "ports",
    "privileged": "privileged",
    "publish_all_ports": "network.publish_all_ports",
    "read_only": "read_only_rootfs",
    "restart_policy": "restart_policy",
    "security_opt": "security_opt",
    "ulimits": "ulimits",
    "volumes_from": "volumes.share_with",
}
CREATE_OPTIONS: Final[Mapping[str, str | None]] = {
    "command": "command",
    "domainname": "network.domainname",
    "environment": "env",
    "host_config": "other_options.host_config",
    "hostname": "network.hostname",
    "image": None,
    "labels": None,
    "name": None,
    "networking_config": None,
    "ports": "ports",
    "user": "user",
}
# Arguments of `create_container` that are not part of the configuration of a container.
_REQUEST_ONLY: Final = frozenset({"platform", "use_config_proxy"})


class Ulimit(Options):
    """A limit of a resource; an omitted `soft` or `hard` is the other one, and -1 is no limit."""

    name: str = Field(validation_alias=AliasChoices("name", "Name"))
    soft: int = Field(validation_alias=AliasChoices("soft", "Soft"), ge=-1)
    hard: int = Field(validation_alias=AliasChoices("hard", "Hard"), ge=-1)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        for one, other in (("soft", "hard"), ("hard", "soft")):
            given = next((value[each] for each in (other, other.capitalize()) if each in value), None)
            if given is not None and not {one, one.capitalize()} & value.keys():
                return {**value, one: given}
        return value


class LogConfig(Options):
    """The log driver of a container, and its options."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    type: str = Field(validation_alias=AliasChoices("type", "Type"))
    config: dict[str, str] = Field(default_factory=dict, validation_alias=AliasChoices("config", "Config"))

    @model_validator(mode="before")
    @classmethod
    def _parse_list(cls, value: Any) -> Any:
        return value[0] if isinstance(value, list) and len(value) == 1 else value


def _parse_device(value: Any) -> dict[str, str]:
    """Parse a device: ``HOST[:CONTAINER[:PERMISSIONS]]``, or a mapping with the names of the Docker API."""
    parts = value.split(":") if isinstance(value, str) else None
    if parts and len(parts) <= len(_DEVICE_PARTS):
        value = dict(zip(_DEVICE_PARTS, parts, strict=False))
    if (
        not isinstance(value, dict)
        or not {"PathOnHost"} <= set(value) <= set(_DEVICE_PARTS)
        or not all(each and isinstance(each, str) for each in value.values())
    ):
        raise ValueError(f"{value!r} is not a device: write HOST:CONTAINER:rwm, or {', '.join(_DEVICE_PARTS)}")
    path = value["PathOnHost"]
    return {"PathInContainer": path, "CgroupPermissions": "rwm", **value}


def _parse_restart_policy(value: Any) -> dict[str, Any]:
    """Parse a policy as of `docker run --restart`, or a mapping with the names of the Docker API."""
    if isinstance(value, dict):
        name, count = value.get("Name"), value.get("MaximumRetryCount", 0)
        is_known = set(value) <= {"Name", "MaximumRetryCount"}
    else:
        # YAML reads `no` as a Boolean.
        name, colon, number = ("no" if value is False else str(value)).partition(":")
        count = int(number) if number.isascii() and number.isdigit() else 0 if not colon else None
        is_known = True
    is_count = type(count) is int and count >= 0 and (count == 0 or name == "on-failure")
    if not is_known or name not in _RESTART_POLICIES or not is_count:
        raise ValueError(f"{value!r} is not a restart policy: use {', '.join(_RESTART_POLICIES)} or on-failure:COUNT")
    return {"Name": name, "MaximumRetryCount": count}


def _check_shell(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a command: {error}") from None
    if not words:
        raise ValueError("a shell is needed, such as /bin/sh")
    return value


Device = Annotated[dict[str, str], BeforeValidator(_parse_device)]
RestartPolicy = Annotated[dict[str, Any], BeforeValidator(_parse_restart_policy)]
Shell = Annotated[Formatted, AfterValidator(_check_shell)]


class BuildOptions(Options):
    """``other_options.build``: arguments of docker-py's `build`."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    buildargs: dict[str, str] | None = None
    cache_from: list[str] | None = None
    extra_hosts: dict[str, str] | None = None
    isolation: str | None = None
    network_mode: str | None = None
    nocache: bool | None = None
    platform: str | None = None
    pull: bool | None = None
    shmsize: int | None = None
    squash: bool | None = None
    target: str | None = None
    use_config_proxy: bool | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The given arguments."""
        return self.model_dump(exclude_none=True)


def _arguments_of(
    function: Callable[..., Any], own: Mapping[str, str | None], check: Callable[[Mapping[str, Any]], object]
) -> AfterValidator:
    """Return a validator of arguments for a function of docker-py, except its parameters in `own`."""
    known = set(inspect.signature(function).parameters) - {"self", "version"}

    def validate(value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name in own:
                instead = f"use the option {own[name]}" if own[name] else "the manager sets it"
                raise ValueError(f"{name} is not accepted here: {instead}")
            if name not in known:
                raise ValueError(f"{name} is unknown")
        try:
            json.dumps(value, allow_nan=False)
            check(value)
        except Exception as error:  # noqa: BLE001 - docker-py raises errors of many types
            raise ValueError(str(error) or type(error).__name__) from None
        return value

    return AfterValidator(validate)


def _check_container(value: Mapping[str, Any]) -> None:
    ContainerConfig(
        DEFAULT_DOCKER_API_VERSION,
        image="image",
        command="",
        **{name: each for name, each in value.items() if name not in _REQUEST_ONLY},
    )


class OtherOptions(Options):
    """``other_options``: arguments of docker-py's `build`, `create_container` and `create_host_config`."""

    build: BuildOptions = Field(default_factory=BuildOptions)
    create: Annotated[dict[str, Any], _arguments_of(APIClient.create_container, CREATE_OPTIONS, _check_container)] = (
        Field(default_factory=dict)
    )
    host_config: Annotated[
        dict[str, Any],
        _arguments_of(HostConfig.__init__, HOST_OPTIONS, lambda value: HostConfig(DEFAULT_DOCKER_API_VERSION, **value)),
    ] = Field(default_factory=dict)
    start: Annotated[Any, refused("the engine accepts no options for the start: use host_config")] = None
