"""`.ci/engine python -m benchmarks.containers`: measure the overhead of the container manager over the Docker engine.

Each pair is measured alternately, so that whatever else the machine does meets both. Figures are wall time in milliseconds: median
(least to most).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import DockerClient

BASE = "exasol-ci-setup-tests:base"
IMAGES = {"server": {"context": False, "commands": [f"FROM {BASE}", "CMD trap exit TERM; sleep 1000 & wait"]}}


@contextlib.contextmanager
def manager() -> Iterator[httpx.Client]:
    """Start a manager in the background, yield a client, and stop the manager."""
    with tempfile.TemporaryDirectory() as folder:
        config, file = Path(folder) / "harpoon.yml", Path(folder) / "manager"
        config.write_text(yaml.safe_dump({"images": IMAGES}), encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", "exasol_ci_setup", "container-manager", str(file), "--config", str(config)],
            check=True,
            env={**os.environ, "XDG_STATE_HOME": folder},
        )
        port = file.read_text(encoding="ascii").split()[0]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            try:
                yield client
            finally:
                client.get("/shutdown")


def took(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return (time.perf_counter() - began) * 1000, result


def print_times(name: str, values: list[float]) -> None:
    print(f"  {name:<44} {statistics.median(values):6.1f} ms ({min(values):.1f} to {max(values):.1f})")


def again(client: httpx.Client, docker: DockerClient, rounds: int) -> None:
    started = client.post("/start_container", json={"image": "server", "ports": [[0, 4545]]}).json()
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(took(lambda: docker.api.inspect_container(started["container_id"]))[0])
        ours.append(took(lambda: client.post("/start_container", json={"image": "server", "ports": [[0, 4545]]}))[0])
    print("\nStart of a container that runs already")
    print_times("start_container", ours)
    print_times("one inspect call of the engine", theirs)
    print(f"  difference of the medians: {statistics.median(ours) - statistics.median(theirs):.1f} ms")


def starts(client: httpx.Client, docker: DockerClient, rounds: int) -> None:
    client.post("/start_container", json={"image": "server", "ports": [[0, 4545]]})
    tag = docker.containers.list(filters={"label": "exasol-ci-setup.container-manager.image=server"})[0].image.tags[0]
    client.post("/stop_container", json={"image": "server"})
    host = docker.api.create_host_config(port_bindings={"4545/tcp": None})
    ours, creates, theirs = [], [], []
    for _ in range(rounds):
        creating, made = took(lambda: docker.api.create_container(tag, ports=[4545], host_config=host))
        starting, _ = took(partial(docker.api.start, made["Id"]))
        docker.api.remove_container(made["Id"], force=True)
        creates.append(creating)
        theirs.append(starting)
        taken, answer = took(lambda: client.post("/start_container", json={"image": "server", "ports": [[0, 4545]]}))
        if not json.loads(answer.text)["just_created"]:
            sys.exit("the container ran already")
        ours.append(taken)
        client.post("/stop_container", json={"image": "server"})
    print("\nStart of a container whose image exists")
    print_times("start_container", ours)
    print_times("create call of the engine", creates)
    print_times("start call of the engine", theirs)
    both = statistics.median([one + other for one, other in zip(creates, theirs, strict=True)])
    print(f"  overhead over create and start: {statistics.median(ours) - both:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    docker = engine.connect()
    with contextlib.closing(docker), manager() as client:
        again(client, docker, rounds)
        starts(client, docker, rounds)


if __name__ == "__main__":
    main()
