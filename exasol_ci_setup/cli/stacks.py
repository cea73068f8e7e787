"""`list`, `status`, `outputs`, `watch` and `delete`: the stacks that this tool made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.options import ROLE, STACK
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.errors import DeployFailed, NotApprovedError, StackError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.stacks.delete import Resource
    from exasol_ci_setup.stacks.model import Plan


@click.command("list")
@common_options
def list_(session: Session) -> None:
    """List the stacks that this tool created.

    Those in the region, with their state and the time of their last change.
    """
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.stacks import state

    found = list(state.own(session.account.client("cloudformation")))
    report.stacks(session.output, found)
    if not found:
        session.output.say(f"this tool has made no stack in {session.account.region}")


@click.command("status")
@click.argument("names", type=STACK, metavar="[STACK]...", nargs=-1)
@common_options
def status(session: Session, names: tuple[str, ...]) -> None:
    """Show the state of stacks.

    Of each STACK all that is known; without any a line for each that this tool made.
    """
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.stacks import state

    cfn = session.account.client("cloudformation")
    found = [state.get(cfn, name) for name in names] if names else list(state.own(cfn))
    (report.details if names else report.stacks)(session.output, found)
    if not found:
        session.output.say(f"this tool has made no stack in {session.account.region}")


@click.command("outputs")
@click.argument("name", type=STACK, metavar="STACK")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "yaml", "env"]),
    default="text",
    show_default=True,
    help="How they are written; env: lines that a shell can source.",
)
@common_options
def outputs(session: Session, name: str, style: str) -> None:
    """Print a stack's outputs."""
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.stacks import state

    stack = state.get(session.account.client("cloudformation"), name)
    report.outputs(session.output, stack, style=style)


@click.command("watch")
@click.argument("name", type=STACK, metavar="STACK")
@common_options
def watch(session: Session, name: str) -> None:
    """Follow the operation in progress on a stack.

    If none is under way on STACK, the last one is shown.

    The exit code is the operation's: 0 if it succeeded, 1 if it failed or was rolled back.
    """
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.cli.live import EventView
    from exasol_ci_setup.stacks import diagnose, state
    from exasol_ci_setup.stacks.events import StackMonitor
    from exasol_ci_setup.stacks.rollout import Rollouts

    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    if stack.status == "REVIEW_IN_PROGRESS":
        raise StackError(
            f"stack {stack.name} was never deployed: it is an empty shell that a plan was made in",
            hint="deploy it, or delete the shell: `aws cloudformation delete-stack`",
            stack_name=stack.name,
        )
    events = EventView(session.output, stack.name, clock=session.clock.now)
    with Rollouts(session.account, events, session.clock) as view:
        following = StackMonitor(cfn, stack.id, after=None, view=view, clock=session.clock)
        ended = following.run()
    if ended is None:  # pragma: no cover - without a deadline it returns a stack
        return
    if not state.has_succeeded(ended) and ended.status != "DELETE_COMPLETE":
        found = diagnose.of_stack(cfn, ended, following.events)
        raise DeployFailed(
            f"stack {ended.name} ended in {ended.status}",
            stack_name=ended.name,
            diagnosis=replace(found, details=(*found.details, *view.why(found.physical_id))),
        )
    session.output.say(f"stack {ended.name} is in {ended.status}")
    report.result(session.output, "watched", ended.name, changed=False)


@click.command("delete")
@click.argument("name", type=STACK, metavar="STACK")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would go, and delete nothing.")
@click.option(
    "--empty",
    is_flag=True,
    help="Empty the stack's buckets, with all versions of their objects, and its repositories first.",
)
@click.option(
    "--retain",
    multiple=True,
    metavar="LOGICAL_ID",
    help="Leave this resource standing, if the deletion failed because of it; may be repeated.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Delete a stack that could not be deleted, and leave standing whatever AWS cannot delete; that is named.",
)
@click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation acts in.")
@common_options
def delete(session: Session, name: str, **values: Any) -> None:
    """Delete a stack that this tool created.

    A STACK that does not exist is deleted already: exit code 0. What is in its buckets and repositories goes only with
    --empty. A stack that another one uses is refused.
    """
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.cli.live import EventView
    from exasol_ci_setup.platform import space_stacks
    from exasol_ci_setup.platform.place import Place
    from exasol_ci_setup.stacks import delete as deletion
    from exasol_ci_setup.stacks import removed, state, users

    output = session.output
    cfn = session.account.client("cloudformation")
    stack = state.find(cfn, name)
    if stack is None or stack.status == "DELETE_COMPLETE":
        output.say(f"there is no stack {name}: nothing to do")
        report.result(output, "unchanged", name, changed=False)
        return
    deletion.require_deletable(stack)
    found = deletion.resources(cfn, stack)
    retained = deletion.retained(cfn, stack, found, values["retain"])
    if values["force"]:
        deletion.require_forcible(stack)
    removal = removed.plan_of(cfn, stack, found, retained=retained)
    emptied = removed.resources_of(removal) if values["empty"] else []
    users.require_unused(cfn, [(stack, removed.resources_of(removal))])
    if not values["empty"] and not values["force"]:
        hint = f"{session.again('--empty')} deletes what they hold too"
        removed.require_empty(session.account, removal, output.say, hint=hint)
    has_leftovers = space_stacks.is_of_space(stack) and space_stacks.LOG_GROUP not in values["retain"]
    if has_leftovers:
        removal = space_stacks.with_logs(removal, found)
    report.deletion(output, found, removal, empty=values["empty"], as_data=values["plan_only"])
    if values["plan_only"]:
        output.say("plan only: nothing was deleted")
        report.result(output, "planned", stack.name, changed=False)
        return
    if not values["yes"]:
        _ask(output, removal, [*deletion.buckets(emptied), *deletion.repositories(emptied)])
    deletion.empty(session.account, emptied, output.say)
    with EventView(output, stack.name, clock=session.clock.now) as view:
        left = deletion.delete(
            cfn,
            stack,
            view=view,
            clock=session.clock,
            role_arn=values["role_arn"] or "",
            retain=values["retain"],
            force=values["force"],
        )
    if has_leftovers:
        space_stacks.clean_up(Place(session.account, session.clock), stack)
    output.say(f"stack {stack.name} is deleted")
    for event in left:
        output.say(
            f"left standing: {event.logical_id} ({event.type} {event.physical_id}): {event.reason or 'AWS gave no reason'}"
        )
    report.result(output, "deleted", stack.name, changed=True)


def _ask(output: Output, removal: Plan, emptied: list[Resource]) -> None:
    from exasol_ci_setup.cli.consent import require_terminal, warning

    name = removal.stack_name
    require_terminal(output)
    with_objects = f" with all that is in {', '.join(each.physical_id for each in emptied)}" if emptied else ""
    if not output.confirm(f"{warning({name: removal})}Delete stack {name}{with_objects}?"):
        raise NotApprovedError(f"not deleted: stack {name} is as it was", stack_name=name)
