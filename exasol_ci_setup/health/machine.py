"""Check this machine: platform, Python, the AWS CLI, and the Docker engine."""

from __future__ import annotations

import contextlib
import http.client
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exasol_ci_setup.core.version import __version__
from exasol_ci_setup.health.check import AWS_CLI, DOCKER, PLATFORM

if TYPE_CHECKING:
    from exasol_ci_setup.health.check import Check

_MIN_PYTHON: Final = (3, 10)
_SYSTEMS: Final = ("Linux", "Darwin")
_CLI_TIMEOUT_SECONDS: Final = 5.0
_DOCKER_TIMEOUT_SECONDS: Final = 2.0
_DOCKER_PORT: Final = 2375

_INSTALL_CLI: Final = (
    "install it from https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html;"
    " no command of this tool needs it, but some hints name its commands"
)
_FOR_CONTAINERS: Final = "only needed to run containers on this machine"
_INSTALL_DOCKER: Final = f"install and start Docker, or set DOCKER_HOST; {_FOR_CONTAINERS}"


def platform_and_python(
    system: str = platform.system(),
    machine: str = platform.machine(),
    python: tuple[int, ...] = tuple(sys.version_info[:3]),
) -> Check:
    """Check that the tool supports this system; `python` is the version of Python."""
    message = f"exasol-ci-setup {__version__}, Python {'.'.join(map(str, python))} on {system} {machine}"
    if python < _MIN_PYTHON:
        return PLATFORM.problem(message, f"use Python {'.'.join(map(str, _MIN_PYTHON))} or newer")
    if system not in _SYSTEMS:
        return PLATFORM.warning(message, "this tool supports Linux and macOS; on Windows, use WSL")
    return PLATFORM.ok(message)


def aws_command_line() -> Check:
    """Check that `aws` is on the PATH and runs."""
    path = shutil.which("aws")
    if path is None:
        return AWS_CLI.warning("`aws` is not on the PATH", _INSTALL_CLI)
    try:
        ran = subprocess.run(  # noqa: S603 - what the PATH names, with a constant argument
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CLI_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return AWS_CLI.ok(f"{path}, which did not print its version within {_CLI_TIMEOUT_SECONDS:g} s")
    except OSError as error:
        return AWS_CLI.warning(f"{path} does not run: {error.strerror}", _INSTALL_CLI)
    # Old releases of version 1 write to stderr.
    output = (ran.stdout.strip() or ran.stderr.strip()).partition("\n")[0]
    if ran.returncode:
        return AWS_CLI.warning(f"{path} does not run: {output or f'exit code {ran.returncode}'}", _INSTALL_CLI)
    return AWS_CLI.ok(f"{output.partition(' ')[0]} at {path}")


def docker_engine() -> Check:
    """Check that the Docker engine answers, at DOCKER_HOST or a default socket. Failures are only warnings."""
    host = os.environ.get("DOCKER_HOST") or _default_socket()
    if host is None:
        return DOCKER.warning("no Docker engine was found", _INSTALL_DOCKER)
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError:
        return DOCKER.warning(f"DOCKER_HOST is not a valid address: {host}", f"correct or unset it; {_FOR_CONTAINERS}")
    if parts.scheme == "unix":
        connection: http.client.HTTPConnection = _UnixConnection(parts.path)
    elif parts.scheme in {"tcp", "http"} and not os.environ.get("DOCKER_TLS_VERIFY"):
        connection = http.client.HTTPConnection(
            parts.hostname or "127.0.0.1", port or _DOCKER_PORT, timeout=_DOCKER_TIMEOUT_SECONDS
        )
    else:
        return DOCKER.warning(
            f"{host} was not checked: this check supports Unix sockets and TCP without TLS",
            f"run `docker version` to see whether it answers; {_FOR_CONTAINERS}",
        )
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/_ping")
            answer = connection.getresponse()
            body = answer.read(16)
        except PermissionError:
            return DOCKER.warning(
                f"this user has no permission to use {host}",
                f"add the user to the socket's group (`sudo usermod -aG docker $USER`) and log in again;"
                f" {_FOR_CONTAINERS}",
            )
        except (OSError, http.client.HTTPException) as error:
            return DOCKER.warning(f"{host} does not answer: {_reason(error)}", _INSTALL_DOCKER)
    if answer.status != http.client.OK or body != b"OK":
        return DOCKER.warning(f"{host} does not answer as a Docker engine", _INSTALL_DOCKER)
    version = answer.getheader("Api-Version")
    return DOCKER.ok(f"{host} answers" + (f", API {version}" if version else ""))


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_DOCKER_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_DOCKER_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def _default_socket() -> str | None:
    """Return the URL of the socket of Docker, rootless Docker or Docker Desktop, if one exists."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [
        Path("/var/run/docker.sock"),
        *([Path(runtime) / "docker.sock"] if runtime else []),
        Path("~/.docker/run/docker.sock").expanduser(),
    ]
    return next((f"unix://{place}" for place in places if place.exists()), None)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
