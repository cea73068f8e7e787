"""What becomes of ECS services while CloudFormation waits for them: how many tasks run, and why others stopped."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import for_optional_calls, translate_aws_errors
from exasol_ci_setup.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Event

_LOG: Final = logging.getLogger(__name__)

_SERVICE: Final = "AWS::ECS::Service"
# The long form, which has the cluster's name: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
_ARN: Final = re.compile(r"arn:[^:]+:ecs:[^:]+:[0-9]+:service/(?P<cluster>[^/]+)/(?P<service>[^/]+)")
# A rollout takes minutes; together with what following the stack asks, this is less than 0.6 calls a second.
_PAUSE: Final = 40.0
# The most that one DescribeServices takes: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
_SERVICES: Final = 10
_TASKS: Final = 3
_LINES: Final = 8


class Rollouts:
    """A view of a stack's events that also looks at the ECS services which are being created or updated, and tells `view` of them.

    ECS is asked every 40 s at most. It keeps what it heard of tasks that stopped, since after a rollback they cannot be asked about any more.
    A service that cannot be looked at is no reason to fail.
    """

    def __init__(self, account: Account, view: View, clock: Clock) -> None:
        self._account = account
        self._view = view
        self._clock = clock
        self._underway: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._why: dict[str, tuple[str, ...]] = {}
        self._seen: set[str] = set()
        self._asked = clock.now()

    def __enter__(self) -> Self:
        """Begin to show."""
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave the terminal as it was found."""
        self._view.__exit__(kind, error, trace)

    def event(self, event: Event) -> None:
        """Show an event, and note which service begins or ends with it."""
        self._view.event(event)
        if event.type == _SERVICE and _ARN.fullmatch(event.physical_id):
            if event.status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"}:
                self._underway[event.physical_id] = event.logical_id
            elif event.physical_id in self._underway:
                if event.status.endswith("_FAILED"):
                    # Before the rollback takes it away.
                    self._look([event.physical_id])
                self._underway.pop(event.physical_id, None)

    def tick(self, now: float) -> None:
        """Let time pass, and look at the services when it is due."""
        self._view.tick(now)
        if self._underway and now - self._asked >= _PAUSE:
            self._look(list(self._underway))

    def note(self, message: str) -> None:
        """Say something that is not an event."""
        self._view.note(message)

    def why(self, service_arn: str) -> tuple[str, ...]:
        """Return why tasks of the service stopped, and what they wrote last, a line each; nothing if none was seen to stop."""
        return self._why.get(service_arn, ())

    def _look(self, arns: list[str]) -> None:
        self._asked = self._clock.now()
        by_cluster: dict[str, list[str]] = {}
        for arn in arns:
            found = _ARN.fullmatch(arn)
            if found:
                by_cluster.setdefault(found["cluster"], []).append(arn)
        try:
            for cluster, services in by_cluster.items():
                for start in range(0, len(services), _SERVICES):
                    self._look_at(cluster, services[start : start + _SERVICES])
        except SetupError as error:
            # Without the permission to look, or for a moment without an answer.
            _LOG.info("ECS could not be asked how the services are: %s", error)

    def _look_at(self, cluster: str, arns: list[str]) -> None:
        ecs = for_optional_calls(self._account.client("ecs"))
        with translate_aws_errors():
            described = ecs.describe_services(cluster=cluster, services=arns).get("services", [])
        for service in described:
            arn = service["serviceArn"]
            primary = next((each for each in service.get("deployments", []) if each.get("status") == "PRIMARY"), None)
            if primary is None:
                continue
            line = _progress(self._underway.get(arn, service["serviceName"]), primary)
            if self._told.get(arn) != line:
                self._told[arn] = line
                self._view.note(line)
            # When the circuit breaker rolls back, PRIMARY is the release before, and the one that failed is another.
            failing = {each.get("taskDefinition") for each in service.get("deployments", []) if each.get("failedTasks")}
            if failing:
                self._explain(cluster, service, failing)

    def _explain(self, cluster: str, service: Mapping[str, Any], failing: Collection[str | None]) -> None:
        ecs = for_optional_calls(self._account.client("ecs"))
        with translate_aws_errors():
            arns = ecs.list_tasks(cluster=cluster, serviceName=service["serviceName"], desiredStatus="STOPPED").get(
                "taskArns", []
            )
            fresh = [arn for arn in arns if arn not in self._seen][:_TASKS]
            if not fresh:
                return
            tasks = ecs.describe_tasks(cluster=cluster, tasks=fresh).get("tasks", [])
        lines: list[str] = []
        for task in tasks:
            # Tasks of the deployment before stop too, in good order.
            ours = task.get("taskDefinitionArn") in failing
            if task.get("lastStatus") != "STOPPED" or task["taskArn"] in self._seen:
                continue
            self._seen.add(task["taskArn"])
            if not ours:
                continue
            lines += _stopped(task)
            lines += self._log_of(task)
        if lines:
            self._why[service["serviceArn"]] = tuple(lines)
            for line in lines:
                self._view.note(f"{self._underway.get(service['serviceArn'], service['serviceName'])}: {line}")

    def _log_of(self, task: Mapping[str, Any]) -> list[str]:
        """Return the last lines that the containers of a task wrote."""
        ecs, logs = for_optional_calls(self._account.client("ecs")), for_optional_calls(self._account.client("logs"))
        lines: list[str] = []
        try:
            with translate_aws_errors():
                definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
                for container in definition.get("containerDefinitions", []):
                    options = container.get("logConfiguration", {}).get("options", {})
                    if not {"awslogs-group", "awslogs-stream-prefix"} <= options.keys():
                        continue
                    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
                    stream = (
                        f"{options['awslogs-stream-prefix']}/{container['name']}/{task['taskArn'].rsplit('/', 1)[1]}"
                    )
                    events = logs.get_log_events(
                        logGroupName=options["awslogs-group"], logStreamName=stream, limit=_LINES
                    ).get("events", [])
                    lines += [f"{container['name']} wrote: {event.get('message', '').rstrip()}" for event in events]
        except SetupError as error:
            # A container that never started has no stream.
            _LOG.info("the log of a task could not be read: %s", error)
        return lines


def _progress(name: str, deployment: Mapping[str, Any]) -> str:
    counts = f"{deployment.get('runningCount', 0)} of {deployment.get('desiredCount', 0)} tasks running"
    more = [
        f"{deployment[key]} {word}"
        for key, word in (("pendingCount", "pending"), ("failedTasks", "failed"))
        if deployment.get(key)
    ]
    return f"{name}: {', '.join([counts, *more])}"


def _stopped(task: Mapping[str, Any]) -> list[str]:
    lines = [f"a task stopped: {task.get('stoppedReason') or task.get('stopCode') or 'ECS gave no reason'}"]
    for container in task.get("containers", []):
        code = container.get("exitCode")
        reason = container.get("reason", "")
        if code is not None or reason:
            told = "" if code is None else f"exited with code {code}"
            lines.append(f"container {container.get('name', '')} {': '.join(part for part in (told, reason) if part)}")
    return lines
