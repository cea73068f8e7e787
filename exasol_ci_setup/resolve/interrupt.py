"""Ctrl-C for work in threads: it arrives in the main thread, and the others hear of it where they wait."""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exasol_ci_setup.clock import Clock


class InterruptibleClock:
    """A clock whose `sleep` raises KeyboardInterrupt in each thread that sleeps, or comes to sleep, after `interrupt`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._interrupts = 0
        self._heard = local()

    def now(self) -> float:
        """Return the time in seconds from an arbitrary start."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed. Raises KeyboardInterrupt once for each `interrupt`."""
        self._hear()
        self._clock.sleep(seconds)
        self._hear()

    def interrupt(self) -> None:
        """Let all threads hear of a Ctrl-C."""
        self._interrupts += 1

    def _hear(self) -> None:
        if getattr(self._heard, "count", 0) < self._interrupts:
            self._heard.count = self._interrupts
            raise KeyboardInterrupt
