"""Commands `list`, `status`, `outputs`, `watch` and `delete` for stacks created by this tool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.options import DELETION_PLAN, ROLE, STACK, YES
from exasol_ci_setup.cli.session import common_options, markdown_options
from exasol_ci_setup.core.errors import InputError, NotApprovedError
from exasol_ci_setup.core.reporter import NullReporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Plan
    from exasol_ci_setup.programs.removal import ExistingStack
    from exasol_ci_setup.stacks.resources import Resource

_CONCURRENCY: Final = 8  # stacks that are deleted in parallel


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
@click.argument("names", type=STACK, metavar="STACK...", nargs=-1, required=True)
@YES
@DELETION_PLAN
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
def delete(session: Session, names: tuple[str, ...], **values: Any) -> None:
    """Delete stacks that this tool created.

    If a STACK does not exist, the exit code is 0. If a bucket or repository is not empty, --empty is needed. A stack that
    another stack uses is not deleted. Several stacks have one plan and one question; a stack is deleted after those that use it.
    """
    if len(names) == 1:
        _delete_one(session, names[0], values)
    else:
        _delete_several(session, names, values)


def _delete_several(session: Session, names: Sequence[str], values: Mapping[str, Any]) -> None:
    from exasol_ci_setup.cli.removal import DeletionFlags, ManyRemovals
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter
    from exasol_ci_setup.platform import space_stacks

    for option in ("retain", "force"):
        if values[option]:
            raise InputError(f"--{option} needs a single stack", hint=f"omit --{option}, or delete that stack alone")
    context = session.context()
    found = _existing(session, context, names)
    if not found:
        report.result(session.output, "unchanged", ", ".join(names), changed=False)
        return
    flags = DeletionFlags(
        **{name: values[name] for name in ("yes", "plan_only", "empty", "role_arn")},
        prune=False,
        timeout=None,
        concurrency=_CONCURRENCY,
    )
    removals = ManyRemovals(session, MultiStackReporter(session), flags)
    existing = dict(removals.in_order(found, {}))
    spaces = [each for each in existing.values() if space_stacks.is_of_space(each.stack)]
    for each in spaces:
        existing[each.stack.name] = replace(each, removal=space_stacks.with_logs(each.removal, each.resources))
    removals.run(existing, yes=values["yes"], plan_only=values["plan_only"])
    for each in () if values["plan_only"] else spaces:
        space_stacks.clean_up(replace(context, reporter=NullReporter()), each.stack)


def _existing(session: Session, context: Context, names: Sequence[str]) -> dict[str, ExistingStack]:
    """Return the stacks that exist, after a message for each other name."""
    from exasol_ci_setup.programs.removal import existing_stack
    from exasol_ci_setup.stacks.deletion import find_existing

    found = {}
    for name in names:
        stack = find_existing(context, name)
        if stack is None:
            session.output.say(f"stack {name} does not exist: no changes")
        else:
            found[stack.name] = existing_stack(context.account, stack)
    return found


def _delete_one(session: Session, name: str, values: Mapping[str, Any]) -> None:
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
