"""Simulate the timing and the request limits of CloudFormation.

AWS publishes no request limits. They apply per account and region
(https://repost.aws/knowledge-center/cloudformation-rate-exceeded-error). Users measured that DescribeStacks is limited to five requests a
second (https://github.com/aws/aws-sam-cli/issues/2671), and that 8 to 10 other reads a second are throttled every second or two
(https://github.com/aws/aws-cdk-cli/issues/1709). Assumptions: each operation has a separate token bucket, filled evenly, with tokens for two
seconds, and a throttled request consumes no token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LIMITS: Final = {"DescribeStacks": 5.0}
"""Requests a second, by operation."""
LIMIT: Final = 10.0
"""Requests a second of every other operation."""
BURST_SECONDS: Final = 2.0
LATENCY: Final = 0.1
"""Seconds from a request to its arrival; assumed."""
CHANGE_SET_SECONDS: Final = 5.0
"""How long AWS makes a change set; assumed."""
RESOURCES: Final = 5
"""The resources of each stack; assumed."""


def operation_seconds(number: int) -> float:
    """Return how long the creation of stack `number` takes: 30 to 90 s, 60 on average, in an order without a pattern; assumed."""
    return 30.0 + (number * 37) % 61


class Limits:
    """The request limits of AWS. `share` is the part of the limits that other clients of the account leave."""

    def __init__(self, share: float = 1.0) -> None:
        self.taken = 0
        self.refused = 0
        self._share = share
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, operation: str, now: float) -> bool:
        """Return whether a request of `operation` at `now`, in seconds, is accepted."""
        rate = LIMITS.get(operation, LIMIT) * self._share
        burst = rate * BURST_SECONDS
        left, since = self._buckets.get(operation, (burst, now))
        left = min(burst, left + (now - since) * rate)
        taken = left >= 1
        self._buckets[operation] = (left - taken, now)
        self.taken += taken
        self.refused += not taken
        return taken


@dataclass
class Stack:
    """A stack and its times, in seconds: when its change set was requested and when its operation began."""

    name: str
    number: int
    planned: float | None = None
    begun: float | None = None

    @property
    def ends(self) -> float:
        """The end of the operation."""
        assert self.begun is not None
        return self.begun + operation_seconds(self.number)

    def events(self, now: float) -> list[tuple[float, str, str]]:
        """Return the events until `now`, the oldest first: time, resource and status."""
        if self.begun is None:
            return []
        step = operation_seconds(self.number) / (RESOURCES + 1)
        happened = [(self.begun, self.name, "CREATE_IN_PROGRESS")]
        for number in range(RESOURCES):
            happened.append((self.begun + number * step, f"Resource{number}", "CREATE_IN_PROGRESS"))
            happened.append((self.begun + (number + 1) * step, f"Resource{number}", "CREATE_COMPLETE"))
        happened.append((self.ends, self.name, "CREATE_COMPLETE"))
        return [event for event in happened if event[0] <= now]

    def status(self, now: float) -> str | None:
        """Return the stack's status, None if it does not exist."""
        if self.planned is None:
            return None
        if self.begun is None:
            return "REVIEW_IN_PROGRESS"
        return "CREATE_COMPLETE" if now >= self.ends else "CREATE_IN_PROGRESS"


@dataclass
class Cost:
    """The result of a run with `stacks` stacks: requests, throttled requests, failed stacks, and seconds.

    `late` contains the seconds from the end of each operation until its detection.
    """

    stacks: int
    calls: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    late: list[float] = field(default_factory=list)
