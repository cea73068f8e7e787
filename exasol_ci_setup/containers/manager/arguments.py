"""From an image's options to what the engine is told when its container is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.containers.manager.config import Image
    from exasol_ci_setup.containers.manager.ports import Port

# What is ours is known by these, whoever is asked for it.
MANAGER_LABEL: Final = "exasol-ci-setup.container-manager"
IMAGE_LABEL: Final = "exasol-ci-setup.container-manager.image"
PROCESS_LABEL: Final = "exasol-ci-setup.container-manager.process"


@dataclass(frozen=True)
class Arguments:
    """What docker-py's `create_container` and `create_host_config` are given."""

    container: dict[str, Any]
    host: dict[str, Any]


def arguments(
    image: Image,
    *,
    tag: str,
    asked: Sequence[Port],
    network: str | None,
    others: Mapping[str, str],
    environ: Mapping[str, str],
) -> Arguments:
    """Return how the container of `image` is made.

    `asked` are the ports that its caller asked for, `network` the network that is made for its links, `others` the ids of the containers
    that run for it by their images, `environ` the manager's own environment. Raises InputError for a variable that is not in it.
    """
    published = ports.bindings(ports.merged(image.ports, asked))
    host: dict[str, Any] = {
        "port_bindings": published,
        "binds": [f"{mount.source}:{mount.target}:{mount.mode}" for mount in image.volumes.mount],
        "volumes_from": [others[name] for name in image.volumes.share_with],
        "network_mode": network or image.network.chosen,
        "publish_all_ports": image.network.publish_all_ports,
        "dns": list(image.network.dns),
        "dns_search": list(image.network.dns_search),
        "extra_hosts": dict(entry.split(":", 1) for entry in image.network.extra_hosts),
        "mem_limit": image.cpu.mem_limit or None,
        "memswap_limit": image.cpu.memswap_limit or None,
        "cpu_shares": image.cpu.cpu_shares,
        "privileged": image.privileged,
    }
    container: dict[str, Any] = {
        "image": tag,
        "command": ["/bin/bash", "-c", image.bash] if image.bash else image.command,
        "environment": environment(image, environ),
        "ports": [tuple(key.split("/")) for key in published],
        "hostname": image.network.hostname,
        "domainname": image.network.domainname,
        "user": image.user,
    }
    return Arguments(
        {key: value for key, value in container.items() if value},
        {key: value for key, value in host.items() if value},
    )


def environment(image: Image, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a container. Raises InputError that names those that must be set here and are not."""
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
            f"the container manager's environment lacks {', '.join(missing)}",
            hint="start it with the variables set, or give them defaults in the configuration, such as NAME:default",
        )
    return found
