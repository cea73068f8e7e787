"""Container managers as processes, and the containers and networks that they leave on the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import yaml

PROGRAM = (sys.executable, "-m", "exasol_ci_setup", "container-manager")


def docker(*arguments: str) -> str:
    ran = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def on_engine(label: str = "exasol-ci-setup.container-manager") -> dict[str, list[str]]:
    """Return the containers and networks with a label."""
    return {
        "containers": docker("ps", "--all", "--quiet", "--filter", f"label={label}").split(),
        "networks": docker("network", "ls", "--quiet", "--filter", f"label={label}").split(),
    }


NOTHING: dict[str, list[str]] = {"containers": [], "networks": []}


def until(what: Any) -> Any:
    """Wait until `what()` is true, and return its value. The time limit of the test is the only one."""
    while not (found := what()):
        time.sleep(0.02)
    return found


class Manager:
    """A manager in the background, with `images` and other values in its configuration in `folder`."""

    def __init__(
        self,
        folder: Path,
        images: dict[str, Any],
        environment: dict[str, str] | None = None,
        options: Sequence[str] = (),
        **more: Any,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "harpoon.yml").write_text(yaml.safe_dump({"images": images, **more}))
        self.file = folder / "manager"
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), **(environment or {})}
        ran = self.command(str(self.file), *options)
        assert ran.returncode == 0, ran.stderr
        self.stderr = ran.stderr
        port, pid = self.file.read_text().split()
        self.port, self.pid = int(port), int(pid)
        self.log = folder / "state" / "exasol-ci-setup" / "container-manager" / f"{port}.log"
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, limits=httpx.Limits(max_connections=None)
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def start(self, image: str, *ports: Any, **more: Any) -> dict[str, Any]:
        """Start a container without error, and return the answer."""
        answer = self.post("/start_container", image=image, ports=list(ports), **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def stop(self, image: str) -> None:
        assert self.post("/stop_container", image=image).status_code == 204

    def post_in_parallel(self, times: int, path: str, **body: Any) -> list[httpx.Response]:
        """Post a request several times in parallel."""
        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(lambda _: self.post(path, **body), range(times)))

    @property
    def is_alive(self) -> bool:
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            # The second one if the process ends while the file is read.
            return False
        return state != "Z"

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal, and wait until the process has ended."""
        if self.is_alive:
            os.kill(self.pid, number)
            until(lambda: not self.is_alive)
        self.http.close()
