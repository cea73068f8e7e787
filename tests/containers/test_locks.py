"""The FIFO lock."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.manager.locks import FifoLock
from exasol_ci_setup.core.errors import ShuttingDownError


async def acquire(lock: FifoLock, number: int, acquired: list[int]) -> None:
    await lock.acquire()
    acquired.append(number)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@given(st.integers(1, 8), st.sets(st.integers(0, 7)))
def test_waiters_acquire_in_fifo_order_without_canceled_ones(count, canceled):
    async def scenario() -> list[int]:
        lock = FifoLock()
        acquired: list[int] = []
        await lock.acquire()
        tasks = [asyncio.create_task(acquire(lock, number, acquired)) for number in range(count)]
        await settle()
        for number in canceled & set(range(count)):
            tasks[number].cancel()
        await settle()
        for _ in range(count):
            lock.release()
            await settle()
        assert not lock._waiters
        return acquired

    assert asyncio.run(scenario()) == [number for number in range(count) if number not in canceled]


def test_waiter_canceled_while_acquiring_passes_lock_on():
    async def scenario() -> list[int]:
        lock = FifoLock()
        acquired: list[int] = []
        await lock.acquire()
        first, second = (asyncio.create_task(acquire(lock, number, acquired)) for number in (1, 2))
        await settle()
        lock.release()
        first.cancel()
        await asyncio.wait([first, second], timeout=5)
        return acquired

    assert asyncio.run(scenario()) == [2]


def test_release_of_free_lock_has_no_effect():
    async def scenario() -> None:
        lock = FifoLock()
        lock.release()
        await lock.acquire()
        lock.release()
        await lock.acquire()

    asyncio.run(scenario())


def test_close_fails_current_and_later_waiters():
    async def scenario() -> list[object]:
        lock = FifoLock()
        await lock.acquire()
        tasks = [asyncio.create_task(lock.acquire()) for _ in range(3)]
        await settle()
        lock.close()
        return [*await asyncio.gather(*tasks, lock.acquire(), return_exceptions=True)]

    assert [type(each) for each in asyncio.run(scenario())] == [ShuttingDownError] * 4
