"""The worker processes of nginx: which take new requests, and which still answer those that they have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Worker = tuple[int, int]
"""A worker: its process, and when that was started."""

_WORKER: Final = b"nginx: worker process"
_LEAVING: Final = b"is shutting down"


@dataclass(frozen=True, slots=True)
class Process:
    """A worker of nginx, the process of its master, and whether it only ends the requests that it has."""

    worker: Worker
    master: int
    is_leaving: bool = False


def serving(processes: Iterable[Process]) -> dict[int, set[Worker]]:
    """Return the workers that take new connections, by their master."""
    found: dict[int, set[Worker]] = {}
    for each in processes:
        if not each.is_leaving:
            found.setdefault(each.master, set()).add(each.worker)
    return found


def worker_processes() -> Iterator[Process]:
    """Give the workers of nginx on this machine. Those of an nginx in a container do not count."""
    depth = _depth_and_parent("self")[0]
    for entry in Path("/proc").glob("[0-9]*"):
        title = _title(int(entry.name))
        if title.startswith(_WORKER):
            own, master = _depth_and_parent(entry.name)
            worker = int(entry.name), _start(int(entry.name))
            if own == depth and master and worker[1]:
                yield Process(worker, master, _LEAVING in title)


def is_there(worker: Worker) -> bool:
    """Return whether a worker of nginx has not ended. Its number alone may be another process's by now."""
    process, start = worker
    return bool(_title(process)) and _start(process) == start


def _title(process: int) -> bytes:
    """Return the title of a process of nginx, empty if there is none of that number."""
    try:
        title = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
    return title if title.startswith(b"nginx: ") else b""


def _start(process: int) -> int:
    """Return when a process was started, in ticks since the machine was, or 0 if it is gone."""
    try:
        status = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return 0
    # Its second field, a name in parentheses, may hold blanks: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return int(status.rpartition(b")")[2].split()[19])


def _depth_and_parent(process: str) -> tuple[int, int]:
    """Return how many namespaces know a process by a number, which is one more in a container, and its parent; zeros if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0, 0
    facts = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    # https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    return len(facts.get("NSpid", ())), int(facts["PPid"][0])
