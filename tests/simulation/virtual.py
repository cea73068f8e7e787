"""A virtual time for many threads: it advances when all threads wait, and wakes one thread at a time in a fixed order."""

from __future__ import annotations

import heapq
import itertools
import threading


class SharedClock:
    """A clock for the workers of a run with `count` independent nodes, `concurrency` of them in parallel.

    Only one worker runs; all others sleep. Each worker first calls `begin` with the number of its node. The collector of the results
    calls `ended` for each node before it starts the next one.
    """

    def __init__(self, count: int, concurrency: int) -> None:
        self._left = count
        self._concurrency = concurrency
        self._now = 0.0
        self._lock = threading.Lock()
        self._sleeping: list[tuple[float, int, int, threading.Lock]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        """Return the time in seconds from the start."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`: when every worker sleeps and no other worker has an earlier time."""
        self._wait(self._now + seconds, 1, next(self._numbers))

    def begin(self, number: int) -> None:
        """Wait until this worker runs. Workers that begin at the same time run in the order of their numbers."""
        self._wait(self._now, 0, number)

    def ended(self) -> None:
        """Note that the work of one worker has ended."""
        with self._lock:
            self._left -= 1
            self._wake_next()

    def _wait(self, until: float, kind: int, number: int) -> None:
        gate = threading.Lock()
        gate.acquire()
        with self._lock:
            heapq.heappush(self._sleeping, (until, kind, number, gate))
            self._wake_next()
        gate.acquire()

    def _wake_next(self) -> None:
        # The time advances only if every worker sleeps, and each end was collected.
        if self._sleeping and len(self._sleeping) == min(self._concurrency, self._left):
            until, _, _, gate = heapq.heappop(self._sleeping)
            self._now = max(self._now, until)
            gate.release()
