"""Templates with transforms, compared in their processed form, answered inside botocore."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exasol_ci_setup.core.errors import StackBusyError
from exasol_ci_setup.core.stacks import Options, Outcome
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template
from tests.answers import AwsError
from tests.stacks.test_deploy_answers import ID, SET, UPDATE, Aws, run
from tests.stacks.test_nested_changes_answers import INNER_SET, Nested

LOOP = """\
Transform: AWS::LanguageExtensions
Parameters: {Secret: {Type: String, NoEcho: true, Default: x}}
Resources:
  Fn::ForEach::Topics: [N, [A], {"T${N}": {Type: "AWS::SNS::Topic", Properties: {DisplayName: !Ref Secret}}}]
"""
MACRO = 'Resources: {T: {Type: "AWS::SNS::Topic", "Fn::Transform": {Name: AWS::Include, Parameters: {Location: "s3://b/k"}}}}'
NO_CHANGES = {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes.", "Changes": []}
OWN_TAG = {"exasol-ci-setup:construct": "Test"}


def role(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    document = {"PolicyName": "p", "PolicyDocument": {"Statement": [statement]}}
    return json.dumps({"Resources": {"T": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [document]}}}})


def topic(name: str, display: str) -> str:
    return json.dumps({"Resources": {name: {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": display}}}})


def serve(answers, *, sent: str, before: Any, after: Any, change_set: str = SET) -> None:
    """Answer GetTemplate with the original template `sent`, and the processed templates `before` (stack) and `after` (change set)."""

    def template(params):
        if params["TemplateStage"] == "Original":
            return {"TemplateBody": sent}
        body = after if params.get("ChangeSetName") == change_set else before
        return body if isinstance(body, AwsError) else {"TemplateBody": body}

    answers.on("cloudformation", "GetTemplate", template)


@pytest.mark.parametrize("body", [LOOP, MACRO])
def test_equal_text_with_transform_is_sent_to_aws(answers, clock, body):
    aws = Aws(answers, events=[])
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": body})
    answers.on("cloudformation", "DescribeChangeSet", aws.change_set(**NO_CHANGES))

    assert run(answers, clock, body=body, tags=OWN_TAG).outcome is Outcome.UNCHANGED

    assert "CreateChangeSet" in answers.names()


def test_access_granted_by_transform_is_reviewed(answers, clock):
    Aws(answers, events=UPDATE)
    serve(answers, sent=MACRO, before=role("s3:GetObject"), after=role("*"))

    result = run(answers, clock, body=MACRO)

    (found,) = result.plan.broadenings
    assert (found.logical_id, found.public) == ("T", True)
    assert {"ChangeSetName": SET, "TemplateStage": "Processed"} in answers.of("GetTemplate")


def test_values_come_from_processed_templates(answers, clock):
    Aws(answers, events=UPDATE)
    serve(answers, sent=MACRO, before=topic("T", "old"), after=topic("T", "new"))

    (change,) = run(answers, clock, body=MACRO).plan.changes

    assert [(each.path, each.before, each.after) for each in change.properties] == [("DisplayName", "old", "new")]


def test_value_of_hidden_parameter_is_masked_in_processed_templates(answers, clock):
    aws = Aws(answers, events=UPDATE)
    serve(answers, sent=LOOP, before=topic("T", "old-secret"), after=topic("T", "new-secret"))

    plan = run(answers, clock, body=LOOP, parameters={"Secret": "new-secret"}).plan

    assert aws.executed
    assert "secret" not in repr(plan)


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("answer", [AwsError("ValidationError", "not available yet"), MACRO])
def test_unavailable_processed_template_counts_as_broadening(answers, clock, answer, new):
    Aws(answers, events=[[("CREATE_IN_PROGRESS", "Slc"), ("CREATE_COMPLETE", "Slc")]] if new else UPDATE, new=new)
    serve(answers, sent=MACRO, before=answer, after=answer)

    plan = run(answers, clock, body=MACRO).plan

    assert [(each.kind, each.public) for each in plan.broadenings] == [("transform", True)]
    assert any("transforms" in note for note in plan.notes)


def test_transform_of_nested_stack_is_reviewed(answers, clock):
    Nested(answers)
    serve(answers, sent=MACRO, before=role("s3:GetObject"), after=role("*"), change_set=INNER_SET)

    plan = run(answers, clock, body='Resources: {Inner: {Type: "AWS::CloudFormation::Stack"}}').plan

    assert [(each.logical_id, each.public) for each in plan.broadenings] == [("Inner/T", True)]


def test_operation_in_progress_with_transform_is_not_joined(answers, clock):
    aws = Aws(answers, events=[])
    aws.happened.append(aws.event("UPDATE_IN_PROGRESS", "Slc"))
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": MACRO})

    with pytest.raises(StackBusyError):
        run(answers, clock, body=MACRO, tags=OWN_TAG, options=Options(timeout=5))


def test_nested_stack_in_loop_gets_its_own_change_set(answers, clock):
    Aws(answers, events=UPDATE)
    body = 'Transform: X\nResources: {"Fn::ForEach::L": [N, [A], {"S${N}": {Type: "AWS::CloudFormation::Stack"}}]}'
    serve(answers, sent=body, before=topic("T", "old"), after=topic("T", "new"))

    run(answers, clock, body=body)

    assert answers.of("CreateChangeSet")[0]["IncludeNestedStacks"]


def test_tag_of_aws_is_not_tag_of_user(answers):
    Aws(answers, events=[])
    tags = {"awsteam": "x", "aws:servicecatalog:productArn": "arn"}
    stack = {"StackName": "Slc", "StackId": ID, "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-01-01"}
    described = {**stack, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [described]})

    found = state.get(answers.account.client("cloudformation"), "Slc")

    assert found.user_tags == {"awsteam": "x"}
    request = Request("Slc", Template("t.yaml", topic("T", "x")), tags={"awsteam": "x"})
    assert planning.is_same(request, found, json.loads(topic("T", "x")))
