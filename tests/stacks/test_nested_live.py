"""Nested stacks in the sandbox: created, changed, deleted, and failures."""

from __future__ import annotations

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import DeployFailedError
from exasol_ci_setup.core.stacks import Outcome
from exasol_ci_setup.stacks import delete, state
from exasol_ci_setup.stacks.deploy import deploy
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live

INNER = 'Resources: {Topic: {Type: "AWS::SNS::Topic", Properties: {DisplayName: %s}}}'
OUTER = 'Resources: {Inner: {Type: "AWS::CloudFormation::Stack", Properties: {TemplateURL: "%s"}}}'


@pytest.fixture
def bucket(live, account_id):
    name = f"templates-{account_id}"
    live.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name


def run(account, bucket, inner, *, shown, key="inner.yaml"):
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=inner.encode())
    url = f"https://s3.eu-central-1.amazonaws.com/{bucket}/{key}"
    return deploy(
        Context(account, SystemClock(), shown),
        Request(name="Outer", template=Template("t.yaml", OUTER % url), tags={"exasol-ci-setup:construct": "Test"}),
    )


def inside(shown):
    """Return the events of the nested stack without its random name, and each start of a resource once."""
    lines = (
        f"{event.status} {'itself' if event.is_stack else event.logical_id}"
        for event in shown.events
        if event.stack_name != "Outer"
    )
    return list(dict.fromkeys(lines))


LOOP = """
Transform: AWS::LanguageExtensions
Parameters: {Names: {Type: CommaDelimitedList, Default: "A,B"}}
Resources:
  Fn::ForEach::Topics:
    - Name
    - !Ref Names
    - Topic${Name}: {Type: "AWS::SNS::Topic"}
"""


def test_transform_in_nested_stack_is_applied(live, bucket):
    shown = RecordingReporter()

    run(live, bucket, LOOP, shown=shown)

    assert {"CREATE_COMPLETE TopicA", "CREATE_COMPLETE TopicB"} <= set(inside(shown))


def test_events_of_nested_stack_are_shown_in_every_operation(live, bucket):
    made, changed, deleted = RecordingReporter(), RecordingReporter(), RecordingReporter()

    assert run(live, bucket, INNER % "old", shown=made).outcome is Outcome.DEPLOYED
    run(live, bucket, INNER % "new", shown=changed, key="changed.yaml")
    cfn = live.client("cloudformation")
    delete.delete(Context(live, reporter=deleted), state.get(cfn, "Outer"))

    assert inside(made) == [
        "CREATE_IN_PROGRESS itself",
        "CREATE_IN_PROGRESS Topic",
        "CREATE_COMPLETE Topic",
        "CREATE_COMPLETE itself",
    ]
    assert made.lines[-1] == "CREATE_COMPLETE Outer"
    assert inside(changed) == [
        "UPDATE_IN_PROGRESS itself",
        "UPDATE_IN_PROGRESS Topic",
        "UPDATE_COMPLETE Topic",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS itself",
        "UPDATE_COMPLETE itself",
    ]
    # The sandbox has no events for deletions in a nested stack.
    assert deleted.lines[-1] == "DELETE_COMPLETE Outer"


def test_second_deploy_reports_no_changes(live, bucket):
    run(live, bucket, INNER % "old", shown=RecordingReporter())

    assert run(live, bucket, INNER % "old", shown=RecordingReporter()).outcome is Outcome.UNCHANGED


def test_failure_in_nested_stack_is_explained(live, bucket, other_account):
    other_account.client("s3").create_bucket(
        Bucket="taken-by-them", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    inner = 'Resources: {Taken: {Type: "AWS::S3::Bucket", Properties: {BucketName: taken-by-them}}}'

    with pytest.raises(DeployFailedError) as failed:
        run(live, bucket, inner, shown=RecordingReporter())

    assert failed.value.diagnosis.logical_id in {"Taken", "Inner"}
    assert "taken-by-them" in failed.value.diagnosis.reason
