"""Approved plans, and the view of many stacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from io import StringIO

import pytest
from rich.console import Console

from exasol_ci_setup.cli.render import show
from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.core.errors import DeployFailedError, InputError, NotApprovedError, SetupError
from exasol_ci_setup.core.errors.details import Diagnosis
from exasol_ci_setup.core.stacks import Broadening, Change, Event, Hook, Plan
from exasol_ci_setup.core.task_graph import End, Ended

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
BUCKET = Change("Modify", "Bucket", "AWS::S3::Bucket")
SHOWN = Plan("team-source", "UPDATE", change_set_id="a", changes=(BUCKET,))


def approved(shown: Plan | None, plan: Plan) -> bool:
    shown_plans = {} if shown is None else {plan.stack_name: shown}
    return MultiStackReporter(Session(), shown=shown_plans).of(plan.stack_name).confirm(plan)


def test_shown_plan_is_approved():
    assert approved(SHOWN, SHOWN)


def test_smaller_plan_than_shown_is_approved():
    assert approved(SHOWN, Plan("team-source", "UPDATE", change_set_id="b"))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan("team-source", "UPDATE", changes=(BUCKET, Change("Remove", "Key", "AWS::KMS::Key"))), "Remove of Key"),
        (
            Plan("team-source", "UPDATE", changes=(replace(BUCKET, nested=(Change("Add", "Key", "AWS::KMS::Key"),)),)),
            "Add of Bucket/Key",
        ),
        (
            Plan("team-source", "UPDATE", changes=(Change("Modify", "Bucket", "AWS::S3::Bucket", replacement="True"),)),
            "replacement of Bucket",
        ),
        (
            Plan(
                "team-source",
                "UPDATE",
                changes=(BUCKET,),
                broadenings=(Broadening("iam-allow", "Role", "role Role may do more"),),
            ),
            "role Role may do more",
        ),
    ],
    ids=["another-resource", "nested", "replacement", "access"],
)
def test_larger_plan_than_shown_is_refused(plan, said):
    with pytest.raises(NotApprovedError, match=f"approved plan does not show: {said}"):
        approved(SHOWN, plan)


TABLE = Change("Modify", "Table", "AWS::DynamoDB::Table", replacement="Conditional", data_loss=True)


def test_shown_conditional_replacement_is_approved():
    shown = Plan("team-table", "UPDATE", changes=(TABLE,))

    assert approved(shown, replace(shown, changes=(replace(TABLE, replacement="True"),)))


def test_unshown_data_loss_is_refused():
    shown = Plan("team-table", "UPDATE", changes=(replace(TABLE, data_loss=False),))

    with pytest.raises(NotApprovedError, match="plan does not show: data loss of Table"):
        approved(shown, replace(shown, changes=(TABLE,)))


def test_shown_recreation_approves_creation():
    shown = Plan("team-table", "CREATE", changes=(replace(TABLE, replacement="True"),))

    assert approved(shown, Plan("team-table", "CREATE", changes=(Change("Add", "Table", TABLE.type),)))


def test_unshown_data_loss_of_recreation_is_refused():
    recreation = Plan("team-table", "CREATE", changes=(replace(TABLE, replacement="True"),))

    for many in (MultiStackReporter(Session()), MultiStackReporter(Session(), shown={})):
        with pytest.raises(NotApprovedError, match="Table"):
            many.of("team-table").confirm(recreation)


def test_unshown_stack_is_refused():
    with pytest.raises(NotApprovedError, match="Modify of Bucket"):
        approved(None, SHOWN)


def test_heartbeat_names_running_stacks_within_30_seconds(capsys, clock):
    session = Session(clock=clock)
    many = MultiStackReporter(session)
    with many.of("team-image").operation("team-image", "creating team-image") as view:
        for _ in range(40):
            clock.sleep(1.8)
            view.progress()

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "team-image: creating"
    assert lines[1:] == ["still in progress: team-image"] * 2


def drawn(reporter):
    """The table of a reporter, without styles."""
    console = Console(width=100, record=True, file=StringIO())
    console.print(reporter._table())
    return console.export_text().rstrip()


def test_end_of_nested_stack_keeps_status_of_parent(clock):
    many = MultiStackReporter(Session(clock=clock), shown={})
    with many.of("west/team-image").operation("west/team-image", "creating team-image") as view:
        for name, status in (("team-image", "CREATE_IN_PROGRESS"), ("team-image-Inner-1", "CREATE_COMPLETE")):
            view.event(Event("1", name, name, name, name, "AWS::CloudFormation::Stack", status, "", BEGIN))

    assert drawn(many).split()[1] == "CREATE_IN_PROGRESS"


def test_hook_warning_is_line_and_failure_is_in_row(clock, capsys):
    hook = Hook("Example::Rules::Hook", "HOOK_COMPLETE_FAILED", "because", "PRE_PROVISION", "WARN")
    many = MultiStackReporter(Session(clock=clock, output_format="json"), shown={})
    with many.of("team-image").operation("team-image", "creating team-image") as view:
        for each in (hook, replace(hook, failure_mode="FAIL")):
            view.event(
                Event(
                    "1", "i", "team-image", "Bucket", "", "AWS::S3::Bucket", "CREATE_IN_PROGRESS", "", BEGIN, hook=each
                )
            )

    assert "  team-image: hook Example::Rules::Hook (PRE_PROVISION) failed: because" in drawn(many)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "team-image: Bucket: warning: hook Example::Rules::Hook (PRE_PROVISION) failed: because"
    ]


def test_table_of_many_stacks_shows_running_and_failed_only(clock):
    many = MultiStackReporter(Session(clock=clock), total=200)
    for name in ("main/a", "main/b", "main/c"):
        many.of(name).operation(name, f"creating {name}")
    many.result(Ended("main/a", End.DONE))
    many.result(Ended("main/b", End.FAILED, error=InputError("no such secret")))

    shown = drawn(many)
    assert "main/a" not in shown
    assert "no such secret" in shown
    assert "main/c" in shown
    assert "2 of 200 stacks ended: 1 done, 1 failed" in shown


@pytest.mark.parametrize(
    ("total", "expected"), [(1, "1 of 3 stacks ended: 1 done"), (9, "1 of 3 stacks ended: 1 done")]
)
def test_table_counts_deleted_stacks_of_fleet(clock, total, expected):
    many = MultiStackReporter(Session(clock=clock), total=total)
    many.result(Ended("main/a", End.DONE))
    many.expect(["main/b", "main/c"])

    assert drawn(many) == expected


def failed(name, reason, physical_id=""):
    found = Diagnosis(
        stack_name=name, status="ROLLBACK_COMPLETE", logical_id="Bucket", physical_id=physical_id, reason=reason
    )
    return Ended(name, End.FAILED, error=DeployFailedError("failed", diagnosis=found))


def test_failures_with_one_cause_are_explained_once(clock, capsys):
    reporter = MultiStackReporter(Session(clock=clock))
    ends = [failed(f"Repo{number}", f"repo-{number} is denied", f"repo-{number}") for number in range(1, 7)]

    with pytest.raises(SetupError):
        reporter.conclude([*ends, failed("Other", "another reason")])

    shown = capsys.readouterr().err
    assert shown.count("Why stack") == 2
    assert "the same in    Repo2 … Repo6 (5 stacks)" in shown


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("acme already exists", "Bucket: acme already exists"),
        (
            'Resource handler returned message: "acme already exists (Service: S3)" (RequestToken: 1)',
            "Bucket: acme already exists",
        ),
        (
            "The maximum has been reached. (Service: AmazonEC2; Status Code: 400)",
            "Bucket: The maximum has been reached.",
        ),
        ("", "Bucket"),
    ],
)
def test_cause_is_resource_and_reason_of_service(reason, cause):
    assert show.cause(failed("Repo", reason).error) == cause
