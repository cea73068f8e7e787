"""Drift detection with failures of AWS, answered inside botocore."""

from __future__ import annotations

import json

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    StackBusyError,
    StackError,
    TemplateRejectedError,
    TimedOutError,
)
from exasol_ci_setup.core.stacks import ABSENT, Drift, PropertyDrift, ResourceDrift, Stack
from exasol_ci_setup.stacks import drift, plan
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template
from tests.answers import AwsError
from tests.reporters import RecordingReporter
from tests.stacks.test_deploy_answers import BEGIN, ID, OLD, SET

STACK = Stack("Slc", ID, "CREATE_COMPLETE", tags={"exasol-ci-setup:construct": "Test"})
RULE = {"CidrIp": "10.0.0.0/8", "FromPort": 443, "IpProtocol": "tcp", "ToPort": 443}
OTHER = {"CidrIp": "0.0.0.0/0", "FromPort": 22, "IpProtocol": "tcp", "ToPort": 22}


def status(word="DETECTION_COMPLETE", drifted="DRIFTED", **more):
    return {
        "StackId": ID,
        "StackDriftDetectionId": "detection",
        "DetectionStatus": word,
        "StackDriftStatus": drifted,
        "Timestamp": BEGIN,
        **more,
    }


def resource(name="T", word="IN_SYNC", kind="AWS::SNS::Topic", **more):
    return {
        "StackId": ID,
        "LogicalResourceId": name,
        "PhysicalResourceId": f"{name}-1",
        "ResourceType": kind,
        "StackResourceDriftStatus": word,
        "Timestamp": BEGIN,
        **more,
    }


def difference(path, expected, actual, kind="NOT_EQUAL"):
    return {"PropertyPath": path, "ExpectedValue": expected, "ActualValue": actual, "DifferenceType": kind}


@pytest.fixture
def aws(answers):
    answers.on("cloudformation", "DetectStackDrift", {"StackDriftDetectionId": "detection"})
    answers.on("cloudformation", "DescribeStackDriftDetectionStatus", status())
    answers.on("cloudformation", "DescribeStackResourceDrifts", {"StackResourceDrifts": [resource()]})
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": OLD})
    return answers


def detect(answers, clock, stack=STACK, *, notes=None, **more):
    reporter = RecordingReporter()
    if notes is not None:
        reporter.notes = notes
    return drift.detect(Context(answers.account, clock, reporter), stack, **more)


def test_detection_is_waited_for_and_all_pages_are_read(aws, clock):
    aws.on("cloudformation", "DescribeStackDriftDetectionStatus", [status("DETECTION_IN_PROGRESS")] * 4 + [status()])
    pages = [
        {"StackResourceDrifts": [resource("A")], "NextToken": "more"},
        {"StackResourceDrifts": [resource("B", "DELETED"), resource("C", "UNSUPPORTED")]},
    ]
    aws.on("cloudformation", "DescribeStackResourceDrifts", pages)

    found = detect(aws, clock)

    assert [(each.logical_id, each.status) for each in found.resources] == [
        ("A", "IN_SYNC"),
        ("B", "DELETED"),
        ("C", "UNSUPPORTED"),
    ]
    assert [each.logical_id for each in found.drifted] == ["B"]
    assert aws.of("DescribeStackResourceDrifts")[1]["NextToken"] == "more"
    assert len(clock.sleeps) == 4


def test_stack_without_drift_is_falsy(aws, clock):
    aws.on("cloudformation", "DescribeStackDriftDetectionStatus", status(drifted="IN_SYNC"))

    assert not detect(aws, clock)
    assert "GetTemplate" not in aws.names()


def test_differences_have_readable_paths_and_values(aws, clock):
    changed = resource(
        word="MODIFIED",
        ExpectedProperties=json.dumps({"Rules": [RULE], "DisplayName": "old", "Other": 1}),
        ActualProperties=json.dumps({"Rules": [OTHER, RULE], "DisplayName": "[new", "Other": 1}),
        PropertyDifferences=[
            difference("/Rules/1", "null", json.dumps(OTHER), "ADD"),
            difference("/DisplayName", "old", "[new"),
            difference("/Policy/a~1b", "x", "null", "REMOVE"),
        ],
    )
    aws.on("cloudformation", "DescribeStackResourceDrifts", {"StackResourceDrifts": [changed]})

    (found,) = detect(aws, clock).drifted

    assert found.properties == (
        PropertyDrift("Rules.1", ABSENT, OTHER),
        PropertyDrift("DisplayName", "old", "[new"),
        PropertyDrift("Policy.a/b", "x", ABSENT),
    )
    # Expected values come first, so a list in another order is no difference.
    assert found.actual == {"Rules": [RULE, OTHER], "DisplayName": "[new"}


def test_secret_property_is_masked_on_both_sides(aws, clock):
    template = """
    Parameters: {Token: {Type: String, NoEcho: true}}
    Resources:
      T:
        Type: AWS::SNS::Topic
        Properties:
          DisplayName: !Sub "a-${Token}"
          TopicName: "{{resolve:secretsmanager:github:SecretString:token}}"
          Other: plain
    """
    aws.on("cloudformation", "GetTemplate", {"TemplateBody": template})
    changed = resource(
        word="MODIFIED",
        ExpectedProperties=json.dumps({"DisplayName": "a-hidden", "TopicName": "hidden", "Other": "plain"}),
        ActualProperties=json.dumps({"DisplayName": "a-hidden2", "TopicName": "hidden3", "Other": "plane"}),
        PropertyDifferences=[
            difference("/DisplayName", "a-hidden", "a-hidden2"),
            difference("/TopicName", "hidden", "hidden3"),
            difference("/Other", "plain", "plane"),
        ],
    )
    aws.on("cloudformation", "DescribeStackResourceDrifts", {"StackResourceDrifts": [changed]})

    found = detect(aws, clock)

    assert "hidden" not in repr(found)
    assert found.drifted[0].properties[2] == PropertyDrift("Other", "plain", "plane")


def test_failed_detection_has_reason_and_known_results(aws, clock):
    why = "Failed to detect drift on resources [R]"
    aws.on(
        "cloudformation",
        "DescribeStackDriftDetectionStatus",
        status("DETECTION_FAILED", drifted="UNKNOWN", DetectionStatusReason=why),
    )
    aws.on(
        "cloudformation",
        "DescribeStackResourceDrifts",
        {"StackResourceDrifts": [resource("R", "UNKNOWN"), resource("T", "DELETED")]},
    )

    found = detect(aws, clock, everything=False)

    assert found.notes == (f"AWS could not compare every resource: {why}",)
    assert [each.logical_id for each in found.drifted] == ["T"]


@pytest.mark.parametrize(
    "refusal",
    [
        AwsError("ValidationError", "Drift detection is already in progress for stack [Slc]"),
        AwsError("LimitExceededException", "Too many detections"),
    ],
)
def test_other_detection_and_account_limit_are_waited_for(aws, clock, refusal):
    aws.on("cloudformation", "DetectStackDrift", [refusal, refusal, {"StackDriftDetectionId": "detection"}])

    detect(aws, clock)

    assert len(aws.of("DetectStackDrift")) == 3
    assert clock.sleeps


def test_endless_detection_times_out_after_30_minutes(aws, clock):
    aws.on("cloudformation", "DescribeStackDriftDetectionStatus", status("DETECTION_IN_PROGRESS"))
    notes: list[str] = []

    with pytest.raises(TimedOutError, match="within 30 min"):
        detect(aws, clock, notes=notes)

    assert 1800 <= clock.elapsed < 1810
    assert len(notes) >= 60


def test_poll_with_transient_error_is_retried(aws, clock):
    broken = [AwsError("InternalFailure", "oops", status=500)] * 10
    aws.on("cloudformation", "DescribeStackDriftDetectionStatus", [*broken, status()])

    assert detect(aws, clock).status == "DRIFTED"


def test_refusal_fails_command_and_is_note_of_deployment(aws, clock):
    reporter = RecordingReporter()
    for error, kind in (
        (AwsError("ValidationError", "Stack is in UPDATE_FAILED state"), StackError),
        (AwsError("AccessDenied", "not authorized: cloudformation:DetectStackDrift", status=403), AccessDeniedError),
    ):
        aws.on("cloudformation", "DetectStackDrift", error)
        with pytest.raises(kind):
            detect(aws, clock)
        assert drift.look(Context(aws.account, clock, reporter), STACK) is None

    assert "UPDATE_FAILED state" in reporter.notes[0]
    assert "not authorized" in reporter.notes[1]


def test_busy_stack_is_not_checked(aws, clock):
    with pytest.raises(StackBusyError):
        detect(aws, clock, Stack("Slc", ID, "UPDATE_IN_PROGRESS"))
    assert aws.names() == []


FOUND = Drift(
    "Slc",
    ID,
    "DRIFTED",
    (
        ResourceDrift(
            *("T", "AWS::SNS::Topic", "T-1", "MODIFIED"),
            properties=(PropertyDrift("DisplayName", "old", "by hand"),),
            actual={"DisplayName": "by hand"},
        ),
    ),
)
SAME = Request("Slc", Template("t", OLD), tags={"exasol-ci-setup:construct": "Test"})


def make(answers, clock, *, found=FOUND, notes=None):
    reporter = RecordingReporter()
    if notes is not None:
        reporter.notes = notes
    return plan.plan_stack(Context(answers.account, clock, reporter), SAME, STACK, drift=found)


@pytest.fixture
def sets(aws):
    aws.on("cloudformation", "CreateChangeSet", {"Id": SET, "StackId": ID})
    aws.on("cloudformation", "DescribeEvents", {"OperationEvents": []})
    aws.on("cloudformation", "DeleteChangeSet", {})
    change = {
        "Action": "Modify",
        "LogicalResourceId": "T",
        "ResourceType": "AWS::SNS::Topic",
        "Replacement": "False",
        "ResourceDriftStatus": "MODIFIED",
        "Details": [
            {
                "Target": {
                    "Attribute": "Properties",
                    "Name": "DisplayName",
                    "Path": "/Properties/DisplayName",
                    "RequiresRecreation": "Never",
                    "BeforeValue": "by hand",
                    "AfterValue": "old",
                    "BeforeValueFrom": "ACTUAL_STATE",
                    "AfterValueFrom": "TEMPLATE",
                    "Drift": {"PreviousValue": "old", "ActualValue": "by hand"},
                },
                "ChangeSource": "NoModification",
            }
        ],
    }
    described = {"ChangeSetId": SET, "ChangeSetName": "x", "StackId": ID, "Status": "CREATE_COMPLETE"}
    aws.on(
        "cloudformation",
        "DescribeChangeSet",
        {**described, "Changes": [{"Type": "Resource", "ResourceChange": change}]},
    )
    return aws


def test_drift_is_reverted_with_unchanged_template(sets, clock):
    made = make(sets, clock)

    assert sets.of("CreateChangeSet")[0]["DeploymentMode"] == "REVERT_DRIFT"
    assert made.drift == FOUND.drifted
    (change,) = made.changes
    assert [(each.path, each.before, each.after) for each in change.properties] == [("DisplayName", "by hand", "old")]


def test_stack_without_drift_needs_no_drift_aware_change_set(sets, clock):
    assert not make(sets, clock, found=Drift("Slc", ID, "IN_SYNC"))
    assert "CreateChangeSet" not in sets.names()


def test_endpoint_without_drift_aware_change_sets_is_noted(sets, clock):
    notes: list[str] = []
    refusal = AwsError(
        "ValidationError", "1 validation error: Value 'REVERT_DRIFT' at 'deploymentMode' is not supported"
    )
    sets.on("cloudformation", "CreateChangeSet", [refusal, {"Id": SET, "StackId": ID}])
    failed = {
        "ChangeSetId": SET,
        "ChangeSetName": "x",
        "StackId": ID,
        "Status": "FAILED",
        "StatusReason": "The submitted information didn't contain changes.",
    }
    sets.on("cloudformation", "DescribeChangeSet", failed)

    made = make(sets, clock, notes=notes)

    assert not made
    assert made.drift == ()
    assert "DeploymentMode" not in sets.of("CreateChangeSet")[1]
    assert notes == [f"{plan.CANNOT_REVERT}, because its change sets ignore drift: T"]


def test_rejected_template_is_not_retried_without_drift(sets, clock):
    sets.on("cloudformation", "CreateChangeSet", [AwsError("ValidationError", "Template error: nonsense")])

    with pytest.raises(TemplateRejectedError, match="nonsense"):
        make(sets, clock)


def test_drift_missing_in_change_set_is_noted(sets, clock):
    notes: list[str] = []
    failed = {"ChangeSetId": SET, "ChangeSetName": "x", "StackId": ID, "Status": "FAILED"}
    sets.on("cloudformation", "DescribeChangeSet", {**failed, "StatusReason": "No updates are to be performed."})

    assert not make(sets, clock, notes=notes)
    assert notes == [f"{plan.CANNOT_REVERT}: T"]
    assert "DeleteChangeSet" in sets.names()


def test_partly_reverted_drift_is_listed_separately(sets, clock):
    service = ResourceDrift("Service", "AWS::ECS::Service", "s", "MODIFIED", (PropertyDrift("DesiredCount", "1", "3"),))

    made = make(sets, clock, found=Drift("Slc", ID, "DRIFTED", (*FOUND.resources, service)))

    assert [each.logical_id for each in made.drift] == ["T"]
    assert made.notes == (f"{plan.CANNOT_REVERT}: Service",)


def test_kept_parameters_have_no_value_and_are_no_difference(sets, clock):
    body = OLD + "\nParameters: {Token: {Type: String, NoEcho: true}, Size: {Type: String}}"
    sets.on("cloudformation", "GetTemplate", {"TemplateBody": body})
    current = Stack("Slc", ID, "CREATE_COMPLETE", parameters={"Token": "****", "Size": "3"}, tags=STACK.tags)
    wanted = Request("Slc", Template("t", body), tags=STACK.tags, kept_parameters=("Token", "Size"))

    made = plan.plan_stack(Context(sets.account, clock), wanted, current, drift=FOUND)

    assert sets.of("CreateChangeSet")[0]["Parameters"] == [
        {"ParameterKey": "Token", "UsePreviousValue": True},
        {"ParameterKey": "Size", "UsePreviousValue": True},
    ]
    assert made.settings == ()
