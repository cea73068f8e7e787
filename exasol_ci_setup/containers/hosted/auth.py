"""Authentication with the deploy key: constant-time comparison, and delays after many wrong keys."""

from __future__ import annotations

import hmac
import math
import time
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import KeyRefusedError, StateError, TooManyAttemptsError

if TYPE_CHECKING:
    from exasol_ci_setup.containers.hosted.state import State

MAX_WRONG_KEYS: Final = 10
"""How many wrong keys of one address within `WINDOW_SECONDS` all workers together answer without a delay."""

WINDOW_SECONDS: Final = 60.0

DELAY_SECONDS: Final = 0.5
"""The delay of the answer to a further wrong key."""


class Authenticator:
    """Accepts requests with the key."""

    def __init__(self, state: State, key: str) -> None:
        self._state = state
        self._key = key.encode()

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
        try:
            wait = self._state.count_wrong_key(caller, now=time.time(), limit=MAX_WRONG_KEYS, seconds=WINDOW_SECONDS)
        except StateError:
            # The attempt cannot be counted, for example on a full disk. It is still rejected.
            wait = 0.0
        if wait:
            seconds = max(1, math.ceil(wait))
            raise TooManyAttemptsError(f"Too many wrong secrets; try again in {seconds} seconds.", seconds=seconds)
        raise KeyRefusedError("The secret is wrong.")
