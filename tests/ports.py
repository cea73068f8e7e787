"""Ports of the servers that tests start, stop and start again."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port() -> int:
    """Return a port below the ephemeral ports, so that no connection uses it while the server is stopped."""
    while True:
        port = random.randint(20_000, 29_999)  # noqa: S311 - not a secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
