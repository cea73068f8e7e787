"""One virtual time for many threads: it moves on when all of them wait, and wakes one after the other, always in the same order."""

from __future__ import annotations

import heapq
import itertools
import threading


class SharedClock:
    """A clock for the workers of one run over `count` pieces of work that do not need each other, `concurrency` of them at a time.

    Of the workers one runs, and the others sleep. Each calls `begin` first, with the number of its piece of work, and whoever collects
    their ends calls `ended` for each, before it starts the next.
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
        """Return when `seconds` have passed, which is when every worker sleeps and no other one is to wake before."""
        self._wait(self._now + seconds, 1, next(self._numbers))

    def begin(self, number: int) -> None:
        """Wait for this worker's turn. Those that begin at one time get it in the order of their numbers."""
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
        # As long as one runs, has ended unheard, or is still to begin, time stands still.
        if self._sleeping and len(self._sleeping) == min(self._concurrency, self._left):
            until, _, _, gate = heapq.heappop(self._sleeping)
            self._now = max(self._now, until)
            gate.release()
