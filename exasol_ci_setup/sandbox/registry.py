"""Run the registry program that serves ECR, on the loopback interface and with a password."""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import subprocess
import time
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core import background
from exasol_ci_setup.core.errors import SandboxError
from exasol_ci_setup.core.files import write_whole
from exasol_ci_setup.sandbox.ports import listen, read_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PROGRAMS: Final = ("docker-registry", "registry")
"""The names of the registry program: that of Debian, and that of https://github.com/distribution/distribution/releases."""

USER: Final = "AWS"
"""The user of all ECR tokens: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_AuthorizationData.html."""

DATA_DIR: Final = "data"
"""The folder with the images, below the directory of `running`."""

_PORT_FILE: Final = "port"
_START_SECONDS: Final = 10.0
_END_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 5.0
_TRIES: Final = 5
# Ends the registry when this process ends, also after SIGKILL: the registry's stdin is a pipe that only this process holds open.
_GUARDED: Final = 'exec 3<&0; (read -r _ <&3; kill -TERM "$$") 2>/dev/null & exec "$@" 3<&- </dev/null'


@dataclass(frozen=True)
class Registry:
    """A running registry: HOST:PORT, the password of the user AWS, and the directory with its images."""

    address: str
    password: str = field(repr=False)
    data: Path

    @property
    def url(self) -> str:
        """The URL of the registry."""
        return f"http://{self.address}"

    def path(self, account: str, region: str, repository: str) -> str:
        """Return the path of an ECR repository in the registry: account and region, then its name."""
        return f"{account}/{region}/{repository}"

    def uri(self, account: str, region: str, repository: str) -> str:
        """Return the address that replaces ``ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY``."""
        return f"{self.address}/{self.path(account, region, repository)}"

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send a request with the password; return status and body, or 0 without an answer."""
        password = b64encode(f"{USER}:{self.password}".encode()).decode()
        return send_request(
            self.address, method, path, body=body, headers={"Authorization": f"Basic {password}", **headers}
        )

    def forget(self) -> None:
        """Delete all images. The program keeps no images in memory."""
        shutil.rmtree(self.data, ignore_errors=True)


# A process has one set of services, and so at most one registry.
_RUNNING: list[Registry] = []


def current() -> Registry | None:
    """Return the registry that serves ECR in this process, or None."""
    return _RUNNING[-1] if _RUNNING else None


def program() -> str:
    """Return the path of the registry program. Raises SandboxError if it is not installed."""
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    raise SandboxError(
        f"the registry program is not installed: neither {' nor '.join(f'`{name}`' for name in PROGRAMS)} is on PATH",
        hint="run `apt-get install docker-registry`, or put the program of github.com/distribution/distribution/releases on PATH",
    )


@contextmanager
def running(directory: Path) -> Iterator[Registry]:
    """Run a registry that stores its files in `directory`, and serve ECR from it while the context is open.

    The registry ends with this process, even if the process is killed. It uses its last port again if that is free. Raises SandboxError if the
    program is not installed or does not start.
    """
    path = program()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    registry, process = _start(path, directory)
    _RUNNING.append(registry)
    try:
        yield registry
    finally:
        _RUNNING.remove(registry)
        _end(process)


def _start(path: str, directory: Path) -> tuple[Registry, subprocess.Popen[bytes]]:
    password = secrets.token_urlsafe(32)
    write_whole(directory / "htpasswd", (f"{USER}:{_bcrypt(password)}\n").encode(), mode=0o600)
    for attempt in range(_TRIES):
        # Another process can bind the port before the program does.
        with listen(read_ports(directory / _PORT_FILE) if attempt == 0 else ()) as free:
            port = free.getsockname()[1]
        registry = Registry(f"127.0.0.1:{port}", password, directory / DATA_DIR)
        process = _spawn(path, directory, registry)
        if _is_ready(registry, process):
            write_whole(directory / _PORT_FILE, (str(port)).encode(), mode=0o600)
            return registry, process
        _end(process)
    log = directory / "registry.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise SandboxError(
        f"the registry did not start: {lines[-1] if lines else 'it wrote nothing to its log'}",
        hint=f"its log: {log}",
    )


def _spawn(path: str, directory: Path, registry: Registry) -> subprocess.Popen[bytes]:
    # JSON is YAML too.
    configuration = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(registry.data)}, "delete": {"enabled": True}},
        "http": {"addr": registry.address, "secret": secrets.token_hex(16)},
        "auth": {"htpasswd": {"realm": "sandbox", "path": str(directory / "htpasswd")}},
    }
    write_whole(directory / "config.yml", json.dumps(configuration, indent=1).encode(), mode=0o600)
    with (directory / "registry.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - the program found on PATH, with our own files
            ["/bin/sh", "-c", _GUARDED, "registry", path, "serve", str(directory / "config.yml")],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=directory,
            # Variables named REGISTRY_… would change its configuration. Traces are off because no collector runs.
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
            start_new_session=True,
        )


def _is_ready(registry: Registry, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the registry accepts the password, which no other server does; False if it ends or times out."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        status, _ = registry.send("GET", "/v2/")
        if status == http.client.OK:
            return True
        time.sleep(0.01)
    return False


def send_request(
    address: str,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = _ANSWER_SECONDS,
) -> tuple[int, bytes]:
    """Send a request to HOST:PORT, unlike urllib never through a proxy; return status and body, or 0 without an answer."""
    connection = http.client.HTTPConnection(address, timeout=seconds)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    background.end(process, _END_SECONDS)
    if process.stdin is not None:
        process.stdin.close()


def _bcrypt(password: str) -> str:
    import bcrypt

    # Each request is checked against the hash. The password has 32 random bytes, so the cheapest hash is safe.
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
