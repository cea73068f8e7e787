"""`cancel`, `continue-rollback` and `diagnose`: out of an operation that should not go on, or that went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli.options import ROLE, STACK
from exasol_ci_setup.cli.session import common_options

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session


@click.command("cancel")
@click.argument("name", type=STACK, metavar="STACK")
@common_options
def cancel(session: Session, name: str) -> None:
    """Cancel the update in progress on a stack.

    AWS puts back what the update of STACK has changed, which is followed to its end. A creation cannot be cancelled; `delete` ends it.
    """
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.cli.live import EventView
    from exasol_ci_setup.stacks import recovery, state

    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    with EventView(session.output, stack.name, clock=session.clock.now) as view:
        ended = recovery.cancel(cfn, stack, view=view, clock=session.clock)
    session.output.say(f"the update of stack {ended.name} was cancelled: the stack is as it was, in {ended.status}")
    report.result(session.output, "cancelled", ended.name, changed=True)


@click.command("continue-rollback")
@click.argument("name", type=STACK, metavar="STACK")
@click.option(
    "--skip",
    multiple=True,
    metavar="LOGICAL_ID",
    help="Leave this resource as it is, if it is what could not be rolled back; may be repeated. Make its template true again by a "
    "deployment afterwards.",
)
@click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation acts in.")
@common_options
def continue_rollback(session: Session, name: str, skip: tuple[str, ...], role_arn: str | None) -> None:
    """Continue a rollback that could not finish.

    For a STACK in UPDATE_ROLLBACK_FAILED, once what stood in the way is mended; `diagnose` tells what that was.
    """
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.cli.live import EventView
    from exasol_ci_setup.stacks import recovery, state

    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    with EventView(session.output, stack.name, clock=session.clock.now) as view:
        ended = recovery.continue_rollback(
            cfn, stack, view=view, clock=session.clock, skip=skip, role_arn=role_arn or ""
        )
    session.output.say(f"stack {ended.name} is rolled back: it is in {ended.status}")
    report.result(session.output, "rolled-back", ended.name, changed=True)


@click.command("diagnose")
@click.argument("name", type=STACK, metavar="STACK")
@common_options
def diagnose(session: Session, name: str) -> None:
    """Explain why the last operation on a stack failed.

    The first resource of STACK that failed of its own and AWS's reason are told, in nested stacks too, and not the cancellations that followed.
    The exit code is 0 whether something failed or not.
    """
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.stacks import recovery, state

    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    found = recovery.explain(cfn, stack)
    if found is None:
        session.output.say(f"the last operation on stack {stack.name} did not fail: it is in {stack.status}")
        report.result(session.output, "succeeded", stack.name, changed=False)
        return
    report.diagnosis(session.output, found)
    report.result(session.output, "diagnosed", stack.name, changed=False)
