"""`cluster.run_task(service)`: run one task of a service until it ends."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.constructs.runtime import TaskResult
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.programs import actions
from exasol_ci_setup.programs.actions.logs import service_of
from exasol_ci_setup.stacks import tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.constructs.runtime import TaskOptions
    from exasol_ci_setup.constructs.service import Cluster, Service


def run_task(cluster: Cluster, service: Service | str, options: TaskOptions) -> TaskResult:
    """Run a task of a service, and return its result.

    Raises InputError if the cluster has no such service or is not deployed, TaskFailedError, TimedOutError, OperationInterruptedError, and
    the errors of the AWS boundary.
    """
    found = service_of(cluster, service)
    runtime = actions.current()
    what = f"a task of {found.name}" + (f" with the command {options.command}" if options.command is not None else "")
    if runtime.is_dry_run:
        runtime.say(f"cluster {cluster.name}: {what} would run")
        return TaskResult(found.name, "", 0, ())
    cluster.output("ClusterName")
    runtime.say(f"cluster {cluster.name}: running {what}")
    context = Context(runtime.connect(cluster.resolved_scope), runtime.clock, _Notes(runtime.say))
    command = None if options.command is None else shlex.split(options.command)
    task = tasks.start(context, tasks.find(context, cluster.stack_name, found.name), command, options.env_vars)
    lines = []
    for line in tasks.follow(context, task, options.timeout):
        lines.append(line.message)
        runtime.say(f"{found.name}: {line.message}")
    if options.check:
        tasks.require_success(task)
    return TaskResult(found.name, task.arn, task.exit_code, tuple(lines))


class _Notes(NullReporter):
    """Passes messages to a function."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def note(self, message: str, /) -> None:
        """Pass the message on."""
        self._say(message)
