"""Ports in requests, in arguments of the Docker API, and in its answers."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.text import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROTOCOLS: Final = ("tcp", "udp", "sctp")
_MAX_PORT: Final = 65535
_FORMS: Final = 'CONTAINER, [HOST, CONTAINER] or [ADDRESS, HOST, CONTAINER], or a string such as "8080:80" or "53/udp"'
_MAX_PARTS: Final = 3

LOOPBACK: Final = "127.0.0.1"
"""The default address of published ports."""


@dataclass(frozen=True)
class Port:
    """A container port and the host port that publishes it; `host` 0 selects a free port.

    An empty `address` is that of `--publish-address`.
    """

    container: int
    protocol: str = "tcp"
    host: int = 0
    address: str = ""

    @property
    def key(self) -> str:
        """The key of the port in answers: 4545, or 53/udp."""
        return str(self.container) if self.protocol == "tcp" else f"{self.container}/{self.protocol}"


def parse(written: Any) -> Port:
    """Parse a port: a string or number as in `docker run --publish`, or a list of its parts.

    Raises ValueError with the reason.
    Source of the forms: https://docs.docker.com/reference/cli/docker/container/run/#publish.
    """
    if isinstance(written, str):
        bracketed = re.fullmatch(r"\[([^]]*)\]:(.*)", written)
        parts = [bracketed[1], *bracketed[2].split(":")] if bracketed else written.split(":")
    elif isinstance(written, int) and not isinstance(written, bool):
        parts = [str(written)]
    elif isinstance(written, (list, tuple)) and all(type(each) in {int, str} for each in written):
        parts = [str(each) for each in written]
    else:
        raise ValueError(f"{quote(written)} is not a port: write {_FORMS}")
    if not 1 <= len(parts) <= _MAX_PARTS:
        raise ValueError(f"{quote(written)} is not a port: write {_FORMS}")
    address, host, container = ["", "", *parts][-_MAX_PARTS:] if len(parts) < _MAX_PARTS else parts
    number, _, protocol = container.partition("/")
    if (protocol or "tcp") not in _PROTOCOLS:
        raise ValueError(
            f"{quote(written)} has an unknown protocol {quote(protocol)}: use one of {', '.join(_PROTOCOLS)}"
        )
    return Port(
        _number(number, least=1, whole=written),
        protocol or "tcp",
        _number(host or "0", least=0, whole=written),
        _parse_address(address, whole=written),
    )


def _number(text: str, *, least: int, whole: Any) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not least <= int(text) <= _MAX_PORT:
        raise ValueError(f"{quote(whole)} has the invalid port {quote(text)}: use {least} to {_MAX_PORT}")
    return int(text)


def _parse_address(text: str, *, whole: Any) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{quote(whole)} has the invalid IP address {quote(text)}") from None


def to_bindings(ports: Iterable[Port], address: str) -> dict[str, list[tuple[str, int | None]]]:
    """Return the ports as the argument `port_bindings` of docker-py; `address` is for ports without an address."""
    found: dict[str, list[tuple[str, int | None]]] = {}
    for port in ports:
        found.setdefault(f"{port.container}/{port.protocol}", []).append((port.address or address, port.host or None))
    return found


def merge(configured: Iterable[Port], requested: Iterable[Port]) -> tuple[Port, ...]:
    """Return the requested ports, and the configured ports that were not requested."""
    wanted = tuple(requested)
    keys = {port.key for port in wanted}
    return (*wanted, *(port for port in configured if port.key not in keys))


def read_published(port_map: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the host port of each published port, from ``NetworkSettings.Ports`` of an inspected container."""
    found: dict[str, int] = {}
    for name, places in (port_map or {}).items():
        number, _, protocol = name.partition("/")
        if places:
            found[Port(int(number), protocol or "tcp").key] = int(places[0]["HostPort"])
    return found
