"""Commands `list`, `status`, `outputs`, `watch` and `delete` for stacks created by this tool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.options import ROLE, STACK
from exasol_ci_setup.cli.session import common_options, markdown_options
from exasol_ci_setup.core.errors import NotApprovedError
from exasol_ci_setup.core.reporter import NullReporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Plan
    from exasol_ci_setup.stacks.resources import Resource


@click.command("list")
@common_options
def list_(session: Session) -> None:
    """List the stacks that this tool created.

    Shows all stacks in the region, with status and time of the last change.
    """
    _list(session)


@click.command("status")
@click.argument("names", type=STACK, metavar="[STACK]...", nargs=-1)
@common_options
def status(session: Session, names: tuple[str, ...]) -> None:
    """Show the status of stacks.

    Shows all details of each STACK. If no STACK is given, lists the stacks created by this tool.
    """
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks import state

    if not names:
        _list(session)
        return
    cfn = session.account.client("cloudformation")
    report.details(session.output, [state.get(cfn, name) for name in names])


def _list(session: Session) -> None:
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks import state

    stacks = list(state.own(session.account.client("cloudformation")))
    report.stacks(session.output, stacks)
    if not stacks:
        session.output.say(f"no stacks created by this tool in {session.account.region}")


@click.command("outputs")
@click.argument("name", type=STACK, metavar="STACK")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "yaml", "env"]),
    default="text",
    show_default=True,
    help="Output format; env: lines that a shell can source.",
)
@common_options
def outputs(session: Session, name: str, style: str) -> None:
    """Print a stack's outputs."""
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks import state

    stack = state.get(session.account.client("cloudformation"), name)
    report.outputs(session.output, stack, style=style)


@click.command("watch")
@click.argument("name", type=STACK, metavar="STACK")
@common_options
def watch(session: Session, name: str) -> None:
    """Follow the operation in progress on a stack.

    If no operation is in progress on STACK, shows the last one.

    The exit code is 0 if the operation succeeded, and 1 if it failed or was rolled back.
    """
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks.watch import watch as follow

    ended = follow(session.context(), name)
    session.output.say(f"the last operation on stack {ended.name} succeeded ({ended.status})")
    report.result(session.output, "watched", ended.name, changed=False)


@click.command("delete")
@click.argument("name", type=STACK, metavar="STACK")
@click.option("--yes", "-y", is_flag=True, help="Do not prompt for confirmation.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be deleted; delete nothing.")
@click.option(
    "--empty",
    is_flag=True,
    help="First delete the contents of its buckets (all versions of objects) and repositories.",
)
@click.option(
    "--retain",
    multiple=True,
    metavar="LOGICAL_ID",
    help="Keep this resource (for a stack in DELETE_FAILED); may be repeated.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Delete a stack in DELETE_FAILED; keep and list the resources that AWS cannot delete.",
)
@click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation assumes.")
@markdown_options
def delete(session: Session, name: str, **values: Any) -> None:
    """Delete a stack that this tool created.

    If STACK does not exist, the exit code is 0. If a bucket or repository is not empty, --empty is needed. A stack that
    another stack uses is not deleted.
    """
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.platform import space_stacks
    from exasol_ci_setup.stacks.deletion import find_existing, plan_deletion

    output = session.output
    context = session.context()
    stack = find_existing(context, name)
    if stack is None:
        output.say(f"stack {name} does not exist: no changes")
        report.result(output, "unchanged", name, changed=False)
        return
    planned = plan_deletion(
        context,
        stack,
        empty=values["empty"],
        retain=values["retain"],
        force=values["force"],
        role_arn=values["role_arn"] or "",
        hint=f"to delete their contents too: {session.again('--empty')}",
    )
    has_leftovers = space_stacks.is_of_space(stack) and space_stacks.LOG_GROUP not in values["retain"]
    removal = space_stacks.with_logs(planned.plan, planned.resources) if has_leftovers else planned.plan
    report.deletion(output, planned.resources, removal, empty=values["empty"], as_data=values["plan_only"])
    if values["plan_only"]:
        output.say(report.DELETION_PLAN_ONLY)
        report.result(output, "planned", stack.name, changed=False)
        return
    if not values["yes"]:
        _ask(output, removal, planned.emptied)
    kept = planned.apply()
    if has_leftovers:
        space_stacks.clean_up(replace(context, reporter=NullReporter()), stack)
    output.say(f"deleted stack {stack.name}")
    for event in kept:
        output.say(
            f"kept {event.logical_id} ({event.type} {event.physical_id}): {event.reason or 'AWS gave no reason'}"
        )
    report.result(output, "deleted", stack.name, changed=True)


def _ask(output: Output, removal: Plan, emptied: Sequence[Resource]) -> None:
    from exasol_ci_setup.cli.consent import require_terminal, warning
    from exasol_ci_setup.stacks.delete import buckets, repositories

    name = removal.stack_name
    require_terminal(output)
    contained = [*buckets(emptied), *repositories(emptied)]
    with_objects = f" and the contents of {', '.join(each.physical_id for each in contained)}" if contained else ""
    if not output.confirm(f"{warning({name: removal})}Delete stack {name}{with_objects}?"):
        raise NotApprovedError(f"not deleted: stack {name} was not changed", stack_name=name)
