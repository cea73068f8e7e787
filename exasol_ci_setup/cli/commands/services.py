"""Commands `run-task` and `service-logs` for the services of a cluster."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli.options import STACK, Duration, Pairs, merged
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from exasol_ci_setup.aws.log_events import LogLine
    from exasol_ci_setup.cli.session import Session


@click.command("run-task")
@click.argument("name", type=STACK, metavar="STACK")
@click.argument("service", required=False)
@click.option(
    "--command",
    metavar="WORDS",
    help="Command in place of the container's; split as in a shell, but run without a shell.",
)
@click.option(
    "--env",
    type=Pairs("variable", 'write NAME=VALUE, or a JSON object such as {"NAME": "VALUE"}', json=True),
    multiple=True,
    callback=merged,
    metavar="NAME=VALUE|JSON",
    help="Additional environment variable, or several as a JSON object; may be repeated. Not for secrets: the values are visible.",
)
@click.option(
    "--timeout",
    type=Duration(),
    metavar="TIME",
    help="Stop following after this time (90s, 30m, 2h). The task continues.",
)
@click.option("--no-wait", is_flag=True, help="Start the task, and do not follow it.")
@common_options
def run_task(
    session: Session,
    name: str,
    service: str | None,
    *,
    command: str | None,
    env: dict[str, str] | None,
    timeout: float | None,
    no_wait: bool,
) -> None:
    """Run one task of a service until it ends.

    Prints its log. The task has the image, roles, secrets and network of SERVICE in STACK. SERVICE can be omitted if the stack has only one. The exit code
    is that of the container; it is 1 if the container did not run, and 7 after --timeout.
    """
    from exasol_ci_setup.cli.render import records
    from exasol_ci_setup.stacks import tasks

    output, context = session.output, session.context()
    try:
        words = None if command is None else shlex.split(command)
    except ValueError as error:
        raise InputError(f"invalid --command: {error}", hint="quote it as in a shell") from None
    task = tasks.start(context, tasks.find(context, name, service), words, env)
    output.note(f"started task {task.id} of service {task.service}")
    output.record({"type": "task", "arn": task.arn, "cluster": task.cluster, "service": task.service})
    if no_wait:
        output.record(records.result("started", changed=True))
        return
    for line in tasks.follow(context, task, timeout):
        _print(session, line)
    tasks.require_success(task)
    output.say(f"task {task.id} of service {task.service} ended with exit code 0")
    output.record(records.result("succeeded", changed=True))


@click.command("service-logs")
@click.argument("name", type=STACK, metavar="STACK")
@click.argument("service", required=False)
@click.option("--follow", "-f", is_flag=True, help="Continue with new lines until Ctrl-C.")
@click.option("--since", type=Duration(), metavar="TIME", help="Only lines of the last 90s, 30m or 2h, for example.")
@click.option("--lines", type=int, default=100, show_default=True, metavar="N", help="Number of lines, at most 10000.")
@common_options
def service_logs(
    session: Session, name: str, service: str | None, *, follow: bool, since: float | None, lines: int
) -> None:
    """Print the log of a service of a cluster.

    These are the last lines of all its tasks, in the order of time. SERVICE can be omitted if STACK has only one.
    """
    from exasol_ci_setup.aws import log_events
    from exasol_ci_setup.cli.render import records
    from exasol_ci_setup.stacks import tasks

    context = session.context()
    group = tasks.log_group(context, tasks.find(context, name, service))
    start = None if since is None else datetime.now(timezone.utc) - timedelta(seconds=since)
    count = 0
    for line in log_events.read(context.account.client("logs"), group, lines, start, context.clock if follow else None):
        count += 1
        _print(session, line)
    if not count:
        session.output.say("no log lines" + (" in this time" if since is not None else " yet"))
    session.output.record(records.result("logged", lines=count, changed=False))


def _print(session: Session, line: LogLine) -> None:
    from exasol_ci_setup.cli.render import show

    output = session.output
    output.data(show.clean(line.message) if output.on_terminal else line.message)
    output.record({"type": "log", "at": line.at, "message": line.message, "stream": line.stream})
