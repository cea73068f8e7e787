"""How fast AWS is asked: one budget of requests for each account and region, which everything under way there shares, and which AWS can cut."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws_errors import is_throttled

if TYPE_CHECKING:
    from exasol_ci_setup.clock import Clock

# AWS does not publish CloudFormation's limits, and throttles by account and region. Eight stacks that are followed take five
# requests a second; what is above that is for their beginnings.
RATE: Final = 20.0
BURST: Final = 40.0
# Others may use the account too, so what AWS refuses says how much of its limit is left: the rate falls at once, and grows again slowly.
_DECREASE_FACTOR: Final = 0.7
_GROWTH: Final = 0.1  # requests a second, each second
_MIN_RATE: Final = 1.0
# Requests that were under way when the rate was cut say nothing of the new one, in seconds.
_CUT_COOLDOWN_SECONDS: Final = 1.0


class TokenBucket:
    """A token bucket: `burst` requests at once, then `rate` of them a second, or fewer while AWS refuses some. To be shared by threads."""

    def __init__(self, clock: Clock, *, rate: float = RATE, burst: float = BURST) -> None:
        self._clock = clock
        self._rate = self._most = rate
        self._burst = burst
        self._cut_at = float("-inf")
        self._left = burst
        self._at = clock.now()
        self._lock = Lock()

    @property
    def rate(self) -> float:
        """Requests a second, as AWS takes them at the moment."""
        return self._rate

    def take(self, **event: object) -> None:
        """Return when one more request may be sent.

        Made to be a handler of botocore's `before-send` and `response-received`, which come once an attempt: of the latter it only
        hears whether AWS refused for too many requests.
        """
        if "parsed_response" in event:
            if is_throttled(event["parsed_response"]):
                self._slow_down()
            return
        with self._lock:
            now = self._clock.now()
            self._rate = min(self._most, self._rate + (now - self._at) * _GROWTH)
            self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
            self._at = now
            # Below zero are those who wait: each as long as those before it take.
            wait = -self._left / self._rate
        if wait > 0:
            self._clock.sleep(wait)

    def _slow_down(self) -> None:
        with self._lock:
            now = self._clock.now()
            if now - self._cut_at >= _CUT_COOLDOWN_SECONDS:
                self._cut_at = now
                self._rate = max(_MIN_RATE, self._rate * _DECREASE_FACTOR)
                self._left = min(self._left, 0.0)


class RateLimiters:
    """The buckets of a run, one for each account and region."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._lock = Lock()

    def of(self, account: str, region: str) -> TokenBucket:
        """Return the bucket of `account`, known by any text that is its own, in `region`."""
        with self._lock:
            return self._buckets.setdefault((account, region), TokenBucket(self._clock))
