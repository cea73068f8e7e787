"""The arguments of the Docker API for the container of an image."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.containers.manager.config import Image
    from exasol_ci_setup.containers.manager.ports import Port

# Labels of all containers and networks that a manager creates.
MANAGER_LABEL: Final = "exasol-ci-setup.container-manager"
IMAGE_LABEL: Final = "exasol-ci-setup.container-manager.image"


@dataclass(frozen=True)
class Arguments:
    """The arguments of docker-py's `create_container` and `create_host_config`."""

    container: dict[str, Any]
    host: dict[str, Any]


def build_arguments(
    image: Image,
    *,
    tag: str,
    published: Sequence[Port],
    address: str,
    network: str | None,
    dependencies: Mapping[str, str],
    environ: Mapping[str, str],
) -> Arguments:
    """Return the arguments that create the container of `image`.

    `published` are all ports to publish, and `address` is for those without an address. `network` is the network of its links. `dependencies` maps images to the IDs of the
    containers that it needs. `environ` is the environment of the manager. Raises InputError for a variable that is missing there.
    """
    bindings = ports.to_bindings(published, address)
    host: dict[str, Any] = {
        "port_bindings": bindings,
        "binds": [f"{mount.source}:{mount.target}:{mount.mode}" for mount in image.volumes.mount],
        "volumes_from": [dependencies[name] for name in image.volumes.share_with],
        "network_mode": network or image.network.effective_mode,
        "dns": list(image.network.dns),
        "dns_search": list(image.network.dns_search),
        "extra_hosts": dict(entry.split(":", 1) for entry in image.network.extra_hosts),
        "mem_limit": image.cpu.mem_limit or None,
        "memswap_limit": image.cpu.memswap_limit or None,
        "cpu_shares": image.cpu.cpu_shares,
        "cpuset_cpus": image.cpu.cpuset_cpus,
        "cpuset_mems": image.cpu.cpuset_mems,
        "cap_add": list(image.cpu.cap_add),
        "cap_drop": list(image.cpu.cap_drop),
        "privileged": image.privileged,
        "read_only": image.read_only_rootfs,
        "security_opt": list(image.security_opt),
        "ulimits": [each.model_dump() for each in image.ulimits],
        "devices": list(image.devices),
        "log_config": image.log_config.model_dump() if image.log_config else None,
        "restart_policy": image.restart_policy,
    }
    container: dict[str, Any] = {
        "image": tag,
        "command": [*shlex.split(image.shell), "-c", image.bash] if image.bash else image.command,
        "environment": resolve_environment(image, environ),
        "ports": [tuple(key.split("/")) for key in bindings],
        "hostname": image.network.hostname,
        "domainname": image.network.domainname,
        "user": image.user,
    }
    other = image.other_options
    return Arguments(
        {**{key: value for key, value in container.items() if value}, **other.create},
        {**{key: value for key, value in host.items() if value}, **other.host_config},
    )


def resolve_environment(image: Image, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a container. Raises InputError with the names of all missing variables."""
    found: dict[str, str] = {}
    missing: list[str] = []
    for variable in image.env:
        if variable.value is not None:
            found[variable.name] = variable.value
        elif variable.name in environ or variable.default is not None:
            found[variable.name] = environ.get(variable.name, variable.default or "")
        else:
            missing.append(variable.name)
    if missing:
        raise InputError(
            f"variables are not set in the environment of the container manager: {', '.join(missing)}",
            hint="set them before you start it, or add defaults to the configuration, such as NAME:default",
        )
    return found
