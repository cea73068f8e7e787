"""Report on ECS services while CloudFormation waits for them: the number of running tasks, and why tasks stopped."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import for_optional_calls, translate_aws_errors
from exasol_ci_setup.core.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Event

_LOG: Final = logging.getLogger(__name__)

_SERVICE: Final = "AWS::ECS::Service"
# The long form, which contains the name of the cluster: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
_ARN: Final = re.compile(r"arn:[^:]+:ecs:[^:]+:[0-9]+:service/(?P<cluster>[^/]+)/(?P<service>[^/]+)")
# A rollout takes minutes. Together with the polls of the stack, this is less than 0.6 calls a second.
_PAUSE: Final = 40.0
# Maximum services of one DescribeServices: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
_SERVICES: Final = 10
_TASKS: Final = 3
_LINES: Final = 8


class Rollouts:
    """The ECS services that an operation creates or updates: reports the number of running tasks, and why tasks stopped.

    ECS is polled every 40 s at most. The reasons of stopped tasks are stored, because they are not available after a rollback.
    An error of a poll is only logged.
    """

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._note = context.note
        self._clock = context.clock
        self._in_progress: dict[str, str] = {}
        self._last_lines: dict[str, str] = {}
        self._why: dict[str, tuple[str, ...]] = {}
        self._seen: set[str] = set()
        self._polled_at = self._clock.now()

    def observe(self, event: Event) -> None:
        """Store which service an event starts or ends."""
        if event.type == _SERVICE and _ARN.fullmatch(event.physical_id):
            if event.status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"}:
                self.begin(event.physical_id, event.logical_id)
            elif event.physical_id in self._in_progress:
                if event.status.endswith("_FAILED"):
                    # Before the rollback deletes it.
                    self._poll([event.physical_id])
                self._in_progress.pop(event.physical_id, None)

    def begin(self, service_arn: str, name: str) -> None:
        """Store that tasks of the service are replaced; messages contain `name`."""
        self._in_progress[service_arn] = name

    def poll(self) -> None:
        """Poll the services."""
        self._poll(list(self._in_progress))

    def poll_if_due(self) -> None:
        """Poll the services if the last poll was 40 s ago."""
        if self._in_progress and self._clock.now() - self._polled_at >= _PAUSE:
            self._poll(list(self._in_progress))

    def why(self, service_arn: str) -> tuple[str, ...]:
        """Return why tasks of the service stopped, and their last log lines; empty if no stopped task was seen."""
        return self._why.get(service_arn, ())

    def _poll(self, arns: list[str]) -> None:
        self._polled_at = self._clock.now()
        by_cluster: dict[str, list[str]] = {}
        for arn in arns:
            found = _ARN.fullmatch(arn)
            if found:
                by_cluster.setdefault(found["cluster"], []).append(arn)
        try:
            for cluster, services in by_cluster.items():
                for start in range(0, len(services), _SERVICES):
                    self._poll_cluster(cluster, services[start : start + _SERVICES])
        except SetupError as error:
            # The permission is missing, or ECS does not answer.
            _LOG.info("the status of ECS services is not available: %s", error)

    def _poll_cluster(self, cluster: str, arns: list[str]) -> None:
        ecs = for_optional_calls(self._account.client("ecs"))
        with translate_aws_errors():
            described = ecs.describe_services(cluster=cluster, services=arns).get("services", [])
        for service in described:
            arn = service["serviceArn"]
            primary = next((each for each in service.get("deployments", []) if each.get("status") == "PRIMARY"), None)
            if primary is None:
                continue
            line = _progress(self._in_progress.get(arn, service["serviceName"]), primary)
            if self._last_lines.get(arn) != line:
                self._last_lines[arn] = line
                self._note(line)
            # When the circuit breaker rolls back, PRIMARY is the previous release, and the failed one is another deployment.
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
            # Tasks of the previous deployment stop too, without an error.
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
                self._note(f"{self._in_progress.get(service['serviceArn'], service['serviceName'])}: {line}")

    def _log_of(self, task: Mapping[str, Any]) -> list[str]:
        """Return the last lines that the containers of a task logged."""
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
            # A container that never started has no log stream.
            _LOG.info("the log of a task is not available: %s", error)
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
            exit_text = "" if code is None else f"exited with code {code}"
            lines.append(
                f"container {container.get('name', '')} {': '.join(part for part in (exit_text, reason) if part)}"
            )
    return lines
