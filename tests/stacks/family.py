"""A stack and those nested in it, whose events happen at set times of a virtual clock: answered inside botocore."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from tests.answers import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.answers import Answers, VirtualClock

BEGIN: Final = datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)
STACK: Final = "AWS::CloudFormation::Stack"


def arn(name: str) -> str:
    return f"arn:aws:cloudformation:eu-central-1:123456789012:stack/{name}/11111111-2222-3333-4444-555555555555"


class Family:
    """Stacks with events: `stacks` has the events of each stack, by name: ``(seconds, status, logical id, more fields)``.

    An event whose logical id is the stack's name is the stack's own; one whose logical id is another stack's name is of the resource
    that this stack is. Seconds count from the start of the clock; negative times are before the operation.

    `times` has the times of requests for events, by stack name; `polled` has the names in order.
    """

    def __init__(
        self, answers: Answers, clock: VirtualClock, root: str, stacks: Mapping[str, Iterable[tuple[Any, ...]]]
    ) -> None:
        self.root = root
        self.polled: list[str] = []
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self._clock = clock
        self._stacks = {
            name: [self._event(name, stacks, number, *event) for number, event in enumerate(events)]
            for name, events in stacks.items()
        }
        answers.on("cloudformation", "DescribeStackEvents", self.events)
        answers.on("cloudformation", "DescribeStacks", self.stacks)
        answers.on("cloudformation", "DeleteStack", {})
        answers.on("cloudformation", "DescribeStackResources", AwsError("ValidationError", "Stack does not exist"))

    def _event(
        self, stack: str, stacks: Any, number: int, seconds: float, status: str, name: str, more: Any = None
    ) -> Any:
        event = {
            "StackId": arn(stack),
            "StackName": stack,
            "EventId": f"{stack}-{number}",
            "LogicalResourceId": name,
            "PhysicalResourceId": arn(name) if name in stacks else f"id-of-{name}",
            "ResourceType": STACK if name in stacks else "AWS::SNS::Topic",
            "ResourceStatus": status,
            "Timestamp": BEGIN + timedelta(seconds=seconds),
        }
        return {**event, **(more or {})}

    def add(self, stack: str, status: str, name: str) -> None:
        """Add an event at the current time."""
        known = self._stacks[stack]
        known.append(self._event(stack, self._stacks, len(known), self._clock.elapsed, status, name))

    def happened(self, name: str) -> list[Any]:
        now = BEGIN + timedelta(seconds=self._clock.elapsed)
        return [event for event in self._stacks[name] if event["Timestamp"] <= now]

    def events(self, params: Mapping[str, Any]) -> Any:
        name = params["StackName"].split("/")[1]
        self.polled.append(name)
        self.times[name].append(self._clock.elapsed)
        return {"StackEvents": self.happened(name)[::-1]}

    def stacks(self, _params: Mapping[str, Any]) -> Any:
        own = [event for event in self.happened(self.root) if event["LogicalResourceId"] == self.root]
        if not own:
            return AwsError("ValidationError", f"Stack with id {self.root} does not exist")
        return {
            "Stacks": [
                {
                    "StackName": self.root,
                    "StackId": arn(self.root),
                    "CreationTime": BEGIN,
                    "StackStatus": own[-1]["ResourceStatus"],
                    "StackStatusReason": own[-1].get("ResourceStatusReason", ""),
                    "Tags": [{"Key": "exasol-ci-setup:construct", "Value": "Test"}],
                }
            ]
        }
