"""Run our program on the simulated CloudFormation: its graph, plans, deployments and rate limit, on real botocore clients.

Only the time and AWS's answers are simulated. `Deployment` declares, renders and deploys all constructs in threads. Each request passes
the checks, signing, retries and parsers of botocore.
"""

from __future__ import annotations

import random
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import pytest

from exasol_ci_setup.constructs import Registry, Scope
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.task_graph import CONCURRENCY, End, Ended
from exasol_ci_setup.programs import Connections, Declared, Deployment
from tests.answers import REGION, Answers, AwsError
from tests.simulation.cloudformation import CHANGE_SET_SECONDS, LATENCY, Cost, Limits, Stack
from tests.simulation.virtual import SharedClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.session import Account

_ARN: Final = f"arn:aws:cloudformation:{REGION}:123456789012"
_START: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)


class _Service:
    """Replies of CloudFormation that depend on the clock."""

    def __init__(self, stacks: dict[str, Stack], clock: SharedClock, limits: Limits) -> None:
        self._stacks = stacks
        self._clock = clock
        self._limits = limits

    def refusal(self, call: Any) -> AwsError | None:
        if self._limits.take(call.operation, self._clock.now()):
            return None
        return AwsError("Throttling", "Rate exceeded")

    def answer(self, answers: Answers) -> None:
        answers.disturb = self.refusal
        for operation, reply in (
            ("DescribeStacks", self._describe_stacks),
            ("CreateChangeSet", self._create_change_set),
            ("DescribeChangeSet", self._describe_change_set),
            ("DescribeEvents", lambda _params: {"OperationEvents": []}),
            ("ExecuteChangeSet", self._execute_change_set),
            ("DescribeStackEvents", self._describe_stack_events),
        ):
            answers.on("cloudformation", operation, reply)

    def _stack(self, params: Mapping[str, Any], key: str = "StackName") -> Stack:
        return self._stacks[params[key].split("/")[1] if "/" in params[key] else params[key]]

    def _describe_stacks(self, params: Mapping[str, Any]) -> Any:
        stack = self._stack(params)
        status = stack.status(self._clock.now())
        if status is None:
            return AwsError("ValidationError", f"Stack with id {stack.name} does not exist")
        described = {"StackName": stack.name, "StackId": f"{_ARN}:stack/{stack.name}/0", "StackStatus": status}
        return {"Stacks": [{**described, "CreationTime": _START}]}

    def _create_change_set(self, params: Mapping[str, Any]) -> Any:
        stack = self._stack(params)
        stack.planned = self._clock.now()
        return {"Id": f"{_ARN}:changeSet/{stack.name}/0", "StackId": f"{_ARN}:stack/{stack.name}/0"}

    def _describe_change_set(self, params: Mapping[str, Any]) -> Any:
        stack = self._stack(params, "ChangeSetName")
        assert stack.planned is not None
        ready = self._clock.now() >= stack.planned + CHANGE_SET_SECONDS
        return {"Status": "CREATE_COMPLETE" if ready else "CREATE_IN_PROGRESS", "Changes": []}

    def _execute_change_set(self, params: Mapping[str, Any]) -> Any:
        self._stack(params, "ChangeSetName").begun = self._clock.now()
        return {}

    def _describe_stack_events(self, params: Mapping[str, Any]) -> Any:
        stack = self._stack(params)
        happened = stack.events(self._clock.now())
        return {
            "StackEvents": [
                {
                    "EventId": f"{stack.name}-{number}",
                    "StackId": f"{_ARN}:stack/{stack.name}/0",
                    "StackName": stack.name,
                    "LogicalResourceId": what,
                    "PhysicalResourceId": f"{_ARN}:stack/{stack.name}/0" if what == stack.name else what,
                    "ResourceType": "AWS::CloudFormation::Stack" if what == stack.name else "AWS::ECR::Repository",
                    "ResourceStatus": status,
                    "Timestamp": _START + timedelta(seconds=at),
                }
                for number, (at, what, status) in reversed(list(enumerate(happened)))
            ]
        }


class _ApprovingReporter(NullReporter):
    """Approve every plan, and count the results."""

    def __init__(self, stacks: dict[str, Stack], clock: SharedClock, cost: Cost) -> None:
        self._stacks = stacks
        self._clock = clock
        self._cost = cost

    def result(self, ended: object, /) -> None:
        assert isinstance(ended, Ended)
        if ended.end is End.DONE:
            self._cost.late.append(self._clock.now() - self._stacks[ended.name].ends)
        else:
            self._cost.failed += 1
        self._clock.ended()


def deploy(count: int, *, concurrency: int = CONCURRENCY, share: float = 1.0) -> Cost:
    """Deploy `count` new stacks and return the result. `share` is the part of AWS's limits that other clients leave."""
    scope = Scope(name="simulated", region=REGION)
    declared = Declared([Registry(scope=scope, name=f"stack-{number}") for number in range(count)])
    stacks = {name: Stack(name, number) for number, name in enumerate(declared.constructs)}
    cost = Cost(count)
    limits = Limits(share)
    clock = SharedClock(count, concurrency)
    begun = threading.local()
    # The jitter of botocore's retries; the workers run in a fixed order, so each run draws the same numbers.
    random.seed(count)
    with pytest.MonkeyPatch.context() as patch:
        answers = Answers(patch, clock=clock)
        _Service(stacks, clock, limits).answer(answers)
        answers.account.session.events.register_first("before-send", lambda **_: clock.sleep(LATENCY))
        connections = Connections(clock, lambda _scope: answers.account)

        def connect(scope: Scope) -> Account:
            # The first call of a worker, in its thread.
            if not getattr(begun, "name", ""):
                begun.name = threading.current_thread().name
                clock.begin(stacks[begun.name].number)
            return connections(scope)

        deployment = Deployment(
            connect, _ApprovingReporter(stacks, clock, cost), clock, lambda *_: {}, concurrency=concurrency
        )
        deployment.apply(declared)
    cost.calls, cost.refused, cost.seconds = limits.taken + limits.refused, limits.refused, clock.now()
    return cost
