"""Check this machine: platform, Python, the AWS CLI, and the Docker engine."""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import EngineError
from exasol_ci_setup.core.version import __version__
from exasol_ci_setup.docker import engine
from exasol_ci_setup.health.check import AWS_CLI, DOCKER, PLATFORM

if TYPE_CHECKING:
    from exasol_ci_setup.health.check import Check

_MIN_PYTHON: Final = (3, 10)
_SYSTEMS: Final = ("Linux", "Darwin")
_CLI_TIMEOUT_SECONDS: Final = 5.0
_DOCKER_TIMEOUT_SECONDS: Final = 2

_INSTALL_CLI: Final = (
    "install it from https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html;"
    " no command of this tool needs it, but some hints name its commands"
)
_FOR_CONTAINERS: Final = "only needed to run containers on this machine"


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
    """Check that the selected Docker engine answers. Failures are only warnings."""
    try:
        with contextlib.closing(engine.connect(timeout=_DOCKER_TIMEOUT_SECONDS)) as client:
            return DOCKER.ok(f"{engine.address()} answers, API {client.api.api_version}")
    except EngineError as error:
        return DOCKER.warning(error.message, f"{error.hint}; {_FOR_CONTAINERS}")
