"""Imports by identifier with failures of AWS, answered inside botocore."""

from __future__ import annotations

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import DeployFailedError, InputError, StackBusyError, StackNotUpdatableError
from exasol_ci_setup.core.stacks import Options, Outcome
from exasol_ci_setup.stacks.import_operation import import_resources
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template
from tests.answers import AwsError
from tests.reporters import RecordingReporter
from tests.stacks.test_deploy_answers import ID, NOT_THERE, SET, Aws, operations, stack_in

BODY = (
    "Resources:\n  Web:\n    Type: AWS::ECS::Service\n    Properties:\n      Cluster: services\n"
    "  Logs:\n    Type: AWS::Logs::LogGroup\n"
    "  T:\n    Type: AWS::SNS::Topic\n"
)
SUMMARY = {
    "ResourceIdentifierSummaries": [
        {
            "ResourceType": "AWS::ECS::Service",
            "LogicalResourceIds": ["Web"],
            "ResourceIdentifiers": ["ServiceArn,Cluster"],
        },
        {
            "ResourceType": "AWS::Logs::LogGroup",
            "LogicalResourceIds": ["Logs"],
            "ResourceIdentifiers": ["LogGroupName", "Arn"],
        },
    ]
}
CHANGE = {
    "Type": "Resource",
    "ResourceChange": {"Action": "Import", "LogicalResourceId": "Web", "ResourceType": "AWS::ECS::Service"},
}
DONE = [
    [("IMPORT_IN_PROGRESS", "Slc")],
    [("IMPORT_IN_PROGRESS", "Web"), ("IMPORT_COMPLETE", "Web")],
    [("IMPORT_COMPLETE", "Slc")],
]


def run(answers, clock, identifiers, **more):
    return import_resources(
        Context(answers.account, clock),
        Request(name="Slc", template=Template("t.yaml", BODY), tags={"exasol-ci-setup:construct": "Test"}),
        identifiers,
        Options(**more),
    )


def new_stack(answers, events):
    aws = Aws(answers, events=events, new=True)
    answers.on("cloudformation", "GetTemplateSummary", SUMMARY)
    answers.on("cloudformation", "DescribeChangeSet", aws.change_set(Changes=[CHANGE]))
    return aws


def request_of(answers, operation):
    return next(call.params for call in answers.calls if call.operation == operation)


def test_values_of_identifier_are_separated_by_bar(answers, clock):
    new_stack(answers, DONE)

    result = run(answers, clock, {"Web": "arn:aws:ecs:eu-central-1:123456789012:service/services/web|services"})

    assert result.outcome is Outcome.DEPLOYED
    assert result.stack.status == "IMPORT_COMPLETE"
    sent = request_of(answers, "CreateChangeSet")
    assert sent["ChangeSetType"] == "IMPORT"
    assert sent["ResourcesToImport"] == [
        {
            "ResourceType": "AWS::ECS::Service",
            "LogicalResourceId": "Web",
            "ResourceIdentifier": {
                "ServiceArn": "arn:aws:ecs:eu-central-1:123456789012:service/services/web",
                "Cluster": "services",
            },
        }
    ]
    # AWS rejects both in an import.
    assert not {"Tags", "OnStackFailure"} & sent.keys()
    assert "Logs" not in sent["TemplateBody"]
    assert "DeletionPolicy: Retain" in sent["TemplateBody"]


@pytest.mark.parametrize("identifier", ["web", "web|"])
def test_invalid_identifier_is_rejected_with_valid_form(answers, clock, identifier):
    new_stack(answers, DONE)

    with pytest.raises(InputError, match="AWS identifies AWS::ECS::Service by ServiceArn and Cluster") as refused:
        run(answers, clock, {"Web": identifier})

    assert refused.value.hint == "write Web=ServiceArn|Cluster"
    assert "CreateChangeSet" not in operations(answers)


@pytest.mark.parametrize(
    ("identifier", "sent"),
    [
        ("/aws/shop", {"LogGroupName": "/aws/shop"}),
        (
            "arn:aws:logs:eu-central-1:123456789012:log-group:shop",
            {"Arn": "arn:aws:logs:eu-central-1:123456789012:log-group:shop"},
        ),
    ],
)
def test_identifier_with_form_of_value_is_sent(answers, clock, identifier, sent):
    new_stack(answers, DONE)

    run(answers, clock, {"Logs": identifier})

    (resource,) = request_of(answers, "CreateChangeSet")["ResourcesToImport"]
    assert resource["ResourceIdentifier"] == sent


def test_failed_import_reports_unchanged_resource(answers, clock):
    failing = [
        [("IMPORT_IN_PROGRESS", "Slc")],
        [("IMPORT_FAILED", "Web", "the service is gone")],
        [("ROLLBACK_COMPLETE", "Slc")],
    ]
    new_stack(answers, failing)

    with pytest.raises(DeployFailedError) as failed:
        run(answers, clock, {"Web": "a|b"})

    assert failed.value.diagnosis.reason == "the service is gone"
    assert "the resources are unchanged" in failed.value.hint
    assert "--recreate-failed" not in failed.value.hint
    assert "`aws cloudformation delete-stack --stack-name Slc` removes the empty stack" in failed.value.hint


def test_change_set_that_cannot_be_executed_is_deleted(answers, clock):
    aws = new_stack(answers, DONE)
    unavailable = aws.change_set(Changes=[CHANGE], ExecutionStatus="UNAVAILABLE", StatusReason="not supported here")
    answers.on("cloudformation", "DescribeChangeSet", unavailable)

    with pytest.raises(InputError, match="not supported here"):
        run(answers, clock, {"Web": "a|b"})

    assert "DeleteChangeSet" in operations(answers)
    assert "ExecuteChangeSet" not in operations(answers)


def test_busy_stack_is_reported(answers, clock):
    new_stack(answers, DONE)
    answers.on("cloudformation", "DescribeStacks", stack_in("UPDATE_IN_PROGRESS"))

    with pytest.raises(StackBusyError, match="UPDATE_IN_PROGRESS"):
        run(answers, clock, {"Web": "a|b"})


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        ("ROLLBACK_COMPLETE", "`exasol-ci-setup delete Slc`"),
        ("CREATE_FAILED", "deploy it first"),
        ("UPDATE_FAILED", "deploy it first"),
    ],
)
def test_stack_without_import_support_has_hint(answers, clock, status, way_out):
    new_stack(answers, DONE)
    answers.on("cloudformation", "DescribeStacks", stack_in(status))

    with pytest.raises(StackNotUpdatableError, match=f"{status}, in which AWS imports nothing") as stuck:
        run(answers, clock, {"Web": "a|b"})

    assert way_out in stuck.value.hint
    assert "--recreate-failed" not in stuck.value.hint
    assert "CreateChangeSet" not in operations(answers)


def test_failed_rollback_of_import_reports_no_unchanged_resource(answers, clock):
    failing = [
        [("IMPORT_IN_PROGRESS", "Slc")],
        [("IMPORT_FAILED", "Web", "the service is gone"), ("IMPORT_ROLLBACK_IN_PROGRESS", "Slc")],
        [("IMPORT_ROLLBACK_FAILED", "Slc")],
    ]
    new_stack(answers, failing)

    with pytest.raises(DeployFailedError, match="IMPORT_ROLLBACK_FAILED") as failed:
        run(answers, clock, {"Web": "a|b"})

    assert "as they were" not in failed.value.hint
    assert "could not roll it back" in failed.value.hint


def test_resources_are_imported_into_template_with_loop(answers, clock):
    new_stack(answers, DONE)
    answers.on("cloudformation", "DescribeStacks", stack_in("UPDATE_COMPLETE"))
    loop = "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::All: [Name, [a], {'${Name}': {Type: 'AWS::SNS::Topic'}}]\n"
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": loop})

    with pytest.raises(InputError, match="AWS cannot import T, a resource of type AWS::SNS::Topic"):
        run(answers, clock, {"T": "a"})


def untagged_stack(answers, update):
    """A new stack whose import succeeds; `update` answers CreateChangeSet for its tags."""
    aws = new_stack(answers, DONE)
    answers.on(
        "cloudformation",
        "DescribeStacks",
        lambda _params: stack_in(aws.status, tags=()) if aws.executed else NOT_THERE,
    )
    answers.on(
        "cloudformation",
        "CreateChangeSet",
        lambda params: {"Id": SET, "StackId": ID} if params["ChangeSetType"] == "IMPORT" else update(params),
    )
    answers.on("cloudformation", "GetTemplate", lambda _params: {"TemplateBody": imported_template(answers)})
    return aws


def imported_template(answers):
    return request_of(answers, "CreateChangeSet")["TemplateBody"]


def import_web(answers, clock):
    reporter = RecordingReporter()
    result = import_resources(
        Context(answers.account, clock, reporter),
        Request(name="Slc", template=Template("t.yaml", BODY), tags={"exasol-ci-setup:construct": "Test"}),
        {"Web": "arn|services"},
    )
    assert result.outcome is Outcome.DEPLOYED
    return reporter


def test_rejected_tags_after_import_are_reported(answers, clock):
    untagged_stack(answers, lambda _params: AwsError("AccessDenied", "not allowed to tag"))

    reporter = import_web(answers, clock)

    (plan,) = reporter.plans
    assert [setting.name for setting in plan.settings] == ["tags.exasol-ci-setup:construct"]
    assert "the resources are imported, but stack Slc has no tags: " in reporter.notes[-1]
    assert "not allowed to tag" in reporter.notes[-1]


def test_tags_that_replace_resource_are_not_set(answers, clock):
    def update(params):
        assert params["Tags"] == [{"Key": "exasol-ci-setup:construct", "Value": "Test"}]
        change = {"Action": "Modify", "LogicalResourceId": "Web", "ResourceType": "AWS::ECS::Service"}
        changes = [{"Type": "Resource", "ResourceChange": {**change, "Replacement": "Conditional"}}]
        answers.on("cloudformation", "DescribeChangeSet", aws.change_set(Changes=changes))
        return {"Id": SET, "StackId": ID}

    aws = untagged_stack(answers, update)

    reporter = import_web(answers, clock)

    assert reporter.notes[-1] == "the resources are imported, but stack Slc has no tags: they would replace Web"
    assert operations(answers).count("ExecuteChangeSet") == 1
    assert "DeleteChangeSet" in operations(answers)
