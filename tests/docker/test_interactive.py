"""Tests of interruptions while a container is created or removed: no container may remain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.docker import engine_server

USE = """
import signal
from exasol_ci_setup.docker import engine, interactive
signal.signal(signal.SIGINT, signal.default_int_handler)
with interactive.container(engine.connect(), "image", (), privileged=False):
    print("created", flush=True)
"""
# The time in which a client that does not wait for the creation would request the removal.
_EARLY_SECONDS = 0.5


@pytest.mark.parametrize("interrupted", [["POST"], ["DELETE"], ["POST", "DELETE"]], ids="+".join)
def test_interruption_of_creation_or_removal_leaves_no_container(interrupted: list[str]) -> None:
    with engine_server.running() as server:
        process = subprocess.Popen(
            [sys.executable, "-c", USE],
            env={**os.environ, "DOCKER_HOST": server.url, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        removing = threading.Event()

        def create() -> None:
            if "POST" in interrupted:
                process.send_signal(signal.SIGINT)
                removing.wait(_EARLY_SECONDS)

        def remove() -> None:
            removing.set()
            if "DELETE" in interrupted:
                process.send_signal(signal.SIGINT)

        server.hooks |= {"POST": create, "DELETE": remove}
        _, stderr = process.communicate()
        for request in server.pending:
            request.join()

    assert process.returncode != 0
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert len(server.pending) == 2
    assert server.containers == set()
