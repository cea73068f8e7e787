"""How other tools poll CloudFormation, on the simulated one: the intervals and retries in their source code, not the tools themselves.

``aws cloudformation deploy``: polls the change set every 5 s and the stack every 30 s
(awscli/customizations/cloudformation/deployer.py of 1.46); botocore's legacy retries, five attempts.
CDK: polls the change set and the stack every 5 s, and in parallel events every 2 s, whose failures it ignores
(https://github.com/aws/aws-cdk-cli/issues/1709, https://github.com/aws/aws-cdk-cli/issues/1723); 7 attempts, 0.3 s doubled each time.
Sceptre: status and events, then 4 s of sleep (sceptre/plan/actions.py of 4.7.0), by default all stacks of a group in parallel; 29 rounds of
up to 45 s (sceptre/connection_manager.py) around botocore's five attempts.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Final, TypeAlias

from tests.simulation.cloudformation import CHANGE_SET_SECONDS, LATENCY, Cost, Limits, Stack

Steps: TypeAlias = Generator["float | str | Steps", bool, None]
"""Seconds to sleep, an operation to request (the answer is whether it was taken), or steps to take at the same time."""
Asked: TypeAlias = Generator["float | str", bool, None]


class ThrottledError(Exception):
    """All attempts of a request were throttled."""


def _legacy(operation: str, chance: random.Random) -> Asked:
    """Botocore's legacy retries: five attempts, and between them up to 1, 2, 4 and 8 s."""
    for attempt in range(5):
        if (yield operation):
            return
        yield chance.random() * 2**attempt
    raise ThrottledError


def _cdk_request(operation: str, _chance: random.Random) -> Asked:
    for attempt in range(7):
        if (yield operation):
            return
        yield 0.3 * 2**attempt
    raise ThrottledError


def _sceptre_request(operation: str, chance: random.Random) -> Asked:
    pause = 1.0
    for _ in range(29):
        try:
            yield from _legacy(operation, chance)
        except ThrottledError:  # noqa: PERF203 - to try again is the point
            yield pause
            pause = min(45.0, chance.uniform(1, pause * 2.5))
        else:
            return
    raise ThrottledError


def aws_deploy(stack: Stack, now: Callable[[], float], chance: random.Random, late: list[float]) -> Steps:
    """Do as ``aws cloudformation deploy`` does."""
    yield from _legacy("DescribeStacks", chance)
    yield from _legacy("CreateChangeSet", chance)
    stack.planned = now()
    yield from _until(now, stack.planned + CHANGE_SET_SECONDS, 5, lambda: _legacy("DescribeChangeSet", chance))
    yield from _legacy("ExecuteChangeSet", chance)
    stack.begun = now()
    yield from _until(now, stack.ends, 30, lambda: _legacy("DescribeStacks", chance))
    late.append(now() - stack.ends)


def cdk_deploy(stack: Stack, now: Callable[[], float], chance: random.Random, late: list[float]) -> Steps:
    """Do as ``cdk deploy`` does."""
    yield from _cdk_request("DescribeStacks", chance)
    yield from _cdk_request("CreateChangeSet", chance)
    stack.planned = now()
    yield from _until(now, stack.planned + CHANGE_SET_SECONDS, 5, lambda: _cdk_request("DescribeChangeSet", chance))
    yield from _cdk_request("ExecuteChangeSet", chance)
    stack.begun = now()
    done: list[bool] = []

    def events() -> Steps:
        while not done:
            with suppress(ThrottledError):
                yield from _cdk_request("DescribeStackEvents", chance)
            yield 2.0

    yield events()
    try:
        yield from _until(now, stack.ends, 5, lambda: _cdk_request("DescribeStacks", chance))
    finally:
        done.append(True)
    late.append(now() - stack.ends)


def sceptre_launch(stack: Stack, now: Callable[[], float], chance: random.Random, late: list[float]) -> Steps:
    """Do as ``sceptre launch`` does."""
    yield from _sceptre_request("DescribeStacks", chance)
    yield from _sceptre_request("CreateStack", chance)
    stack.planned = stack.begun = now()

    def poll() -> Asked:
        yield from _sceptre_request("DescribeStacks", chance)
        seen.append(now())
        yield from _sceptre_request("DescribeStackEvents", chance)

    seen: list[float] = []
    while not seen or seen[-1] < stack.ends:
        yield from poll()
        yield 4.0
    late.append(now() - stack.ends)


def _until(now: Callable[[], float], end: float, pause: float, poll: Callable[[], Asked]) -> Asked:
    while True:
        yield from poll()
        if now() >= end:
            return
        yield pause


Habit: TypeAlias = Callable[[Stack, Callable[[], float], random.Random, "list[float]"], Steps]


class _Run:
    """All stacks of one run, with one queue of planned requests."""

    def __init__(self, limits: Limits, cost: Cost) -> None:
        self.now = 0.0
        self._limits = limits
        self._cost = cost
        self._numbers = itertools.count()
        self._queue: list[tuple[float, int, Steps, str, Callable[[bool], None]]] = []

    def start(self, steps: Steps, ended: Callable[[bool], None]) -> None:
        self._put(0, steps, "", ended)

    def _put(self, delay: float, steps: Steps, operation: str, ended: Callable[[bool], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._numbers), steps, operation, ended))

    def to_the_end(self) -> None:
        while self._queue:
            self.now, _, steps, operation, ended = heapq.heappop(self._queue)
            taken = self._limits.take(operation, self.now) if operation else None
            self._on(steps, taken, ended)

    def _on(self, steps: Steps, taken: bool | None, ended: Callable[[bool], None]) -> None:
        try:
            step = next(steps) if taken is None else steps.send(taken)
            while isinstance(step, Generator):
                self.start(step, lambda _failed: None)
                step = next(steps)
        except StopIteration:
            ended(False)
        except ThrottledError:
            ended(True)
        else:
            if isinstance(step, str):
                self._put(LATENCY, steps, step, ended)
            else:
                self._put(step, steps, "", ended)


def deploy(habit: Habit, count: int, *, concurrency: int, share: float = 1.0) -> Cost:
    """Return the result of `count` new stacks with `habit`, `concurrency` of them in parallel."""
    limits = Limits(share)
    cost = Cost(count)
    run = _Run(limits, cost)
    waiting = deque(Stack(f"stack-{number}", number) for number in range(count))
    chance = random.Random(count)  # noqa: S311 - jitter
    last: Final = [0.0]

    def next_one(failed: bool | None = None) -> None:
        if failed is not None:
            cost.failed += failed
            last[0] = run.now
        if waiting:
            run.start(habit(waiting.popleft(), lambda: run.now, chance, cost.late), next_one)

    for _ in range(concurrency):
        next_one()
    run.to_the_end()
    cost.calls, cost.refused, cost.seconds = limits.taken + limits.refused, limits.refused, last[0]
    return cost
