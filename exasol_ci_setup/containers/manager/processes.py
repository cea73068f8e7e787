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
_MACHINE_ID: Final = Path("/etc/machine-id")  # https://man7.org/linux/man-pages/man5/machine-id.5.html
_UNKNOWN: Final = "-"
_STATE: Final = 0
_START_TIME: Final = 19  # field 22 of the file; the first two are removed


def own_labels() -> dict[str, str]:
    """Return the labels for the containers and networks of this process.

    Process IDs are used again, and each PID namespace has its own. The second label therefore has the ID of the machine, its boot, the
    PID namespace, and the start time of the process. It is missing on systems without ``/proc``.
    """
    labels = {PROCESS_LABEL: f"{socket.gethostname()}:{os.getpid()}"}
    here, start = _find_here(), _start_time(os.getpid())
    return {**labels, START_LABEL: f"{' '.join(here)} {start}"} if here and start else labels


def has_ended(labels: Mapping[str, str], *, is_running: bool) -> bool:
    """Return whether the labels are of a process of this host that does not exist any more.

    `is_running` is whether the labeled container runs. The result is False if the end is unknown: for other hosts, other PID namespaces,
    and processes that this user cannot see. Processes of an earlier boot have ended; but two hosts may be copies of one image, with one
    name and ID, so what runs may be that of another host.
    """
    host, _, pid = labels.get(PROCESS_LABEL, "").rpartition(":")
    *there, start = labels.get(START_LABEL, "").split(" ")
    here = _find_here()
    if (
        host != socket.gethostname()
        or not pid.isascii()
        or not pid.isdigit()
        or here is None
        or len(there) != len(here)
    ):
        return False
    machine, boot, space = there
    if boot != here[1]:
        return machine == here[0] != _UNKNOWN and not is_running
    return space == here[2] and _start_time(int(pid)) not in {start, None}


def _find_here() -> tuple[str, str, str] | None:
    """Return the ID of the machine, its boot and the PID namespace, or None if they are unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return None
    try:
        machine = _MACHINE_ID.read_text(encoding="ascii").strip() or _UNKNOWN
    except (OSError, UnicodeDecodeError):
        machine = _UNKNOWN
    return machine, boot, space


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
