"""Find free ports on the loopback interface."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def listen(ports: Sequence[int]) -> socket.socket:
    """Return a listening socket on the loopback interface, on the first free port of `ports` or any free port."""
    for port in (*ports, 0):
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            continue  # a server answers; on some systems the bind below would still succeed
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            # With SO_REUSEADDR two sockets can bind the same port, but only one can listen.
            listening.listen(128)
        except OSError:
            listening.close()
            continue
        return listening
    raise SandboxError("the sandbox cannot start: no free port on this machine")


def read_ports(file: Path) -> tuple[int, ...]:
    """Return the port that a file contains, the last one of a server; empty without a valid file."""
    try:
        return (int(file.read_text(encoding="ascii")),)
    except (OSError, ValueError):
        return ()
