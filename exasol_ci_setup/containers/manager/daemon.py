"""Start of the container manager as a background process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core import background
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.files import STATE_HINT, state_directory

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

_START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class StartedManager:
    """The port, process ID and log file of a manager in the background."""

    port: int
    pid: int
    log_file: Path


def log_file(port: int) -> Path:
    """Return the log file of the manager on `port`, below ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    return state_directory("container-manager") / f"{port}.log"


def start(
    config: Path, listening: socket.socket, file: Path, *, publish_address: str, hosts: Collection[str] = ()
) -> StartedManager:
    """Start a manager that serves on `listening`; return when it answers and has written `file`.

    `hosts` and `publish_address` are as in `serve.serve`. Raises SetupError with the reason if the manager does not start. Then neither the
    process nor the file remains.
    """
    port = listening.getsockname()[1]
    log = log_file(port)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        # The log of an earlier manager on this port.
        log.unlink(missing_ok=True)
        process, content = background.start(
            [
                *("-m", "exasol_ci_setup.containers.manager"),
                *("--config", str(config.absolute()), "--file", str(file.absolute())),
                *("--listening-fd", str(listening.fileno()), "--publish-address", publish_address),
                *(argument for host in hosts for argument in ("--allow-host", host)),
            ],
            log=log,
            directory=Path("/"),
            environment=background.with_package_path(os.environ),
            seconds=_START_SECONDS,
            inherited=[listening.fileno()],
        )
    except OSError as error:
        raise SetupError(f"the log {log} cannot be written: {error.strerror}", hint=STATE_HINT) from error
    # The first process exits after it has started the server, which therefore leaves no zombie.
    if content is None:
        background.terminate_session(process)
        raise SetupError(f"the container manager was not ready after {_START_SECONDS:g} s", hint=f"see its log: {log}")
    process.wait()
    report: dict[str, Any] = json.loads(content or b"{}")
    if "pid" not in report:
        raise SetupError(
            f"the container manager did not start: {report.get('message', 'no reason was reported')}",
            hint=f"see its log: {log}",
        )
    return StartedManager(port, int(report["pid"]), log)
