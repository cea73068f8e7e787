"""`report`: one HTML page about stacks, for readers without access to the account."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError, StackNotFoundError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Stack
    from exasol_ci_setup.pictures.stack_report import StackReport

_CONCURRENCY: Final = 8
_FLEET_SUFFIXES: Final = (".yaml", ".yml")
_PAGE_SUFFIXES: Final = (".html", ".htm")


@click.command("report")
@click.argument("subject", metavar="STACK|FLEET|SCOPE")
@click.option(
    "--to",
    "-o",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    required=True,
    help="Write the page to this .html file.",
)
@click.option(
    "--drift/--no-drift",
    "with_drift",
    default=True,
    show_default=True,
    help="Compare the resources with the templates. AWS needs about a minute for a stack.",
)
@common_options
def report(session: Session, subject: str, target: Path, *, with_drift: bool) -> None:
    """Write an HTML report of stacks.

    The page shows stacks, resources, the timeline of the last operation, drift, outputs, cost and access. It needs no other file and no
    script. STACK is a name or an ARN, FLEET the file of a fleet, and SCOPE the scope of a program.

    The page contains the outputs of the stacks: check its readers before you share it. What cannot be read is a note in the page.
    """
    from exasol_ci_setup.cli.render import html_report, records
    from exasol_ci_setup.core.files import write_whole

    if target.suffix.lower() not in _PAGE_SUFFIXES:
        raise InputError(f"--to {target} has no known file type", hint="use a name that ends with .html")
    title, stacks = _subject(session, subject)
    if session.output.live:
        session.output.say(f"reading {counted(len(stacks), 'stack')}")
    reports = _gather(stacks, with_drift=with_drift)
    page = html_report.page(title, reports, now=datetime.now(timezone.utc))
    try:
        write_whole(target, page.encode())
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    for each in reports:
        for note in each.notes:
            session.output.warn(f"{each.name}: {note}")
    session.output.say(f"wrote {target}")
    session.output.record(
        records.result("written", file=str(target), stacks=[each.name for each in reports], changed=False)
    )


def _gather(stacks: dict[str, tuple[Context, Stack]], *, with_drift: bool) -> list[StackReport]:
    from exasol_ci_setup.pictures.stack_report import gather

    def read(name: str) -> StackReport:
        context, stack = stacks[name]
        return gather(context, name, stack, with_drift=with_drift)

    with ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="report") as pool:
        return list(pool.map(read, stacks))


def _subject(session: Session, subject: str) -> tuple[str, dict[str, tuple[Context, Stack]]]:
    """Return the title of the page, and the stacks with their contexts. Raises StackNotFoundError without stacks."""
    if Path(subject).suffix in _FLEET_SUFFIXES:
        return f"Fleet {Path(subject).name}", _of_fleet(session, Path(subject))
    from exasol_ci_setup.programs.removal import of_scope
    from exasol_ci_setup.stacks import state

    context = _quiet(session)
    stack = state.find(context.cfn, subject)
    if stack is not None and not state.is_absent(stack):
        return f"Stack {stack.name}", {stack.name: (context, stack)}
    found = {each.name: (context, each) for each in of_scope(context.account, subject)}
    if not found:
        raise StackNotFoundError(
            f"neither a stack nor a scope {subject!r} exists in {session.account.region}",
            hint="`exasol-ci-setup list` lists all stacks, `exasol-ci-setup scopes list` all scopes",
            stack_name=subject,
        )
    return f"Scope {subject}", found


def _of_fleet(session: Session, file: Path) -> dict[str, tuple[Context, Stack]]:
    from exasol_ci_setup import fleets
    from exasol_ci_setup.cli.render.multi_stack import connections
    from exasol_ci_setup.stacks import state

    fleet = fleets.load(file)
    connect = connections(session)
    fleets.identified(fleet, connect, guarded=not session.sandbox)
    context = _quiet(session)
    found: dict[str, tuple[Context, Stack]] = {}
    for name, member in fleet.members.items():
        account = connect(fleet.scope_of(name))
        stack = state.find(account.client("cloudformation"), member.construct.stack_name)
        if stack is not None and not state.is_absent(stack):
            found[name] = (replace(context, account=account), stack)
    if not found:
        raise StackNotFoundError(
            f"no stack that {file} declares exists",
            hint=f"`exasol-ci-setup deploy-fleet {file}` creates them",
            stack_name="",
        )
    return found


def _quiet(session: Session) -> Context:
    """Return a context that shows nothing: several stacks are read in parallel."""
    return session.context(NullReporter())
