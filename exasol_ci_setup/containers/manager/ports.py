"""Ports as they are asked for, as the engine takes them, and as it tells what it published."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.quotes import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROTOCOLS: Final = ("tcp", "udp", "sctp")
_LARGEST: Final = 65535
_FORMS: Final = 'CONTAINER, [HOST, CONTAINER] or [ADDRESS, HOST, CONTAINER], or a text such as "8080:80" or "53/udp"'
_MOST_PARTS: Final = 3


@dataclass(frozen=True)
class Port:
    """A port of a container, and where on the host it is published: on `host`, or on a free port if that is 0."""

    container: int
    protocol: str = "tcp"
    host: int = 0
    address: str = ""

    @property
    def key(self) -> str:
        """The port as answers name it: 4545, or 53/udp."""
        return str(self.container) if self.protocol == "tcp" else f"{self.container}/{self.protocol}"


def parse(written: Any) -> Port:
    """Return the port that was asked for in one of the forms of `docker run --publish`, as a text, a number or a list of their parts.

    Without an address it is published on all of the host's. Raises ValueError that says what is wrong.
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
        raise ValueError(f"{quoted(written)} is not a port: write {_FORMS}")
    if not 1 <= len(parts) <= _MOST_PARTS:
        raise ValueError(f"{quoted(written)} is not a port: write {_FORMS}")
    address, host, container = ["", "", *parts][-_MOST_PARTS:] if len(parts) < _MOST_PARTS else parts
    number, _, protocol = container.partition("/")
    if (protocol or "tcp") not in _PROTOCOLS:
        raise ValueError(
            f"{quoted(written)} has an unknown protocol {quoted(protocol)}: it is one of {', '.join(_PROTOCOLS)}"
        )
    return Port(
        _number(number, least=1, whole=written),
        protocol or "tcp",
        _number(host or "0", least=0, whole=written),
        _address(address, whole=written),
    )


def _number(text: str, *, least: int, whole: Any) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not least <= int(text) <= _LARGEST:
        raise ValueError(f"{quoted(whole)} has {quoted(text)} where a port from {least} to {_LARGEST} should be")
    return int(text)


def _address(text: str, *, whole: Any) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{quoted(whole)} has {quoted(text)} where an IP address should be") from None


def bindings(ports: Iterable[Port]) -> dict[str, list[tuple[str, int | None]]]:
    """Return the ports as docker-py takes them."""
    found: dict[str, list[tuple[str, int | None]]] = {}
    for port in ports:
        found.setdefault(f"{port.container}/{port.protocol}", []).append((port.address, port.host or None))
    return found


def merged(configured: Iterable[Port], asked: Iterable[Port]) -> tuple[Port, ...]:
    """Return the ports that were asked for, and those of the configuration of which nothing was asked."""
    wanted = tuple(asked)
    keys = {port.key for port in wanted}
    return (*wanted, *(port for port in configured if port.key not in keys))


def published(told: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the host's port of each published port of a container, from ``NetworkSettings.Ports`` of what the engine tells of it."""
    found: dict[str, int] = {}
    for name, places in (told or {}).items():
        number, _, protocol = name.partition("/")
        if places:
            found[Port(int(number), protocol or "tcp").key] = int(places[0]["HostPort"])
    return found
