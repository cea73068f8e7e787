"""A FIFO lock for a container. A shutdown fails all waiters with ShuttingDownError."""

from __future__ import annotations

import asyncio
from collections import deque

from exasol_ci_setup.core.errors import ShuttingDownError


class FifoLock:
    """A lock that waiters acquire in the order of their requests."""

    def __init__(self) -> None:
        self._is_acquired = False
        self._is_closed = False
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Wait for the lock. Raises ShuttingDownError if the lock is closed. A canceled waiter passes the lock on."""
        if self._is_closed:
            raise ShuttingDownError
        if not self._is_acquired:
            self._is_acquired = True
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def release(self) -> None:
        """Pass the lock to the next waiter; without effect if the lock is free."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._is_acquired = False

    def close(self) -> None:
        """Fail all current and later waiters with ShuttingDownError."""
        self._is_closed = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(ShuttingDownError())
