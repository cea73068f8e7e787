"""The worker processes of nginx: those that accept requests, and those that are shutting down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Worker = tuple[int, int]
"""A worker: its process ID and start time."""

_WORKER: Final = b"nginx: worker process"
_LEAVING: Final = b"is shutting down"


@dataclass(frozen=True, slots=True)
class Process:
    """A worker of nginx, the process ID of its master, and whether it is shutting down."""

    worker: Worker
    master: int
    is_leaving: bool = False


def group_serving(processes: Iterable[Process]) -> dict[int, set[Worker]]:
    """Return the workers that accept new connections, by their master."""
    found: dict[int, set[Worker]] = {}
    for each in processes:
        if not each.is_leaving:
            found.setdefault(each.master, set()).add(each.worker)
    return found


def worker_processes() -> Iterator[Process]:
    """Yield the workers of nginx on this machine, except those in containers."""
    depth = _depth_and_parent("self")[0]
    for entry in Path("/proc").glob("[0-9]*"):
        title = _title(int(entry.name))
        if title.startswith(_WORKER):
            own, master = _depth_and_parent(entry.name)
            worker = int(entry.name), _start(int(entry.name))
            if own == depth and master and worker[1]:
                yield Process(worker, master, _LEAVING in title)


def is_alive(worker: Worker) -> bool:
    """Return whether a worker of nginx still runs. The start time detects a reused process ID."""
    process, start = worker
    return bool(_title(process)) and _start(process) == start


def _title(process: int) -> bytes:
    """Return the title of a process of nginx, or empty bytes for any other process ID."""
    try:
        title = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
    return title if title.startswith(b"nginx: ") else b""


def _start(process: int) -> int:
    """Return the start time of a process in ticks since boot, or 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return 0
    # The second field, a name in parentheses, may contain spaces: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return int(status.rpartition(b")")[2].split()[19])


def _depth_and_parent(process: str) -> tuple[int, int]:
    """Return the depth of the PID namespace of a process and its parent; zeros if it has ended.

    The depth is greater in a container.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0, 0
    facts = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    # https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    return len(facts.get("NSpid", ())), int(facts["PPid"][0])
