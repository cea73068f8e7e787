"""`drift`: show and revert changes that were made outside of CloudFormation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli.options import ALLOW_DATA_LOSS, STACK
from exasol_ci_setup.cli.session import markdown_options
from exasol_ci_setup.core.errors import DifferencesFoundError, InputError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session


@click.command("drift")
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
@markdown_options
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
    from exasol_ci_setup.stacks import state
    from exasol_ci_setup.stacks.reversion import detect_drift, revert_drift

    if yes and not revert:
        raise InputError("--yes needs --revert", hint="add --revert, or omit --yes to only show the drift")
    if revert and session.output_format == "markdown":
        raise InputError("--output markdown only shows the drift", hint="omit --revert, or --output markdown")
    output = session.output
    context = session.context()
    stack = state.get(context.cfn, name)
    detected = detect_drift(context, stack)
    if detected and revert:
        # The plan prints it as text.
        output.record(detected)
        consent = Consent(session, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss)
        reporter = DeployReporter(consent, yes=yes, no_terminal="add --yes, or omit --revert to only show the drift")
        revert_drift(session.context(reporter), stack, detected)
        output.say(f"reverted the drift of stack {stack.name}")
        report.result(output, "reverted", stack.name, changed=True)
        return
    report.drift(output, detected, as_data=True)
    if not detected:
        output.say(f"stack {stack.name} has no drift, as far as AWS can compare")
    report.result(output, "different" if detected else "same", stack.name, changed=False)
    if detected and exit_code:
        raise DifferencesFoundError(f"stack {stack.name} was changed outside of CloudFormation")
