"""`drift`: show and revert changes that were made outside of CloudFormation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli.options import ALLOW_DATA_LOSS, STACK
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import DifferencesFoundError, InputError, StackError

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Drift, Stack
    from exasol_ci_setup.template.render import Template


@click.command("drift")
@common_options
@click.argument("name", type=STACK, metavar="STACK")
@click.option("--revert", is_flag=True, help="Revert the drift, after confirmation.")
@click.option("--yes", "-y", is_flag=True, help="With --revert: do not prompt for confirmation.")
@click.option(
    "--allow-broadening",
    is_flag=True,
    help="With --yes and without a terminal: also revert drift that broadens access.",
)
@ALLOW_DATA_LOSS
@click.option("--exit-code", is_flag=True, help="Exit with 5 if there is drift that is not reverted.")
def drift(
    session: Session,
    name: str,
    *,
    revert: bool,
    yes: bool,
    allow_broadening: bool,
    allow_data_loss: bool,
    exit_code: bool,
) -> None:
    """Show what was changed outside of CloudFormation.

    AWS compares the resources of STACK with its template, property by property. AWS compares only properties that the template
    sets, and does not support all resource types.
    """
    from exasol_ci_setup.cli.consent import Consent
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.cli.render.reporter import DeployReporter
    from exasol_ci_setup.stacks import drift as drifts
    from exasol_ci_setup.stacks import recreation, state

    if yes and not revert:
        raise InputError("--yes needs --revert", hint="add --revert, or omit --yes to only show the drift")
    output = session.output
    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    if state.is_absent(stack):
        raise StackError(f"stack {stack.name} was never deployed", stack_name=stack.name)
    detected = drifts.detect(session.context(), stack)
    gone = recreation.lost(session.account, stack, output.say)
    unchecked = (
        replace(each, status="DELETED") if each.logical_id in gone else each
        for each in drifts.unchecked(cfn, stack, detected)
    )
    detected = replace(detected, resources=(*detected.resources, *unchecked))
    if detected and revert:
        # The plan prints it as text.
        output.record(detected)
        consent = Consent(session, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss)
        _revert(session, session.context(DeployReporter(consent, yes=yes)), stack, detected)
        return
    report.drift(output, detected, as_data=True)
    if not detected:
        output.say(f"stack {stack.name} has no drift, as far as AWS can compare")
    report.result(output, "different" if detected else "same", stack.name, changed=False)
    if detected and exit_code:
        raise DifferencesFoundError(f"stack {stack.name} was changed outside of CloudFormation")


def _readable(deployed: Template) -> Template:
    """Return a deployed template, written again if its text contains what this tool rejects."""
    from exasol_ci_setup.template.deployed import read
    from exasol_ci_setup.template.render import written

    found = read(deployed.body)
    return replace(deployed, body=written(found.template)) if found.notes else deployed


def _revert(session: Session, context: Context, stack: Stack, detected: Drift) -> None:
    """Deploy the stack again with its deployed template. Raises StackError if drift remains."""
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.core.stacks import Options, Outcome
    from exasol_ci_setup.stacks import drift as drifts
    from exasol_ci_setup.stacks import plan, state
    from exasol_ci_setup.stacks.deploy import deploy
    from exasol_ci_setup.stacks.model import Request
    from exasol_ci_setup.template.render import Template

    cfn = context.cfn
    if not state.is_own(stack):
        raise StackError(
            f"stack {stack.name} cannot be reverted: it was not created by this tool",
            hint="revert it with the tool that created it",
            stack_name=stack.name,
        )
    request = Request(
        stack.name,
        _readable(Template(stack.name, plan.deployed_body(cfn, stack.name))),
        tags=stack.user_tags,
        kept_parameters=tuple(stack.parameters),
    )
    result = deploy(context, request, Options(drift=detected))
    remaining = detected
    if result.outcome is Outcome.DEPLOYED and result.stack is not None:
        # By the new ID, since the stack may have been created again.
        remaining = drifts.detect(context, state.get(cfn, result.stack.id))
    if remaining:
        raise StackError(
            f"drift remains in stack {stack.name}: {', '.join(each.logical_id for each in remaining.drifted)}",
            hint=f"set the expected values that `exasol-ci-setup drift {stack.name}` shows, or change the template",
            stack_name=stack.name,
        )
    session.output.say(f"reverted the drift of stack {stack.name}")
    report.result(session.output, "reverted", stack.name, changed=True)
