"""Start a Python process of this package in the background, and end child processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_REPORT_BYTES: Final = 65536


def start(
    arguments: Sequence[str],
    *,
    log: Path,
    directory: Path,
    environment: Mapping[str, str],
    seconds: float,
    inherited: Sequence[int] = (),
) -> tuple[subprocess.Popen[bytes], bytes | None]:
    """Run ``python ARGUMENTS --ready-fd FD`` in `directory`, in a session of its own; return the process and its report.

    The output is appended to `log`, which only this user can read. The report is what the process, or a child that it leaves behind, writes to
    FD: empty if they end without one, None after `seconds`. After an error, such as Ctrl-C, the session is terminated.
    Raises OSError if the log cannot be written.
    """
    writing_log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of this package
            [sys.executable, *arguments, "--ready-fd", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=writing_log,
            stderr=writing_log,
            cwd=directory,
            env=environment,
            pass_fds=(*inherited, writing),
            start_new_session=True,
        )
    finally:
        os.close(writing_log)
        os.close(writing)
    try:
        # Unlike select(), poll() has no limit for the numbers of descriptors, of which a program that uses the library can have many.
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        return process, os.read(reading, _MAX_REPORT_BYTES) if poll.poll(seconds * 1000) else None
    except BaseException:
        terminate_session(process)
        raise
    finally:
        os.close(reading)


def terminate_session(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process and all others of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str], seconds: float) -> None:
    """Terminate a process; kill it if it has not ended after `seconds`."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def with_package_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with which a Python process in another directory imports this package."""
    package_root = Path(__file__).parents[2]
    if package_root.name in {"site-packages", "dist-packages"}:
        return dict(environment)
    # Absolute paths, because the process has another working directory.
    inherited = [str(Path(each).absolute()) for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    return {**environment, "PYTHONPATH": os.pathsep.join([*inherited, str(package_root)])}
