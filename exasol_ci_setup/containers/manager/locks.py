"""Turns at a container: who asks first has it first, and whoever waits when it all ends is told."""

from __future__ import annotations

import asyncio
from collections import deque

from exasol_ci_setup.errors import ShuttingDown


class Turns:
    """One turn after the other, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._taken = False
        self._closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def take(self) -> None:
        """Wait for the turn. Raises ShuttingDown if there will be none. Whoever is cancelled gives the turn on."""
        if self._closed:
            raise ShuttingDown("the container manager is shutting down")
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give(self) -> None:
        """End the turn, and let the next one in; nothing happens if it is nobody's turn."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    def close(self) -> None:
        """Tell all who wait, and all who come, that there are no turns any more."""
        self._closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(ShuttingDown("the container manager is shutting down"))
