"""Access to the changes of apps: requests with the deploy key, compared in constant time; many wrong keys are answered late."""

from __future__ import annotations

import hmac
import math
import time
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import KeyRefused, StateError, TooManyAttempts

if TYPE_CHECKING:
    from exasol_ci_setup.containers.hosted.state import State

MOST_WRONG: Final = 10
"""How many wrong keys of one address within `WINDOW_SECONDS` are answered at once, by all workers together."""

WINDOW_SECONDS: Final = 60.0

DELAY_SECONDS: Final = 0.5
"""How long an answer to a further wrong key is held back."""


class Gate:
    """Lets those in who know the key."""

    def __init__(self, state: State, key: str) -> None:
        self._state = state
        self._key = key.encode()

    def check(self, secret: str | None, caller: str) -> None:
        """Return if `secret` is the key. Raises KeyRefused if not, and TooManyAttempts after too many from the address `caller`.

        The right key is always accepted: a script with an old key must not lock out other callers behind the same address. A random
        key of 256 bits, as `hosted init` writes it, cannot be guessed at any rate.
        """
        if secret is None:
            raise KeyRefused("The secret is missing.")
        # Text from JSON may hold what UTF-8 has no bytes for.
        if hmac.compare_digest(secret.encode(errors="surrogatepass"), self._key):
            return
        try:
            wait = self._state.attempt(caller, now=time.time(), most=MOST_WRONG, seconds=WINDOW_SECONDS)
        except StateError:
            # It cannot be counted, on a full disk for example, and is wrong anyway.
            wait = 0.0
        if wait:
            seconds = max(1, math.ceil(wait))
            raise TooManyAttempts(f"Too many wrong secrets; try again in {seconds} seconds.", seconds=seconds)
        raise KeyRefused("The secret is wrong.")
