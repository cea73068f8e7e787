"""Commands `cancel`, `continue-rollback` and `diagnose` for running and failed operations."""

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

    AWS rolls STACK back; the command follows the rollback until it ends. A creation cannot be canceled: use `delete`.
    """
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks import recovery, state

    stack = state.get(session.context().cfn, name)
    with session.context().operation(stack.name, "") as running:
        ended = recovery.cancel(running, stack)
    session.output.say(f"canceled the update of stack {ended.name} ({ended.status})")
    report.result(session.output, "cancelled", ended.name, changed=True)


@click.command("continue-rollback")
@click.argument("name", type=STACK, metavar="STACK")
@click.option(
    "--skip",
    multiple=True,
    metavar="LOGICAL_ID",
    help="Do not roll back this resource, which could not be rolled back; may be repeated. Deploy afterwards, so that it matches the "
    "template again.",
)
@click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation assumes.")
@common_options
def continue_rollback(session: Session, name: str, skip: tuple[str, ...], role_arn: str | None) -> None:
    """Continue a rollback that could not finish.

    For a STACK in UPDATE_ROLLBACK_FAILED, after the cause is fixed. `diagnose` shows the cause.
    """
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks import recovery, state

    stack = state.get(session.context().cfn, name)
    with session.context().operation(stack.name, "") as running:
        ended = recovery.continue_rollback(running, stack, skip=skip, role_arn=role_arn or "")
    session.output.say(f"rolled back stack {ended.name} ({ended.status})")
    report.result(session.output, "rolled-back", ended.name, changed=True)


@click.command("diagnose")
@click.argument("name", type=STACK, metavar="[STACK]", required=False)
@common_options
def diagnose(session: Session, name: str | None) -> None:
    """Explain why the last operation on a stack failed.

    Without STACK, the last failure in the region is explained.

    Prints the first failed resource of STACK, or of a nested stack, with the reason of AWS. Resources that were canceled because of it are
    not listed. The exit code is 0, also if an operation failed.
    """
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks import recovery, state

    cfn = session.account.client("cloudformation")
    stack = recovery.last_failure(cfn) if name is None else state.get(cfn, name)
    if stack is None:
        session.output.say(f"no stack in {session.account.region} has a failed operation")
        report.result(session.output, "succeeded", "", changed=False)
        return
    diagnosis = recovery.explain(session.account, stack)
    if diagnosis is None:
        session.output.say(f"the last operation on stack {stack.name} did not fail ({stack.status})")
        report.result(session.output, "succeeded", stack.name, changed=False)
        return
    report.diagnosis(session.output, diagnosis)
    report.result(session.output, "diagnosed", stack.name, changed=False)
