"""The tasks of a space: read their log, and restart them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import log_events
from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.commands import status_hint
from exasol_ci_setup.core.errors import (
    DeployFailedError,
    SpaceConflictError,
    SpaceNotFoundError,
    StackBusyError,
    TimedOutError,
)
from exasol_ci_setup.core.errors.details import Diagnosis
from exasol_ci_setup.platform import space_stacks as stacks
from exasol_ci_setup.platform import spaces
from exasol_ci_setup.stacks.rollout import Rollouts
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.log_events import LogLine
    from exasol_ci_setup.core.stacks import Stack
    from exasol_ci_setup.platform.space_stacks import Space

DEFAULT_LINES: Final = 100
_POLL_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 3600.0
_SHOWN_LINES: Final = 20


def logs(
    name: str,
    *,
    since: datetime | timedelta | None = None,
    lines: int = DEFAULT_LINES,
    follow: bool = False,
    context: Context | None = None,
) -> Iterator[LogLine]:
    """Return the last log lines of a space, from all tasks in the order of time; with `follow` also each new one, without end.

    `since` is a time, or a duration until now: only later lines are returned, at most the last `lines`. If the creation of the space failed,
    the lines of its last attempt are returned. Raises SpaceNotFoundError, InputError for a number of lines outside 1 to 10,000, and the errors
    of the AWS boundary.
    """
    context = context or default_context()
    start = datetime.now(timezone.utc) - since if isinstance(since, timedelta) else since
    client = context.account.client("logs")
    return log_events.read(client, _log_group(context, name), lines, start, context.clock if follow else None)


def restart(name: str, *, context: Context | None = None) -> Space:
    """Start new tasks of the current release of a space, which read its secrets again, and return when they have replaced the old ones.

    Raises SpaceNotFoundError, SpaceConflictError if the space has no tasks, StackBusyError during a deployment, DeployFailedError with the
    last log lines if the new tasks do not answer (the old ones are kept), and TimedOutError after an hour.
    """
    context = context or default_context()
    stack = stacks.require(context, name)
    if stack.status.endswith("_IN_PROGRESS"):
        raise StackBusyError(
            f"space {name} cannot be restarted: its stack {stack.name} is in {stack.status}",
            hint=f"{status_hint(stack.name)}; retry when it is finished",
            stack_name=stack.name,
        )
    if "ServiceName" not in stack.outputs:
        raise SpaceConflictError(
            f"space {name} does not run: its stack {stack.name} is in {stack.status}", hint=status_hint(stack.name)
        )
    if not _service(context, stack)["desiredCount"]:
        raise SpaceConflictError(
            f"space {name} has no tasks to restart: its count is 0",
            hint=f"start it with `exasol-ci-setup space update --name {name} --count 1`",
        )
    with translate_aws_errors():
        service = context.account.client("ecs").update_service(
            cluster=stack.outputs["ClusterName"], service=stack.outputs["ServiceName"], forceNewDeployment=True
        )["service"]
    context.note(f"restarting space {name}")
    (wanted,) = (each["id"] for each in service["deployments"] if each["status"] == "PRIMARY")
    _wait(context, stack, service["serviceArn"], wanted)
    return spaces.get(name, context=context)


def _wait(context: Context, stack: Stack, service_arn: str, deployment_id: str) -> None:
    """Return when the deployment of the service is complete."""
    rollouts = Rollouts(context)
    rollouts.begin(service_arn, stack.outputs["ServiceName"])
    deadline = context.clock.now() + _MOST_SECONDS
    while context.clock.now() < deadline:
        rollouts.poll()
        deployments = _service(context, stack)["deployments"]
        found: Mapping[str, Any] = next((each for each in deployments if each["id"] == deployment_id), {})
        if found.get("rolloutState") == "COMPLETED":
            return
        if found.get("rolloutState") == "FAILED" or found.get("status") != "PRIMARY":
            raise _failed(context, stack, found, rollouts.why(service_arn))
        context.clock.sleep(_POLL_SECONDS)
    raise TimedOutError(
        f"the new tasks of {stack.name} did not answer within an hour",
        hint=f"read their log with `{_logs_command(stack)}`",
        stack_name=stack.name,
    )


def _failed(
    context: Context, stack: Stack, deployment: Mapping[str, Any], details: tuple[str, ...]
) -> DeployFailedError:
    reason = deployment.get("rolloutStateReason") or "another deployment replaced it"
    name = stack.outputs["ServiceName"]
    error = DeployFailedError(
        f"space {name} was not restarted: {reason}",
        hint=f"the tasks before the restart are kept; read the log with `{_logs_command(stack)}`",
        diagnosis=Diagnosis(
            stack.name,
            stack.status,
            "Service",
            name,
            "AWS::ECS::Service",
            str(deployment.get("rolloutState", "")),
            reason,
        ),
        stack_name=stack.name,
    )
    return stacks.with_log(context, error, stacks.log_group(stack), details)


def _service(context: Context, stack: Stack) -> Mapping[str, Any]:
    with translate_aws_errors():
        found = context.account.client("ecs").describe_services(
            cluster=stack.outputs["ClusterName"], services=[stack.outputs["ServiceName"]]
        )["services"]
    if not found:
        raise SpaceNotFoundError(
            f"the service of stack {stack.name} does not exist",
            hint=f"`exasol-ci-setup drift {stack.name}` shows what is missing",
        )
    return found[0]


def _logs_command(stack: Stack) -> str:
    return f"exasol-ci-setup space logs --name {stack.outputs['ServiceName']}"


def _log_group(context: Context, name: str) -> str:
    """Return the log group of a space, or of its last creation that failed. Raises SpaceNotFoundError."""
    stack = stacks.find(context, name)
    if stack is not None:
        return stacks.log_group(stack)
    found = stacks.kept_log_groups(context, name)
    return found[-1] if found else stacks.log_group(stacks.require(context, name))
