"""Requests from templates of the user's own, and plans against deployed templates of other tools, answered inside botocore."""

from __future__ import annotations

import json

import pytest

from exasol_ci_setup.core.errors import AccessDeniedError, InputError
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.upload import TemplateBucket, Uploads
from exasol_ci_setup.stacks.user_template import (
    TemplateInput,
    build_request,
    choose_parameters,
    known_choice,
    open_template,
)
from exasol_ci_setup.template.parameters import GivenParameter
from tests.answers import ACCOUNT_ID, AwsError
from tests.stacks.test_deploy_answers import NEW, UPDATE, Aws, run

BODY = """\
Parameters: {A: {Type: String}, B: {Type: String, NoEcho: true}, C: {Type: String, Default: c}}
Resources: {T: {Type: "AWS::SNS::Topic"}}
"""


@pytest.fixture
def stack(tmp_path):
    (tmp_path / "own.yaml").write_text(BODY)
    return open_template(TemplateInput(str(tmp_path / "own.yaml")))


def deployed(status):
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in {"A": "a", "B": "****"}.items()]
    return state.from_description({"StackName": "own", "StackStatus": status, "Parameters": parameters})


def test_parameters_of_existing_stack_are_kept(answers, stack):
    choice = choose_parameters(stack, answers.account, deployed("UPDATE_COMPLETE"))
    request = build_request(stack, answers.account, choice)

    assert request.kept_parameters == ("A", "B")
    assert request.parameters == {}
    assert request.notes == ("parameters that keep their deployed values: A, B",)
    assert answers.calls == []


def test_recreated_stack_receives_values_of_parameters(answers, stack):
    # CloudFormation keeps no values of a deleted stack, and returns none of NoEcho parameters.
    with pytest.raises(InputError, match="parameter B has no value: String, NoEcho"):
        choose_parameters(stack, answers.account, deployed("ROLLBACK_COMPLETE"))

    choice = choose_parameters(stack, answers.account, deployed("ROLLBACK_COMPLETE"), ask=lambda _: "typed")

    assert choice.values == {"A": "a", "B": "typed"}
    assert choice.kept == ()


def test_output_of_target_is_refused_outside_of_fleet(answers, tmp_path):
    (tmp_path / "own.yaml").write_text(BODY)
    (tmp_path / "p.yaml").write_text("A: !StackOutput main/net.Id\nB: b\n")
    from exasol_ci_setup.template.parameter_files import read  # noqa: PLC0415 - only this test has a file

    stack = open_template(TemplateInput(str(tmp_path / "own.yaml"), files=[read(tmp_path / "p.yaml")]))

    with pytest.raises(InputError, match="only a fleet has targets"):
        choose_parameters(stack, answers.account, None)


def test_later_parameter_files_and_options_win(tmp_path):
    from exasol_ci_setup.template.parameter_files import parse  # noqa: PLC0415

    (tmp_path / "own.yaml").write_text(BODY)
    files = [parse("1", "A: '1'\nC: '1'\n"), parse("2", json.dumps({"Parameters": {"A": "2"}, "Tags": {"t": "2"}}))]

    stack = open_template(
        TemplateInput(str(tmp_path / "own.yaml"), files=files, parameters={"C": GivenParameter("3", "--parameter")})
    )

    assert known_choice(stack).values == {"A": "2", "C": "3"}
    assert stack.tags["t"] == "2"


def test_unusual_deployed_template_is_noted_in_plan(answers, clock):
    Aws(answers, events=UPDATE)
    body = "Resources: {T: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: a, DisplayName: old}}}"
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": body})

    plan = run(answers, clock, body=NEW).plan

    assert plan.notes == ("the deployed template: line 1: duplicate key 'DisplayName'",)
    assert [(each.before, each.after) for each in plan.changes[0].properties] == [("old", "new")]


def test_failed_upload_deletes_change_set(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("sts", "GetCallerIdentity", {"Account": ACCOUNT_ID})
    answers.on("s3", "HeadObject", AwsError("404", status=404))
    answers.on("s3", "PutObject", AwsError("AccessDenied", "no", status=403))
    uploads = Uploads(TemplateBucket(answers.account, "mine"))
    uploads.put("artifacts/x", lambda _: None)

    with pytest.raises(AccessDeniedError):
        run(answers, clock, body=NEW, uploads=uploads)

    assert "DeleteChangeSet" in answers.names()
    assert "ExecuteChangeSet" not in answers.names()


@pytest.mark.parametrize(
    ("properties", "replacement", "is_noted"),
    [
        ({"QueueName": "orders", "FifoQueue": False}, "True", True),
        ({"QueueName": "orders", "FifoQueue": False}, "Conditional", True),
        ({"QueueName": "orders", "DelaySeconds": 1}, "False", False),
        ({"QueueName": "other", "FifoQueue": False}, "True", False),
        ({"FifoQueue": False}, "True", False),
    ],
)
def test_replacement_under_same_name_is_announced(answers, clock, properties, replacement, is_noted):
    aws = Aws(answers, events=UPDATE)
    body = {"Resources": {"T": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "orders"}}}}
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": json.dumps(body)})
    described = aws.change_set()
    described["Changes"][0]["ResourceChange"].update(ResourceType="AWS::SQS::Queue", Replacement=replacement)
    answers.on("cloudformation", "DescribeChangeSet", described)
    body["Resources"]["T"]["Properties"] = properties

    notes = run(answers, clock, body=json.dumps(body), approve=lambda _: False).plan.notes

    said = "T has a name of its own (QueueName): CloudFormation refuses to replace it"
    assert [each.startswith(said) for each in notes] == [True] * is_noted
