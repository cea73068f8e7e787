"""CloudFormation as far as its timing and its limits go: what a stack does when, and how many requests are taken.

AWS publishes none of the limits on requests. What is known is that they are per account and region
(https://repost.aws/knowledge-center/cloudformation-rate-exceeded-error), and what people measured or were told: DescribeStacks is capped at five a
second (https://github.com/aws/aws-sam-cli/issues/2671), and a sustained 8 to 10 reads a second come with refusals every second or two
(https://github.com/aws/aws-cdk-cli/issues/1709). The rest is assumed: that each operation has a bucket of its own, filled evenly, which holds two
seconds' worth, and that a refused request takes nothing from it.
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
    """What AWS takes of each operation. `share` is the part of the limits that is left to this user of the account."""

    def __init__(self, share: float = 1.0) -> None:
        self.taken = 0
        self.refused = 0
        self._share = share
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, operation: str, now: float) -> bool:
        """Return whether a request of `operation` at `now`, in seconds, is taken."""
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
    """A stack and its times, in seconds: when its change set was asked for and when its operation began."""

    name: str
    number: int
    planned: float | None = None
    begun: float | None = None

    @property
    def ends(self) -> float:
        """When its operation ends."""
        assert self.begun is not None
        return self.begun + operation_seconds(self.number)

    def events(self, now: float) -> list[tuple[float, str, str]]:
        """Return what has happened until `now`, the oldest first: when, to what, and its status."""
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
        """Return the stack's status, None if it is not there."""
        if self.planned is None:
            return None
        if self.begun is None:
            return "REVIEW_IN_PROGRESS"
        return "CREATE_COMPLETE" if now >= self.ends else "CREATE_IN_PROGRESS"


@dataclass
class Cost:
    """What a run over `stacks` stacks cost: requests, those refused, the stacks that failed for it, and seconds.

    `late` holds the seconds from the end of each operation until it was seen.
    """

    stacks: int
    calls: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    late: list[float] = field(default_factory=list)
