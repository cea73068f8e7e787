"""Run a graph of work in parallel: each node once its dependencies are done; a failure skips only its dependents."""

from __future__ import annotations

import time
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from enum import Enum
from graphlib import CycleError, TopologicalSorter
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import INTERRUPTED_UNCHANGED, InputError, OperationInterruptedError, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

CONCURRENCY: Final = 8
"""The default number of nodes in progress."""
# Seconds after Ctrl-C in which work in progress can delete what it created, or stop AWS. A call without an answer is not waited for
# any longer.
_GRACE: Final = 6.0


class End(str, Enum):
    """The outcome of a node."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Node:
    """A unit of work: its unique name, and the names of the nodes that must end before it."""

    name: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a node. `error` is the reason of a failure; `because` names the failed nodes that it was skipped for."""

    name: str
    end: End
    error: SetupError | None = None
    because: tuple[str, ...] = ()


def run(
    nodes: Iterable[Node],
    work: Callable[[str], End],
    *,
    concurrency: int = CONCURRENCY,
    interrupt: Callable[[], None] = lambda: None,
    ended: Callable[[Ended], None] = lambda _ended: None,
) -> list[Ended]:
    """Call `work` for each node, in threads, and return the results in the order of `order`.

    A node starts when its dependencies are done and fewer than `concurrency` nodes are in progress. When `work` raises a
    SetupError, the dependents of that node are skipped, and the rest continues. `ended` is called for each result, in this thread.

    After Ctrl-C no node starts. `interrupt` is called, which may notify the work in progress, and that has a few seconds to end. Nodes that
    have not started are skipped, with an OperationInterruptedError; `interruption` returns one error for all of them. A second Ctrl-C is raised immediately.
    If all nodes have started and ended as without Ctrl-C, KeyboardInterrupt is raised, so that the caller does not continue.

    Raises InputError as `order` does. Any other exception of `work` is raised when the nodes in progress have ended.
    """
    return _Run(order(nodes), work, concurrency=concurrency, ended=ended).to_the_end(interrupt)


class _Run:
    """One run of a graph: the waiting nodes, those in progress, and the results."""

    def __init__(
        self, ordered: list[Node], work: Callable[[str], End], *, concurrency: int, ended: Callable[[Ended], None]
    ) -> None:
        self._ordered = ordered
        self._work = work
        self._concurrency = concurrency
        self._ended = ended
        self._waiting = {node.name: node for node in ordered}
        self._running: set[str] = set()
        self._ends: dict[str, Ended] = {}
        self._done: SimpleQueue[tuple[str, End | BaseException]] = SimpleQueue()
        self._interrupted = False
        self._until: float | None = None
        self._crash: BaseException | None = None

    def to_the_end(self, interrupt: Callable[[], None]) -> list[Ended]:
        while True:
            try:
                if not self._interrupted and self._crash is None:
                    self._start_ready()
                if not self._running:
                    break
                self._store_outcome(*self._done.get(timeout=self._seconds_left()))
            except Empty:
                self._abandon_running()
                break
            except KeyboardInterrupt:
                if self._interrupted:
                    raise
                self._interrupted = True
                self._until = time.monotonic() + _GRACE
                interrupt()
        if self._crash is not None:
            raise self._crash
        for name in self._waiting:
            self._close(
                Ended(name, End.SKIPPED, error=OperationInterruptedError(f"interrupted; {name} was not changed"))
            )
        self._require_reported()
        return [self._ends[node.name] for node in self._ordered]

    def _abandon_running(self) -> None:
        # The threads are daemons and do not prevent the end of the process.
        for name in sorted(self._running):
            error = OperationInterruptedError(f"{name} did not end in time", stack_name=name)
            self._close(Ended(name, End.FAILED, error=error))

    def _require_reported(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came, and no result has an OperationInterruptedError."""
        if self._interrupted and interruption(self._ends.values()) is None:
            raise KeyboardInterrupt

    def _seconds_left(self) -> float | None:
        return None if self._until is None else max(self._until - time.monotonic(), 0.0)

    def _start_ready(self) -> None:
        """Start ready nodes up to the limit, and skip those whose dependencies failed."""
        # In the order of `order`, so that a skipped node is known when its dependents are checked.
        for node in list(self._waiting.values()):
            ends = [self._ends[name] for name in node.needs if name in self._ends]
            failed = [end for end in ends if end.end in {End.FAILED, End.SKIPPED}]
            if failed:
                del self._waiting[node.name]
                roots = (root for end in failed for root in (end.because or (end.name,)))
                self._close(Ended(node.name, End.SKIPPED, because=tuple(dict.fromkeys(roots))))
            elif len(ends) == len(node.needs) and len(self._running) < self._concurrency:
                del self._waiting[node.name]
                self._running.add(node.name)
                _start(self._work, node.name, self._done)

    def _store_outcome(self, name: str, outcome: End | BaseException) -> None:
        """Store the outcome of a node."""
        self._running.discard(name)
        if isinstance(outcome, End):
            self._close(Ended(name, outcome))
        elif isinstance(outcome, SetupError):
            self._close(Ended(name, End.FAILED, error=outcome))
        elif isinstance(outcome, KeyboardInterrupt):
            self._close(Ended(name, End.FAILED, error=OperationInterruptedError(f"{name} was interrupted")))
        else:
            self._crash = self._crash or outcome

    def _close(self, end: Ended) -> None:
        self._ends[end.name] = end
        self._ended(end)


def read_all(names: Iterable[str], read: Callable[[str], None]) -> None:
    """Call `read`, which changes nothing, for each name, in threads.

    Raises the error of the first name whose call failed, OperationInterruptedError or KeyboardInterrupt on Ctrl-C, and InputError as `order` does.
    """

    def work(name: str) -> End:
        read(name)
        return End.DONE

    ends = run([Node(name) for name in names], work)
    if interrupted := interruption(ends, changed=False):
        raise interrupted
    for end in ends:
        if end.error is not None:
            raise end.error


def interruption(ends: Iterable[Ended], *, changed: bool = True) -> OperationInterruptedError | None:
    """Return one error for all nodes that Ctrl-C stopped, None if it stopped none.

    `changed` is false only if it is certain that the work changed nothing.
    """
    found = list(ends)
    stopped = [end.error for end in found if isinstance(end.error, OperationInterruptedError)]
    if not stopped:
        return None
    if not changed:
        return OperationInterruptedError(INTERRUPTED_UNCHANGED)
    if len(found) == 1:
        return stopped[0]
    # The names of nodes: those of a fleet start with their target.
    continued = [end.name for end in found if isinstance(end.error, OperationInterruptedError) and end.error.stack_name]
    continued += [f"build {error.batch_id}" for error in stopped if error.batch_id]
    done = sum(end.end is End.DONE for end in found)
    failed = sum(end.end is End.FAILED and not isinstance(end.error, OperationInterruptedError) for end in found)
    counts = [f"{done} done", *([f"{failed} failed"] if failed else [])]
    remaining = f"; AWS may continue with {', '.join(continued)}" if continued else ""
    return OperationInterruptedError(
        f"interrupted; of {len(found)} stacks {' and '.join(counts)}{remaining}",
        hint="run the same command again: it continues with the rest",
    )


def _start(work: Callable[[str], End], name: str, done: SimpleQueue[tuple[str, End | BaseException]]) -> None:
    def body() -> None:
        outcome: End | BaseException
        try:
            outcome = context.run(work, name)
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            outcome = error
        done.put((name, outcome))

    context = copy_context()
    # A daemon thread, so that a second Ctrl-C ends the process without waiting for AWS.
    Thread(target=body, name=name, daemon=True).start()


def order(nodes: Iterable[Node]) -> list[Node]:
    """Return the nodes so that each comes after its dependencies, otherwise in the given order.

    Raises InputError for a duplicate name, an unknown dependency, and a cycle.
    """
    given = list(nodes)
    named = _by_name(given)
    if cycle := find_cycle({node.name: node.needs for node in given}):
        raise InputError(f"a cycle: {' → '.join(cycle)}", hint="remove one of these dependencies")
    placed: dict[str, Node] = {}
    for first in given:
        # Iterative: recursion would fail at Python's limit for a long chain.
        stack: list[tuple[str, bool]] = [(first.name, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                placed[name] = named[name]
            elif name not in placed:
                stack.append((name, True))
                stack.extend((need, False) for need in reversed(named[name].needs))
    return list(placed.values())


def find_cycle(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return a cycle as a chain of names, such as (a, b, a), each of which needs the next; empty if no cycle exists.

    The chain starts with the name that comes first in `needs`.
    """
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        # The chain of graphlib ends with the name that is needed first.
        chain = list(reversed(error.args[1]))[1:]
        places = {name: place for place, name in enumerate(needs)}
        start = chain.index(min(chain, key=places.__getitem__))
        return (*chain[start:], *chain[: start + 1])
    return ()


def find_cycles(needs: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """Yield cycles as `find_cycle` returns them, until no cycle remains without the first step of each of these."""
    left = {name: list(dict.fromkeys(each)) for name, each in needs.items()}
    while cycle := find_cycle(left):
        yield cycle
        left[cycle[0]].remove(cycle[1])


def find_blocked(needs: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the names in a cycle, and those that need one of them directly or indirectly."""
    sorter = TopologicalSorter(needs)
    with suppress(CycleError):
        sorter.prepare()
    blocked = set(needs)
    while ready := sorter.get_ready():
        blocked.difference_update(ready)
        sorter.done(*ready)
    return blocked


def _by_name(nodes: Sequence[Node]) -> dict[str, Node]:
    """Return the nodes by name. Raises InputError for a duplicate name and an unknown dependency."""
    named: dict[str, Node] = {}
    for node in nodes:
        if node.name in named:
            raise InputError(f"duplicate name {node.name!r}", hint="choose another name for one of them")
        named[node.name] = node
    for node in nodes:
        for name in node.needs:
            if name not in named:
                raise InputError(f"{node.name!r} needs {name!r}, which does not exist")
    return named


def backwards(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes with all dependencies reversed, for a deletion in reverse order."""
    needed_by: dict[str, list[str]] = {node.name: [] for node in nodes}
    for node in nodes:
        for name in dict.fromkeys(node.needs):
            needed_by[name].append(node.name)
    return [Node(node.name, tuple(needed_by[node.name])) for node in reversed(nodes)]
