"""Run one-off tasks: a task of a deployed service, in its network and with its roles, until it ends."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import log_events
from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.commands import status_hint
from exasol_ci_setup.core.errors import (
    InputError,
    OperationInterruptedError,
    StackError,
    TaskFailedError,
    TimedOutError,
)
from exasol_ci_setup.stacks import resources, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.log_events import LogLine

_SERVICE: Final = "AWS::ECS::Service"
_SCHEDULE: Final = "AWS::Scheduler::Schedule"
_STARTED_BY: Final = "exasol-ci-setup"
_FIRST_POLL_SECONDS: Final = 0.5
_POLL_GROWTH: Final = 1.5
_LONGEST_POLL_SECONDS: Final = 5.0
# CloudWatch may deliver lines some seconds after the end of a task.
_BEHIND_SECONDS: Final = 5.0
_LATE_POLL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Runnable:
    """What a service runs: its cluster and task definition, and the arguments of RunTask with capacity and network."""

    name: str
    cluster: str
    task_definition: str
    placement: Mapping[str, Any]


@dataclass(slots=True)
class Task:
    """A task that was started. `exit_code` is that of its first container, None while it runs or if it did not start."""

    arn: str
    cluster: str
    service: str
    container: str
    log_group: str
    log_stream: str
    exit_code: int | None = None
    reason: str = ""
    has_stopped: bool = False
    token: str = field(default="", repr=False)
    """The token of the next page of the log."""

    @property
    def id(self) -> str:
        """The ID of the task: the end of its ARN."""
        return self.arn.rsplit("/", 1)[-1]


def find(context: Context, stack_name: str, service: str | None = None) -> Runnable:
    """Return what a service of a stack runs, also one that runs by a schedule; the only one if `service` is None.

    Raises StackNotFoundError, and InputError if the stack has no such service.
    """
    stack = state.get(context.cfn, stack_name)
    found = {each.name: each for each in _services(context, stack.id, stack.name)}
    if not found:
        raise InputError(f"stack {stack.name} has no service to run a task of", hint=status_hint(stack.name))
    if service is None and len(found) == 1:
        return next(iter(found.values()))
    if service not in found:
        reason = "choose a service" if service is None else f"stack {stack.name} has no service {service!r}"
        raise InputError(reason, hint=f"its services: {', '.join(sorted(found))}")
    return found[service]


def start(
    context: Context,
    runnable: Runnable,
    command: Sequence[str] | None = None,
    env_vars: Mapping[str, str] | None = None,
) -> Task:
    """Start a task, and return immediately. `command` replaces that of the first container, `env_vars` are added to its variables.

    Raises StackError if ECS does not start it.
    """
    ecs = context.account.client("ecs")
    with translate_aws_errors():
        definition = ecs.describe_task_definition(taskDefinition=runnable.task_definition)["taskDefinition"]
        container = definition["containerDefinitions"][0]
        override: dict[str, Any] = {"name": container["name"]}
        if command is not None:
            override["command"] = list(command)
        if env_vars:
            override["environment"] = [{"name": name, "value": value} for name, value in env_vars.items()]
        overrides: Any = {"containerOverrides": [override]}
        answer = ecs.run_task(
            cluster=runnable.cluster,
            taskDefinition=runnable.task_definition,
            count=1,
            startedBy=_STARTED_BY,
            # A repeated request starts no second task.
            clientToken=uuid.uuid4().hex,
            enableECSManagedTags=True,
            propagateTags="TASK_DEFINITION",
            overrides=overrides,
            **runnable.placement,
        )
    if not answer["tasks"]:
        reasons = ", ".join(str(each.get("reason") or "no reason") for each in answer.get("failures", []))
        raise StackError(f"ECS started no task of service {runnable.name}: {reasons or 'no reason'}")
    arn = answer["tasks"][0]["taskArn"]
    options = container.get("logConfiguration", {}).get("options", {})
    # Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html.
    stream = f"{options.get('awslogs-stream-prefix', '')}/{container['name']}/{arn.rsplit('/', 1)[-1]}"
    group = options.get("awslogs-group", "")
    return Task(arn, runnable.cluster, runnable.name, str(container["name"]), group, stream)


def follow(context: Context, task: Task, timeout: float | None = None) -> Iterator[LogLine]:
    """Yield the log lines of the first container until the task has stopped, and set its exit code.

    `timeout` is in seconds. Raises TimedOutError and OperationInterruptedError, after which the task continues.
    """
    try:
        yield from _follow(context, task, timeout)
    except KeyboardInterrupt:
        raise OperationInterruptedError(
            f"stopped following: task {task.id} continues on AWS", hint=f"stop it with {stop_command(task)}"
        ) from None


def _follow(context: Context, task: Task, timeout: float | None) -> Iterator[LogLine]:
    clock = context.clock
    deadline = None if timeout is None else clock.now() + timeout
    pause, status = _FIRST_POLL_SECONDS, ""
    while not task.has_stopped:
        latest = _poll(context, task)
        if latest != status:
            status = latest
            context.note(f"task {task.id}: {status}")
        yield from _new_lines(context, task)
        if not task.has_stopped:
            _require_time(context, task, deadline, timeout)
            clock.sleep(pause if deadline is None else min(pause, deadline - clock.now()))
            pause = min(pause * _POLL_GROWTH, _LONGEST_POLL_SECONDS)
    yield from _late_lines(context, task)


def _require_time(context: Context, task: Task, deadline: float | None, timeout: float | None) -> None:
    context.reporter.progress()
    if deadline is not None and context.clock.now() >= deadline:
        raise TimedOutError(
            f"task {task.id} did not end within {timeout:g} seconds and continues on AWS",
            hint=f"stop it with {stop_command(task)}",
        )


def _late_lines(context: Context, task: Task) -> Iterator[LogLine]:
    """Yield the lines of a stopped task that arrive until no new one arrives for some seconds."""
    clock = context.clock
    quiet_since = clock.now()
    while task.log_group and clock.now() - quiet_since < _BEHIND_SECONDS:
        clock.sleep(_LATE_POLL_SECONDS)
        for line in _new_lines(context, task):
            quiet_since = clock.now()
            yield line


def require_success(task: Task) -> None:
    """Raise TaskFailedError unless the first container of a stopped task ended with exit code 0. Its exit code is that of the container."""
    if task.exit_code == 0:
        return
    if task.exit_code is None:
        raise TaskFailedError(
            f"task {task.id} of service {task.service} did not run: {task.reason or 'ECS gave no reason'}",
            exit_code=TaskFailedError.exit_code,
        )
    raise TaskFailedError(
        f"task {task.id} of service {task.service} ended with exit code {task.exit_code}", exit_code=task.exit_code
    )


def log_group(context: Context, runnable: Runnable) -> str:
    """Return the log group of a service. Raises InputError if its first container does not write to CloudWatch."""
    with translate_aws_errors():
        definition = context.account.client("ecs").describe_task_definition(taskDefinition=runnable.task_definition)
    container = definition["taskDefinition"]["containerDefinitions"][0]
    group = container.get("logConfiguration", {}).get("options", {}).get("awslogs-group")
    if not group:
        raise InputError(f"service {runnable.name} writes no log to CloudWatch")
    return group


def stop_command(task: Task) -> str:
    """Return the command that stops the task, in backquotes."""
    return f"`aws ecs stop-task --cluster {task.cluster} --task {task.id}`"


def _services(context: Context, stack_id: str, stack_name: str) -> Iterator[Runnable]:
    for each in resources.of_id(context.cfn, stack_id):
        if not each.physical_id:
            continue
        if each.type == _SERVICE:
            yield from _always_running(context, each.physical_id)
        elif each.type == _SCHEDULE:
            yield from _scheduled(context, each.physical_id, stack_name)


def _always_running(context: Context, arn: str) -> Iterator[Runnable]:
    # The long form of the ARN contains the cluster.
    cluster, name = arn.split("/")[-2:]
    with translate_aws_errors():
        found = context.account.client("ecs").describe_services(cluster=cluster, services=[arn])["services"]
    for service in found:
        yield Runnable(
            name,
            cluster,
            service["taskDefinition"],
            {
                key: service[key]
                for key in ("launchType", "capacityProviderStrategy", "networkConfiguration", "platformVersion")
                # An answer with a strategy may also have a launch type, and RunTask accepts one of both.
                if service.get(key) and not (key == "launchType" and service.get("capacityProviderStrategy"))
            },
        )


def _scheduled(context: Context, name: str, stack_name: str) -> Iterator[Runnable]:
    with translate_aws_errors():
        target = context.account.client("scheduler").get_schedule(Name=name)["Target"]
    ecs = target.get("EcsParameters")
    if ecs is None:
        return
    definition = ecs["TaskDefinitionArn"]
    family = definition.rsplit("/", 1)[-1].rpartition(":")[0]
    network = ecs.get("NetworkConfiguration", {}).get("awsvpcConfiguration", {})
    placement: dict[str, Any] = {
        "networkConfiguration": {
            "awsvpcConfiguration": {f"{key[:1].lower()}{key[1:]}": value for key, value in network.items()}
        }
    }
    if ecs.get("CapacityProviderStrategy"):
        placement["capacityProviderStrategy"] = ecs["CapacityProviderStrategy"]
    elif ecs.get("LaunchType"):
        placement["launchType"] = ecs["LaunchType"]
    yield Runnable(family.removeprefix(f"{stack_name}-"), target["Arn"].rsplit("/", 1)[-1], definition, placement)


def _poll(context: Context, task: Task) -> str:
    """Read the task, and return its status in lower case."""
    with translate_aws_errors():
        found = context.account.client("ecs").describe_tasks(cluster=task.cluster, tasks=[task.arn])["tasks"]
    if not found:
        # ECS knows a new task after a short time: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html.
        return ""
    answer: Mapping[str, Any] = found[0]
    status = str(answer.get("lastStatus", ""))
    if status == "STOPPED":
        main: Mapping[str, Any] = next(
            (each for each in answer.get("containers", []) if each["name"] == task.container), {}
        )
        task.has_stopped = True
        task.exit_code = main.get("exitCode")
        reasons = [answer.get("stoppedReason"), main.get("reason")]
        task.reason = ": ".join(dict.fromkeys(str(each) for each in reasons if each))
    return status.lower()


def _new_lines(context: Context, task: Task) -> Iterator[LogLine]:
    if not task.log_group:
        return
    logs = context.account.client("logs")
    lines, task.token = log_events.next_of_stream(logs, task.log_group, task.log_stream, task.token)
    yield from lines
