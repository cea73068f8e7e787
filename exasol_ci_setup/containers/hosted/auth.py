"""Authentication with the deploy key: constant-time comparison, and delays after many wrong keys."""

from __future__ import annotations

import collections
import hmac
import math
import threading
import time
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import KeyRefusedError, TooManyAttemptsError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WRONG_KEYS: Final = 10
"""How many wrong keys of one address within `WINDOW_SECONDS` are answered without a delay."""

WINDOW_SECONDS: Final = 60.0

DELAY_SECONDS: Final = 0.5
"""The delay of the answer to a further wrong key."""

_MAX_CALLERS: Final = 10_000


class Authenticator:
    """Accepts requests with the key."""

    def __init__(self, key: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Use `clock` for the current time in seconds."""
        self._key = key.encode()
        self._clock = clock
        self._lock = threading.Lock()
        # The times of wrong keys, by caller; the caller whose last wrong key is oldest is first.
        self._attempts: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()

    def check(self, secret: str | None, caller: str) -> None:
        """Check that `secret` is the key.

        Raises KeyRefusedError for a wrong key, and TooManyAttemptsError after many wrong keys from the address `caller`. The right key is
        always accepted: a script with an old key must not lock out other callers behind the same address. Unlimited attempts
        cannot guess the random key of 256 bits that `hosted init` writes.
        """
        if secret is None:
            raise KeyRefusedError("The secret is missing.")
        # Text from JSON may contain surrogates, which UTF-8 cannot encode.
        if hmac.compare_digest(secret.encode(errors="surrogatepass"), self._key):
            return
        if wait := self._count(caller):
            seconds = max(1, math.ceil(wait))
            raise TooManyAttemptsError(f"Too many wrong secrets; try again in {seconds} seconds.", seconds=seconds)
        raise KeyRefusedError("The secret is wrong.")

    def _count(self, caller: str) -> float:
        """Count a wrong key; if the caller has sent too many, return the seconds until the next one is counted."""
        now = self._clock()
        with self._lock:
            times = self._attempts.setdefault(caller, collections.deque())
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
            if len(times) >= MAX_WRONG_KEYS:
                return times[0] + WINDOW_SECONDS - now
            times.append(now)
            self._attempts.move_to_end(caller)
            while len(self._attempts) > _MAX_CALLERS:
                self._attempts.popitem(last=False)
        return 0
