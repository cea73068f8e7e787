"""Start of the container manager as a background process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.files import STATE_HINT, state_directory

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

_START_SECONDS: Final = 60.0
_MAX_REPORT_BYTES: Final = 65536


@dataclass(frozen=True)
class StartedManager:
    """The port, process ID and log file of a manager in the background."""

    port: int
    pid: int
    log_file: Path


def log_file(port: int) -> Path:
    """Return the log file of the manager on `port`, below ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    return state_directory("container-manager") / f"{port}.log"


def start(config: Path, listening: socket.socket, file: Path, *, hosts: Collection[str] = ()) -> StartedManager:
    """Start a manager that serves on `listening`; return when it answers and has written `file`.

    `hosts` are further accepted host names. Raises SetupError with the reason if the manager does not start. Then neither the
    process nor the file remains.
    """
    port = listening.getsockname()[1]
    log = log_file(port)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        # The log of an earlier manager on this port.
        log.unlink(missing_ok=True)
        writing_log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise SetupError(f"the log {log} cannot be written: {error.strerror}", hint=STATE_HINT) from error
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of this package
            [
                *(sys.executable, "-m", "exasol_ci_setup.containers.manager"),
                *("--config", str(config.absolute()), "--file", str(file.absolute())),
                *("--listening-fd", str(listening.fileno()), "--ready-fd", str(writing)),
                *(argument for host in hosts for argument in ("--allow-host", host)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=writing_log,
            stderr=writing_log,
            cwd="/",
            env=_environment(),
            pass_fds=(listening.fileno(), writing),
            start_new_session=True,
        )
    finally:
        os.close(writing_log)
        os.close(writing)
    try:
        report = _read_report(reading)
    except BaseException:
        _terminate(process)
        raise
    finally:
        os.close(reading)
    # The first process exits after it has started the server, which therefore leaves no zombie.
    if report is None:
        _terminate(process)
        raise SetupError(f"the container manager was not ready after {_START_SECONDS:g} s", hint=f"see its log: {log}")
    process.wait()
    if "pid" not in report:
        raise SetupError(
            f"the container manager did not start: {report.get('message', 'no reason was reported')}",
            hint=f"see its log: {log}",
        )
    return StartedManager(port, int(report["pid"]), log)


def _read_report(reading: int) -> dict[str, Any] | None:
    """Return the report of the process: empty if it ended without one, None after the start timeout."""
    ready, _, _ = select.select([reading], [], [], _START_SECONDS)
    if not ready:
        return None
    content = os.read(reading, _MAX_REPORT_BYTES)
    report: dict[str, Any] = json.loads(content) if content else {}
    return report


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Terminate the session of the process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def _environment() -> dict[str, str]:
    """Return the current environment, with a PYTHONPATH that leads to this package."""
    package_root = Path(__file__).parents[3]
    values = dict(os.environ)
    if package_root.name not in {"site-packages", "dist-packages"}:
        # Relative entries do not work: the process has another working directory.
        inherited = [str(Path(entry).absolute()) for entry in values.get("PYTHONPATH", "").split(os.pathsep) if entry]
        values["PYTHONPATH"] = os.pathsep.join([*inherited, str(package_root)])
    return values
