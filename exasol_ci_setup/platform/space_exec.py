"""Commands in a running task of a space, with ECS Exec and AWS's program for sessions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import InputError, SpaceConflictError, SpaceNotFoundError
from exasol_ci_setup.platform import space_stacks as stacks
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Stack

PLUGIN: Final = "session-manager-plugin"
# The plugin reads the session from this variable, so that its token is in no argument:
# https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/session.go
_SESSION_VARIABLE: Final = "AWS_SSM_START_SESSION_RESPONSE"


def run(name: str, command: str = "/bin/sh", *, task: str | None = None, context: Context | None = None) -> int:
    """Run a command in a task of a space, with this process's terminal, and return the exit code of AWS's program for sessions.

    `task` is the ID of the task; by default it is the one that started last. Raises SpaceNotFoundError, SpaceConflictError if the space does not
    allow commands or no task accepts them, InputError without the program, and the errors of the AWS boundary.
    """
    context = context or default_context()
    stack = stacks.require(context, name)
    fields = stacks.record(stacks.metadata(context, stack))
    if "ServiceName" not in stack.outputs or not fields.get("enable_exec"):
        raise SpaceConflictError(
            f"space {name} does not allow commands in its tasks",
            hint=f"allow them with `exasol-ci-setup space update --name {name} --exec`, which replaces the tasks",
        )
    program = _require_plugin()
    found = _task(context, stack, task)
    ecs = context.account.client("ecs")
    with translate_aws_errors():
        answer = ecs.execute_command(
            cluster=stack.outputs["ClusterName"],
            task=found["taskArn"],
            container=name,
            command=command,
            interactive=True,
        )
    task_id = found["taskArn"].rpartition("/")[2]
    (runtime_id,) = (each["runtimeId"] for each in found["containers"] if each["name"] == name)
    target = f"ecs:{stack.outputs['ClusterName']}_{task_id}_{runtime_id}"
    arguments = [
        _SESSION_VARIABLE,
        context.account.region,
        "StartSession",
        "",
        json.dumps({"Target": target}),
        context.account.client("ssm").meta.endpoint_url,
    ]
    with _signals_for_child():
        return subprocess.run(  # noqa: S603 - the program of AWS
            [program, *arguments],
            env={**os.environ, _SESSION_VARIABLE: json.dumps(answer["session"])},
            check=False,
        ).returncode


def _require_plugin() -> str:
    program = shutil.which(PLUGIN)
    if program is None:
        raise InputError(
            f"`{PLUGIN}` is not on the PATH",
            hint="install it: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html",
        )
    return program


def _task(context: Context, stack: Stack, wanted: str | None) -> Mapping[str, Any]:
    """Return a running task whose agent accepts commands. Raises SpaceNotFoundError, and SpaceConflictError."""
    name, cluster = stack.outputs["ServiceName"], stack.outputs["ClusterName"]
    ecs = context.account.client("ecs")
    with translate_aws_errors():
        pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, serviceName=name, desiredStatus="RUNNING")
        arns = [arn for page in pages for arn in page["taskArns"]]
        found = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    if wanted is not None:
        found = [task for task in found if task["taskArn"].rpartition("/")[2] == wanted]
        if not found:
            raise SpaceNotFoundError(
                f"space {name} has no running task {wanted}", hint="omit the task: the newest one is used"
            )
    ready = [task for task in found if _accepts_commands(task, name)]
    if not ready:
        raise SpaceConflictError(
            f"space {name} has no task that accepts commands: {len(found)} running",
            hint="a new task accepts them after some seconds: run the command again",
        )
    return max(ready, key=lambda task: task["createdAt"])


def _accepts_commands(task: Mapping[str, Any], name: str) -> bool:
    """Return whether the agent for commands runs in the container of a task."""
    agents = (
        agent
        for container in task["containers"]
        if container["name"] == name
        for agent in container.get("managedAgents", ())
    )
    return any(agent.get("name") == "ExecuteCommandAgent" and agent.get("lastStatus") == "RUNNING" for agent in agents)


@contextmanager
def _signals_for_child() -> Iterator[None]:
    """Ignore Ctrl-C and the like, which the program passes to the command in the task."""
    numbers = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
