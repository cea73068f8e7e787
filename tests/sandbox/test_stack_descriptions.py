"""Tests of DescribeStacks in the sandbox: the members of AWS, as in recorded answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.stacks import deploy, wait

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

TOPIC: dict[str, Any] = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {"Arn": {"Value": {"Ref": "Topic"}}},
}
ALARM = "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:errors"
LISTENER = "arn:aws:sns:eu-central-1:111122223333:events"
ROLLBACK = {
    "RollbackTriggers": [{"Arn": ALARM, "Type": "AWS::CloudWatch::Alarm"}],
    "MonitoringTimeInMinutes": 5,
}


def test_new_stack_has_members_of_aws_and_no_empty_texts(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    created = cloudformation.create_stack(StackName="Topic", TemplateBody=json.dumps(TOPIC))["StackId"]
    stack = wait(cloudformation, created)

    assert (stack["NotificationARNs"], stack["RollbackConfiguration"]) == ([], {})
    assert not stack.keys() & {"Description", "StackStatusReason", "LastUpdatedTime", "DeletionTime", "ChangeSetId"}
    assert stack["Outputs"][0].keys() == {"OutputKey", "OutputValue"}


def test_settings_of_executed_change_set_are_described_and_kept(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    given: dict[str, Any] = {"NotificationARNs": [LISTENER], "RollbackConfiguration": ROLLBACK}
    stack = deploy(cloudformation, "Topic", TOPIC, **given)

    assert {name: stack[name] for name in given} == given
    assert ":changeSet/" in stack["ChangeSetId"]
    changed = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "new"}}}}
    stack = deploy(cloudformation, "Topic", changed, "UPDATE")
    assert {name: stack[name] for name in given} == given
    assert stack["LastUpdatedTime"] > stack["CreationTime"]


def test_deleted_stack_has_time_of_deletion(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    stack = deploy(cloudformation, "Topic", TOPIC)
    cloudformation.delete_stack(StackName="Topic")

    deleted = wait(cloudformation, stack["StackId"])
    assert deleted["DeletionTime"] >= deleted["CreationTime"]


def test_kept_failed_stack_has_reason_of_aws(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    account.client("ecr").create_repository(repositoryName="images")
    repository = {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "images"}}
    body = json.dumps({"Resources": {"Repository": repository}})
    stack = cloudformation.create_stack(StackName="Registry", TemplateBody=body, OnFailure="DO_NOTHING")["StackId"]

    assert (
        wait(cloudformation, stack)["StackStatusReason"] == "The following resource(s) failed to create: [Repository]. "
    )
