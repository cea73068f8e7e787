"""`python -m benchmarks.hosted`: compare the hosted API's list of 100 apps with a list call of the Docker engine; memory.

Needs a Docker engine with the image of the tests: `.ci/engine .venv/bin/python -m benchmarks.hosted`. Times are in milliseconds, of
requests over a Unix socket without nginx: median (least to most).
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from exasol_ci_setup.containers.hosted.instances import APP_LABEL, INSTANCE_LABEL
from exasol_ci_setup.containers.hosted.state import App, Phase, State
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import DockerClient

APPS = 100
ROUNDS = 50
IMAGE = "exasol-ci-setup-tests:base"


class Connection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(path: Path) -> bytes:
    """Send one request for the list over a new connection."""
    connection = Connection(path)
    connection.request("GET", "/")
    answer = connection.getresponse().read()
    connection.close()
    return answer


def measured(title: str, call: Callable[[], object]) -> float:
    """Print the times of a call, and return the median in milliseconds."""
    times: list[float] = []
    for number in range(ROUNDS + 5):
        began = time.perf_counter()
        call()
        if number >= 5:  # noqa: PLR2004 - the first ones warm up
            times.append(1e3 * (time.perf_counter() - began))
    median = statistics.median(times)
    print(f"  {title:<36} {median:6.1f} ms ({min(times):.1f} to {max(times):.1f})")
    return median


def memory(process: int) -> float:
    """Return the memory of a process and its children in MiB, with its part of shared pages."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    own = next(int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return own + sum(memory(int(child)) for child in children)


def fill(client: DockerClient, state: State) -> None:
    """Create the apps in the state after their deployment."""
    for number in range(APPS):
        name = f"app{number}"
        container = client.containers.run(
            IMAGE,
            ["sleep", "600"],
            detach=True,
            name=f"{name}.bench",
            labels={INSTANCE_LABEL: state.identity, APP_LABEL: name},
        )
        state.add_app(name, IMAGE, f"{name}.example.com")
        state.save_app(App(name, IMAGE, Phase.READY, container.id, 20000 + number, (), ()))


def main() -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        client = engine.connect()
        state = State(folder)
        fill(client, state)
        path = folder / "api.sock"
        service = subprocess.Popen(
            [
                *(sys.executable, "-m", "exasol_ci_setup", "hosted", "serve"),
                *("--socket", str(path), "--state", str(folder), "--nginx", "true", *sys.argv[1:]),
            ],
            env={**os.environ, "DEPLOY_KEY": "key"},
            stderr=subprocess.DEVNULL,
        )
        try:
            while not path.exists():
                time.sleep(0.05)
            shown = ask(path)
            print(f"\nThe list of {shown.count(b'running')} apps, {len(shown):,} bytes")
            service_ms = measured("GET / of the hosted API", lambda: ask(path))
            engine_ms = measured("list call of the engine", lambda: client.api.containers(all=True))
            print(f"  {'ratio':<36} {service_ms / engine_ms:6.2f}")
            print(f"  {'memory of the service':<36} {memory(service.pid):6.0f} MiB")
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait()
            for each in client.api.containers(all=True, filters={"label": INSTANCE_LABEL}):
                client.api.remove_container(each["Id"], force=True)
            client.close()


if __name__ == "__main__":
    main()
