"""Who may change apps: callers that send the deploy key, compared in constant time, and not after many wrong ones."""

from __future__ import annotations

import hmac
import math
import time
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import KeyRefused, TooManyAttempts

if TYPE_CHECKING:
    from exasol_ci_setup.containers.hosted.state import State

MOST_WRONG: Final = 10
"""How many wrong keys one address may send within `WINDOW_SECONDS`, whichever worker it reaches."""

WINDOW_SECONDS: Final = 60.0


class Gate:
    """Lets those in who know the key."""

    def __init__(self, state: State, key: str) -> None:
        self._state = state
        self._key = key.encode()

    def check(self, secret: str | None, caller: str) -> None:
        """Return if `secret` is the key. Raises KeyRefused if not, and TooManyAttempts after too many from the address `caller`.

        A caller that is refused for the number of its attempts is so with the right key, too: else it could go on trying.
        """
        if secret is None:
            raise KeyRefused("The secret is missing.")
        # Text from JSON may hold what UTF-8 has no bytes for.
        right = hmac.compare_digest(secret.encode(errors="surrogatepass"), self._key)
        wait = self._state.attempt(caller, right=right, now=time.time(), most=MOST_WRONG, seconds=WINDOW_SECONDS)
        if wait:
            seconds = max(1, math.ceil(wait))
            raise TooManyAttempts(f"Too many wrong secrets; try again in {seconds} seconds.", seconds=seconds)
        if not right:
            raise KeyRefused("The secret is wrong.")
