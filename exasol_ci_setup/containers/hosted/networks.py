"""A network for each app, so that apps reach each other only through nginx."""

from __future__ import annotations

import ipaddress
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docker.errors import NotFound
from docker.types import IPAMConfig, IPAMPool

from exasol_ci_setup.core.errors import AppConflictError, EngineError
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

Network = ipaddress.IPv4Network

_ROUTES: Final = Path("/proc/net/route")
# 13 addresses for containers: the current one, and replaced ones that still answer requests.
_PREFIX: Final = 28
_MAX_ATTEMPTS: Final = 5


class Networks:
    """The networks of the apps of one state directory, with its `identity` in their names. Their subnets are parts of `pool`.

    The default pools of the engine have only 31 subnets: https://docs.docker.com/engine/network/#subnet-allocation.
    """

    def __init__(self, client: DockerClient, pool: Network, identity: str) -> None:
        self._client = client
        self._pool = pool
        self._identity = identity
        self._lock = threading.Lock()

    def ensure(self, app: str, labels: Mapping[str, str]) -> str:
        """Return the name of the network of an app; create it with `labels` if it is missing.

        Raises AppConflictError if no subnet is free.
        """
        name = self._name(app)
        doing = f"The network of {app} cannot be created"
        with engine.engine_errors(doing), self._lock:
            existing = self._client.api.networks()
            if any(each["Name"] == name for each in existing):
                return name
            problem: EngineError | None = None
            for attempt, subnet in enumerate(self._free_subnets(existing)):
                if attempt == _MAX_ATTEMPTS:
                    break
                try:
                    with engine.engine_errors(doing):
                        self._client.api.create_network(
                            name,
                            driver="bridge",
                            labels=dict(labels),
                            check_duplicate=True,
                            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                        )
                except EngineError as error:
                    # Another program has just created an overlapping network.
                    if "overlap" not in error.message:
                        raise
                    problem = error
                else:
                    return name
        raise AppConflictError(f"No subnet of {self._pool} is free for the network of {app}.") from problem

    def _free_subnets(self, existing: list[dict[str, Any]]) -> Iterator[Network]:
        """Yield the subnets of the pool that no network of the engine and no route of this machine overlaps."""
        taken = [
            ipaddress.ip_network(pool["Subnet"])
            for each in existing
            for pool in (each.get("IPAM") or {}).get("Config") or ()
            if pool.get("Subnet")
        ]
        taken += _routed_networks()
        near = [each for each in taken if each.version == 4 and each.overlaps(self._pool)]  # noqa: PLR2004 - IPv4
        for subnet in self._pool.subnets(new_prefix=_PREFIX):
            if not any(subnet.overlaps(each) for each in near):
                yield subnet

    def remove(self, app: str) -> None:
        """Remove the network of an app, if it exists. A network with other containers is kept."""
        with engine.engine_errors(f"The network of {app} cannot be removed"):
            for each in self._client.networks.list(names=[self._name(app)]):
                if each.name == self._name(app):
                    self._remove(each.id or "")

    def _remove(self, id_: str) -> None:
        try:
            self._client.api.remove_network(id_)
        except NotFound:
            pass
        except Exception as error:
            # 403: https://docs.docker.com/reference/api/engine/#tag/Network/operation/NetworkDelete.
            if getattr(error, "status_code", None) != 403:  # noqa: PLR2004
                raise

    def _name(self, app: str) -> str:
        return f"hosted-{app}-{self._identity}"


def _routed_networks() -> list[Network]:
    """Return the networks with a route on this machine, except the default route."""
    try:
        lines = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        # Hexadecimal, in the byte order of the machine: https://man7.org/linux/man-pages/man5/proc_pid_net.5.html.
        address, mask = (int.from_bytes(int(fields[at], 16).to_bytes(4, sys.byteorder), "big") for at in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((address, mask.bit_count()), strict=False))
    return found
