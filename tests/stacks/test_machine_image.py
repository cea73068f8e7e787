"""The image of an instance: kept by updates, replaced on request only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup import Context, Instance, Options, Outcome, PolicyStatement, Scope
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.stacks import machine_image
from tests.answers import AwsError
from tests.templates.samples import PUBLIC_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from tests.answers import Answers

SCOPE = Scope(name="shop", region="eu-central-1")
OLD, NEW = "ami-0000000000000001a", "ami-0000000000000002b"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    return tmp_path / "key"


def instance(**values: Any) -> Instance:
    return Instance(**{"scope": SCOPE, "name": "box", "instance_type": "t3.micro", "path_to_key": "key", **values})


def deployed(answers: Answers, *, architecture: str = "x86_64") -> None:
    outputs = [{"OutputKey": "InstanceId", "OutputValue": "i-1"}]
    stack = {"StackName": "shop-box", "CreationTime": 0, "StackStatus": "CREATE_COMPLETE", "Outputs": outputs}
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [stack]})
    found = {"InstanceId": "i-1", "ImageId": OLD, "Architecture": architecture}
    answers.on("ec2", "DescribeInstances", {"Reservations": [{"Instances": [found]}]})


def newest(answers: Answers) -> None:
    answers.on("ssm", "GetParameter", lambda call: {"Parameter": {"Name": call["Name"], "Value": NEW}})


def test_update_keeps_image_of_machine(answers: Answers):
    deployed(answers)
    assert machine_image.choose(answers.account, instance()) == OLD


def test_new_image_comes_on_request(answers: Answers):
    newest(answers)
    assert machine_image.choose(answers.account, instance(update_image=True)) == NEW
    assert answers.names() == ["GetParameter"]


def test_other_architecture_has_newest_image(answers: Answers):
    deployed(answers)
    newest(answers)
    assert machine_image.choose(answers.account, instance(instance_type="t4g.micro")) == NEW
    assert "/arm64/" in answers.calls[-1].params["Name"]


@pytest.mark.parametrize("error", ["InvalidInstanceID.NotFound"])
def test_missing_machine_has_newest_image(error: str, answers: Answers):
    deployed(answers)
    newest(answers)
    answers.on("ec2", "DescribeInstances", AwsError(error))
    assert machine_image.choose(answers.account, instance()) == NEW


def test_region_without_image_names_option(answers: Answers):
    answers.on("ssm", "GetParameter", AwsError("ParameterNotFound"))
    with pytest.raises(InputError, match=r"has no image of Ubuntu 24\.04") as caught:
        machine_image.choose(answers.account, instance(update_image=True))
    assert "--image-id" in caught.value.hint


@pytest.mark.live
def test_image_that_is_set_replaces_machine(live: Account, key: Path):
    made = instance(path_to_key=key)
    made.deploy(Context(live))
    assert made.model_copy().deploy(Context(live)).outcome is Outcome.UNCHANGED
    planned = instance(path_to_key=key, image_id=OLD).plan(Context(live))
    with planned:
        [change] = [each for each in planned.plan.changes if each.logical_id == "Instance"]
    assert change.replacement == "True"


@pytest.mark.live
def test_machine_of_older_template_is_unchanged(live: Account, key: Path):
    made = instance(path_to_key=key)
    made.deploy(Context(live))
    cfn = live.client("cloudformation")
    body: Any = cfn.get_template(StackName="shop-box")["TemplateBody"]
    older = body.replace(
        "    Type: String\n    Description: The image of the machine\n",
        f"    Type: AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>\n    Default: {made.ami_parameter}\n",
    )
    assert older != body
    parameters: Any = [{"ParameterKey": name, "UsePreviousValue": True} for name in ("VpcId", "SubnetId")]
    cfn.update_stack(StackName="shop-box", TemplateBody=older, Parameters=parameters)
    cfn.get_waiter("stack_update_complete").wait(StackName="shop-box", WaiterConfig={"Delay": 1})
    before = made.model_copy().output("InstanceId")

    result = made.model_copy().deploy(Context(live), options=Options())
    assert [each for each in result.plan.changes if each.logical_id == "Instance"] == []
    assert made.output("InstanceId") == before


@pytest.mark.live
def test_elastic_address_is_output_and_address(live: Account, key: Path):
    made = instance(path_to_key=key, elastic_ip=True)
    made.deploy(Context(live))
    ec2 = live.client("ec2")
    addresses = [each["PublicIp"] for each in ec2.describe_addresses()["Addresses"]]
    [reservation] = ec2.describe_instances(InstanceIds=[made.output("InstanceId")])["Reservations"]
    assert addresses == [made.output("PublicIp")] == [reservation["Instances"][0]["PublicIpAddress"]]


@pytest.mark.live
def test_private_machine_has_profile_and_no_public_address(live: Account, key: Path):
    policy = [PolicyStatement(actions=["s3:GetObject"], resources=["arn:aws:s3:::bucket/*"])]
    made = instance(path_to_key=key, private=True, user_data="#!/bin/sh\n", role_policy=policy)
    made.deploy(Context(live))
    assert made.private_ip == made.output("PrivateIp")
    assert "PublicIp" not in made.outputs
    with pytest.raises(InputError, match="is private"):
        made.public_ip  # noqa: B018 - raises
