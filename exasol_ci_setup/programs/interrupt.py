"""Deliver Ctrl-C to worker threads: the main thread receives it, the others get it when they sleep."""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exasol_ci_setup.core.clock import Clock


class InterruptibleClock:
    """A clock whose `sleep` raises KeyboardInterrupt once in each thread after `interrupt`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._interrupts = 0
        self._seen = local()

    def now(self) -> float:
        """Return the time in seconds from an arbitrary start."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`. Raises KeyboardInterrupt once for each `interrupt`."""
        self._raise_if_interrupted()
        self._clock.sleep(seconds)
        self._raise_if_interrupted()

    def interrupt(self) -> None:
        """Interrupt all threads."""
        self._interrupts += 1

    def _raise_if_interrupted(self) -> None:
        if getattr(self._seen, "count", 0) < self._interrupts:
            self._seen.count = self._interrupts
            raise KeyboardInterrupt
