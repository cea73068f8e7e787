"""The container manager in the background: started in a process of its own that outlives the caller, who waits until it answers."""

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

from exasol_ci_setup.errors import SetupError

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

_START_SECONDS: Final = 60.0
_LARGEST_WORD: Final = 65536  # bytes


@dataclass(frozen=True)
class Started:
    """Where the manager listens, its process, and its log."""

    port: int
    pid: int
    log_file: Path


def log_file(port: int) -> Path:
    """Return where the manager on `port` writes its log: below ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    # The XDG base directory specification wants a relative path ignored.
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "exasol-ci-setup" / "container-manager" / f"{port}.log"


def start(config: Path, listening: socket.socket, file: Path, *, hosts: Collection[str] = ()) -> Started:
    """Start a manager that serves on `listening`, and return when it answers and has written `file`.

    `hosts` are further names under which it may be reached.

    Raises SetupError with the reason if it does not come so far; then there is no process left, and no file.
    """
    port = listening.getsockname()[1]
    log = log_file(port)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        # Of a manager that listened on this port before.
        log.unlink(missing_ok=True)
        writing_log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise SetupError(
            f"the log {log} cannot be written: {error.strerror}", hint="set XDG_STATE_HOME to another folder"
        ) from error
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
            [
                *(sys.executable, "-m", "exasol_ci_setup.containers.manager"),
                *("--config", str(config.absolute()), "--file", str(file.absolute())),
                *("--listening-fd", str(listening.fileno()), "--ready-fd", str(writing)),
                *(word for host in hosts for word in ("--allow-host", host)),
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
        word = _word(reading)
    except BaseException:
        _end(process)
        raise
    finally:
        os.close(reading)
    # The first process only starts the one that serves, which so belongs to nobody and leaves no zombie.
    if word is None:
        _end(process)
        raise SetupError(f"the container manager was not ready after {_START_SECONDS:g} s", hint=f"its log: {log}")
    process.wait()
    if "pid" not in word:
        raise SetupError(
            f"the container manager ended at once: {word.get('message', 'it gave no reason')}", hint=f"its log: {log}"
        )
    return Started(port, int(word["pid"]), log)


def _word(reading: int) -> dict[str, Any] | None:
    """Return what the process says, nothing in it if it has ended without a word, or None if it says nothing for too long."""
    ready, _, _ = select.select([reading], [], [], _START_SECONDS)
    if not ready:
        return None
    said = os.read(reading, _LARGEST_WORD)
    word: dict[str, Any] = json.loads(said) if said else {}
    return word


def _end(process: subprocess.Popen[bytes]) -> None:
    """End all that was started, which is a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def _environment() -> dict[str, str]:
    """Return this environment, which containers may need, with this package where the process finds it."""
    package_root = Path(__file__).parents[3]
    values = dict(os.environ)
    if package_root.name not in {"site-packages", "dist-packages"}:
        # It has another working directory, so that of this process does not count.
        inherited = [str(Path(entry).absolute()) for entry in values.get("PYTHONPATH", "").split(os.pathsep) if entry]
        values["PYTHONPATH"] = os.pathsep.join([*inherited, str(package_root)])
    return values
