"""Stacks that use a resource: by parameters, outputs and templates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exasol_ci_setup.core.errors import InUseError
from exasol_ci_setup.core.stacks import Stack
from exasol_ci_setup.stacks.resources import Resource
from exasol_ci_setup.stacks.users import Surroundings, require_none, require_unused

ARN = "arn:aws:cloudformation:eu-central-1:123456789012:stack"
BUCKET = "team-data-bucket-1x2y3z4"
GROUP = "sg-0123456789abcdef0"
RESOURCES = [
    Resource("Bucket", BUCKET, "AWS::S3::Bucket", ""),
    Resource("Group", GROUP, "AWS::EC2::SecurityGroup", ""),
    Resource("Box", "i-0123456789abcdef0", "AWS::EC2::Instance", ""),
    Resource("Short", "web", "AWS::ECS::Cluster", ""),
]
OUTPUTS = {
    "Bucket": {"Value": {"Ref": "Bucket"}},
    "GroupArn": {"Value": {"Fn::Sub": "arn:${Group.GroupId}"}},
    "Address": {"Value": {"Fn::GetAtt": ["Box", "PublicIp"]}},
    "Vpc": {"Value": {"Ref": "VpcId"}},
    "Stays": {"Value": {"Ref": "Retained"}},
}
VALUES = {
    "Bucket": BUCKET,
    "GroupArn": f"arn:{GROUP}",
    "Address": "203.0.113.7",
    "Vpc": "vpc-0123456789abcdef0",
    "Stays": "team-retained-bucket-12",
}


def described(name: str, *, own: bool = True, status: str = "CREATE_COMPLETE", **values: Any) -> dict[str, Any]:
    return {
        "StackName": name,
        "StackId": f"{ARN}/{name}/1",
        "StackStatus": status,
        "CreationTime": "2026-01-01T00:00:00Z",
        "Tags": [{"Key": "exasol-ci-setup:name", "Value": name}] if own else [],
        **values,
    }


MAKER = described("maker", Outputs=[{"OutputKey": key, "OutputValue": value} for key, value in VALUES.items()])


@pytest.fixture
def refusal(answers):
    """Return the error of a stack's deletion if another stack contains this text, or None."""

    def of(text: str, *, where: str = "parameter", **other: Any) -> str | None:
        parameters: dict[str, Any] = (
            {"Parameters": [{"ParameterKey": "P", "ParameterValue": text}]} if where == "parameter" else {}
        )
        answers.on("cloudformation", "DescribeStacks", {"Stacks": [MAKER, described("user", **parameters, **other)]})
        bodies = {
            MAKER["StackId"]: {"Outputs": OUTPUTS},
            f"{ARN}/user/1": {"Resources": {"R": {"Properties": {"Text": text if where == "template" else ""}}}},
        }
        answers.on(
            "cloudformation", "GetTemplate", lambda params: {"TemplateBody": json.dumps(bodies[params["StackName"]])}
        )
        cfn = answers.account.client("cloudformation")
        maker = next(each for each in Surroundings(cfn)._stacks if each.name == "maker")
        try:
            require_unused(cfn, [(maker, RESOURCES)])
        except InUseError as error:
            return f"{error.message}: {error.hint}"
        return None

    return of


@pytest.mark.parametrize("where", ["parameter", "template"])
@pytest.mark.parametrize(
    "text",
    [
        BUCKET,
        f"run s3://{BUCKET}/key",
        f'{{"bucket": "{BUCKET}"}}',
        f"http://{BUCKET}.s3.amazonaws.com",
        f"sg-1,{GROUP}",
        f"arn:{GROUP}",
        "203.0.113.7/32",
    ],
)
def test_stack_with_name_or_output_of_resource_uses_it(refusal, text, where):
    assert refusal(text, where=where) == (
        "stack maker is in use: user: delete what uses it first: `exasol-ci-setup delete user`"
    )


@pytest.mark.parametrize(
    "text",
    [f"{BUCKET}-logs", f"my-{BUCKET}", "1203.0.113.7", "203.0.113.70", "web", VALUES["Vpc"], VALUES["Stays"], ""],
)
def test_stack_with_another_name_does_not_use_it(refusal, text):
    assert refusal(text) is None


def test_stack_of_another_tool_uses_by_its_parameters(refusal):
    hint = "`aws cloudformation delete-stack --stack-name user`"

    assert str(refusal(GROUP, own=False)).endswith(hint)
    assert refusal(GROUP, own=False, where="template") is None


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_stack_without_resources_uses_nothing(refusal, status):
    assert refusal(GROUP, status=status) is None


def test_nested_stack_belongs_to_its_root(refusal):
    assert refusal(GROUP, RootId=MAKER["StackId"], ParentId=MAKER["StackId"]) is None
    assert "in use: user" in str(refusal(GROUP, RootId=f"{ARN}/other/1", ParentId=f"{ARN}/other/1"))


def test_hint_names_all_stacks_that_this_tool_can_delete():
    tags = {"exasol-ci-setup:construct": "CiBuild"}
    users = [Stack("Shop", "1", "CREATE_COMPLETE", tags=tags), Stack("Foreign", "2", "CREATE_COMPLETE")]

    with pytest.raises(InUseError) as raised:
        require_none("stack maker", [*users, Stack("Lib", "3", "CREATE_COMPLETE", tags=tags)])

    assert raised.value.message == "stack maker is in use: Shop, Foreign, Lib"
    assert raised.value.hint == "delete what uses it first: `exasol-ci-setup delete Shop Lib`"
