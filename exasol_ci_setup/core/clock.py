"""Time as the waiting functions see it, so that tests run hours in no time."""

from __future__ import annotations

import time
from typing import Final, Protocol

# Time without a message after which a wait reports that it continues. Polls are at most 5 s apart, so that a line follows within 30 s:
# some CI systems end a job that prints nothing.
HEARTBEAT_SECONDS: Final = 25.0


class Clock(Protocol):
    """Seconds that only grow, and a way to let them pass."""

    def now(self) -> float:
        """Return the time in seconds from an arbitrary start."""

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the time in seconds from an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed."""
        time.sleep(seconds)
