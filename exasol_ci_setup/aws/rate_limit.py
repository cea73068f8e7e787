"""Limit the rate of AWS requests: one token bucket for each account and region, whose rate falls when AWS throttles."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.errors import is_throttled

if TYPE_CHECKING:
    from exasol_ci_setup.core.clock import Clock

# AWS does not publish CloudFormation's limits, and throttles by account and region. Following eight stacks takes five
# requests a second; the rest is for their start.
RATE: Final = 20.0
BURST: Final = 40.0
# Other clients may use the account too. A throttled request means that the limit is reached: the rate falls immediately, and grows again slowly.
_DECREASE_FACTOR: Final = 0.7
_GROWTH: Final = 0.1  # requests a second, each second
_MIN_RATE: Final = 1.0
# Seconds in which requests that were in progress when the rate was cut do not cut it again.
_CUT_COOLDOWN_SECONDS: Final = 1.0


class TokenBucket:
    """A token bucket: `burst` requests without a wait, then `rate` a second, or fewer while AWS throttles. Thread-safe."""

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
        """The current rate, in requests a second."""
        return self._rate

    def acquire(self, **event: object) -> None:
        """Return when one more request may be sent.

        This is a handler of botocore's events `before-send` and `response-received`, which come for each attempt. For the latter it only
        checks whether AWS throttled the request.
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
            # A negative number of tokens is the number of waiting requests: each waits for those before it.
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
    """The token buckets of a run, one for each account and region."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._lock = Lock()

    def of(self, account: str, region: str) -> TokenBucket:
        """Return the bucket of `account`, any text that identifies it, in `region`."""
        with self._lock:
            return self._buckets.setdefault((account, region), TokenBucket(self._clock))
