"""How fast AWS is asked: one budget of requests for each account and region, which everything under way there shares."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exasol_ci_setup.clock import Clock

# AWS does not publish CloudFormation's limits, and throttles by account and region. Eight stacks that are followed take five
# requests a second; what is above that is for their beginnings.
RATE: Final = 20.0
BURST: Final = 40.0


class Bucket:
    """A token bucket: `burst` requests at once, then `rate` of them a second. To be shared by threads."""

    def __init__(self, clock: Clock, *, rate: float = RATE, burst: float = BURST) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = clock.now()
        self._lock = Lock()

    def take(self, **_event: object) -> None:
        """Return when one more request may be sent; made to be a handler of botocore's `before-send`, which comes once an attempt."""
        with self._lock:
            now = self._clock.now()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
            self._at = now
            # Below zero are those who wait: each as long as those before it take.
            wait = -self._left / self._rate
        if wait > 0:
            self._clock.sleep(wait)


class Budgets:
    """The buckets of a run, one for each account and region."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._lock = Lock()

    def of(self, account: str, region: str) -> Bucket:
        """Return the bucket of `account`, known by any text that is its own, in `region`."""
        with self._lock:
            return self._buckets.setdefault((account, region), Bucket(self._clock))
