"""The probes of a wait condition: commands in a container, and their expected results."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.containers.manager.options import WaitCondition

# Many commands are written for bash. Images without bash use their sh.
_SHELL: Final = 'command -v bash >/dev/null 2>&1 && exec bash -c "$1"; exec sh -c "$1"'
# Neither program prints the body of an error. Some builds of Busybox's wget fail with a time limit.
_FETCH: Final = (
    'if command -v curl >/dev/null 2>&1; then exec curl --silent --show-error --fail --max-time 10 -- "$1"; fi; '
    'exec wget -q -O - "$1"'
)
# The state LISTEN: https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html.
_LISTENS: Final = re.compile(r"^\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s+[0-9A-F]+:[0-9A-F]+\s+0A\s", re.MULTILINE)


@dataclass(frozen=True)
class Probe:
    """A command; `is_met` evaluates its exit status and output, `expects` describes the condition."""

    expects: str
    command: tuple[str, ...]
    is_met: Callable[[int, str], bool]


def probes(condition: WaitCondition) -> Iterator[Probe]:
    """Yield the probes that must all be met."""
    for path, pattern in condition.greps.items():
        yield Probe(f"{pattern!r} in {path}", ("grep", "-q", "-e", pattern, "--", path), _succeeds)
    for path, content in condition.file_value.items():
        yield Probe(f"{path} with {content!r}", ("cat", "--", path), _outputs(content))
    for port in condition.port_open:
        # Read from the kernel: few images have a program that connects, and a connection may disturb the server.
        listing = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || cat /proc/net/tcp"
        yield Probe(f"a listener on port {port}", ("sh", "-c", listing), _has_listener(port))
    for url, content in condition.curl_result.items():
        yield Probe(f"{url} with {content!r}", ("sh", "-c", _FETCH, "sh", url), _outputs(content))
    for path in condition.file_exists:
        yield Probe(f"a file {path}", ("sh", "-c", 'test -e "$1"', "sh", path), _succeeds)
    for command in condition.command:
        yield Probe(f"success of {command!r}", ("sh", "-c", _SHELL, "sh", command), _succeeds)


def _succeeds(status: int, _output: str) -> bool:
    return status == 0


def _outputs(content: str) -> Callable[[int, str], bool]:
    return lambda status, output: status == 0 and output.strip() == content.strip()


def _has_listener(port: int) -> Callable[[int, str], bool]:
    return lambda _status, output: any(int(found, 16) == port for found in _LISTENS.findall(output))
