"""Changes that --yes does not approve without a terminal."""

from __future__ import annotations

import pytest

from exasol_ci_setup.cli.consent import Consent, warning
from exasol_ci_setup.cli.platform import acting
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.core.errors import NotApprovedError
from exasol_ci_setup.core.stacks import Broadening, Change, Plan

LOSS = Plan("Slc", "UPDATE", changes=(Change("Remove", "Table", "AWS::DynamoDB::Table", data_loss=True),))
WIDER = Plan("Slc", "UPDATE", broadenings=(Broadening("iam-allow", "Role", "role Role may do more"),))
GRANTED = Plan("Slc", "UPDATE", broadenings=(Broadening("iam-allow", "Role", "role Role may do more", granted=True),))
BOTH = Plan("Slc", "UPDATE", changes=LOSS.changes, broadenings=WIDER.broadenings)
ARGUMENTS = ("up", "my program.py", "--yes")


@pytest.mark.parametrize(
    ("plan", "options"),
    [(LOSS, "--allow-data-loss"), (WIDER, "--allow-broadening"), (BOTH, "--allow-broadening --allow-data-loss")],
    ids=["data-loss", "access", "both"],
)
def test_plan_that_needs_more_than_yes_is_refused_with_command(plan, options):
    session = Session(region="eu-central-1", arguments=ARGUMENTS)

    with pytest.raises(NotApprovedError) as caught:
        Consent(session).require(plan)

    command = f"`exasol-ci-setup up 'my program.py' --yes {options}`"
    assert caught.value.exit_code == 1
    assert command in caught.value.hint
    # The command has its options already, so none is added.
    assert command in session.with_global_options(caught.value.hint)


@pytest.mark.parametrize("plan", [LOSS, WIDER, BOTH, GRANTED], ids=["data-loss", "access", "both", "granted"])
def test_given_options_approve(plan):
    Consent(Session(), allow_broadening=True, allow_data_loss=True).require(plan)


def test_granted_access_needs_no_option():
    Consent(Session()).require(GRANTED)

    assert warning({"Slc": GRANTED}) == ""


def test_warning_names_lost_data_and_wider_access():
    assert warning({"Slc": BOTH}) == "This broadens access. Data loss: Table. "
    assert warning({"Slc": LOSS, "Other": LOSS}) == "Data loss: Slc/Table, Other/Table. "


def test_platform_verb_without_terminal_loses_no_data(answers):
    session = Session()
    session.__dict__["account"] = answers.account

    with pytest.raises(NotApprovedError, match=r"deletes data \(Table\)"), acting(session, yes=True) as context:
        context.reporter.confirm(LOSS)
    with acting(session, allow_data_loss=True) as context:
        assert context.reporter.confirm(LOSS)
        # The verb is the approval of the access that it needs.
        assert context.reporter.confirm(WIDER)
