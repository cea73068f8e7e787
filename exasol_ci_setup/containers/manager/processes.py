"""Labels that identify the process of a manager, so that a later manager can find what a killed one left."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PROCESS_LABEL: Final = "exasol-ci-setup.container-manager.process"
START_LABEL: Final = "exasol-ci-setup.container-manager.start"

_PROC: Final = Path("/proc")
_STATE: Final = 0
_START_TIME: Final = 19  # field 22 of the file; the first two are removed


def own_labels() -> dict[str, str]:
    """Return the labels for the containers and networks of this process.

    Process IDs are used again, and each PID namespace has its own. The second label therefore has the boot of the host, the PID
    namespace, and the start time of the process. It is missing on systems without ``/proc``.
    """
    labels = {PROCESS_LABEL: f"{socket.gethostname()}:{os.getpid()}"}
    space, start = _pid_space(), _start_time(os.getpid())
    return {**labels, START_LABEL: f"{space} {start}"} if space and start else labels


def has_ended(labels: Mapping[str, str]) -> bool:
    """Return whether the labels are of a process of this host that does not exist any more.

    The result is False if that is unknown: for other hosts, earlier boots, other PID namespaces, and processes that this user cannot see.
    """
    host, _, pid = labels.get(PROCESS_LABEL, "").rpartition(":")
    space, _, start = labels.get(START_LABEL, "").rpartition(" ")
    if host != socket.gethostname() or not pid.isascii() or not pid.isdigit() or not space or space != _pid_space():
        return False
    return _start_time(int(pid)) not in {start, None}


def _pid_space() -> str:
    """Return the boot of the host and the PID namespace, or an empty string."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    """Return the start time of a process in clock ticks: empty if it has ended, None if it cannot be read.

    Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html.
    """
    try:
        # The name of the program is in parentheses, and may contain parentheses and spaces.
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "" if not _exists(pid) else None
    except OSError:
        return None
    return "" if fields[_STATE] in {"Z", "X"} else fields[_START_TIME]


def _exists(pid: int) -> bool:
    """Return whether a process exists, also if the mount option `hidepid` hides it."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
