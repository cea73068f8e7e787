"""Turns: first come, first served, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.manager.dependencies import circle
from exasol_ci_setup.containers.manager.locks import Turns
from exasol_ci_setup.errors import ShuttingDown


async def waiting(turns: Turns, number: int, had: list[int]) -> None:
    await turns.take()
    had.append(number)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@given(st.integers(1, 8), st.sets(st.integers(0, 7)))
def test_those_who_wait_come_in_their_order_and_those_who_left_do_not(count, leaving):
    async def scenario() -> list[int]:
        turns = Turns()
        had: list[int] = []
        await turns.take()
        tasks = [asyncio.create_task(waiting(turns, number, had)) for number in range(count)]
        await settle()
        for number in leaving & set(range(count)):
            tasks[number].cancel()
        await settle()
        for _ in range(count):
            turns.give()
            await settle()
        assert turns.waiting == 0
        return had

    assert asyncio.run(scenario()) == [number for number in range(count) if number not in leaving]


def test_one_who_leaves_at_the_moment_of_getting_the_turn_gives_it_on():
    async def scenario() -> list[int]:
        turns = Turns()
        had: list[int] = []
        await turns.take()
        first, second = (asyncio.create_task(waiting(turns, number, had)) for number in (1, 2))
        await settle()
        turns.give()
        first.cancel()
        await asyncio.wait([first, second], timeout=5)
        return had

    assert asyncio.run(scenario()) == [2]


def test_a_turn_that_is_nobodys_can_be_given_up():
    async def scenario() -> None:
        turns = Turns()
        turns.give()
        await turns.take()
        turns.give()
        await turns.take()

    asyncio.run(scenario())


def test_the_end_is_told_to_all_who_wait_and_to_all_who_come():
    async def scenario() -> list[object]:
        turns = Turns()
        await turns.take()
        tasks = [asyncio.create_task(turns.take()) for _ in range(3)]
        await settle()
        turns.close()
        return [*await asyncio.gather(*tasks, turns.take(), return_exceptions=True)]

    assert [type(each) for each in asyncio.run(scenario())] == [ShuttingDown] * 4


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3)))
def test_a_circle_is_found_if_and_only_if_there_is_one(needs):
    found = circle(needs)

    if found:
        assert found[0] == found[-1]
        assert all(following in needs[name] for name, following in itertools.pairwise(found))
    else:
        left = dict(needs)
        while ready := [name for name in left if not any(each in left for each in left[name])]:
            for name in ready:
                del left[name]
        assert not left


@pytest.mark.parametrize("count", [5000])
def test_long_chains_are_followed(count):
    needs = {str(number): [str(number + 1)] for number in range(count)}

    assert circle(needs) == ()
    assert len(circle({**needs, str(count): ["0"]})) == count + 2
