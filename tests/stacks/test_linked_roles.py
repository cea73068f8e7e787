"""The service-linked roles that a new account lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup import Context
from exasol_ci_setup.stacks import linked_roles
from tests.answers import AwsError
from tests.reporters import RecordingReporter

if TYPE_CHECKING:
    from tests.answers import Answers, VirtualClock

CLUSTER = "AWS::ECS::Cluster"
ROLE = {"Role": {"RoleName": "r", "Path": "/", "RoleId": "AROA" * 4, "Arn": "arn:aws:iam::1:role/r", "CreateDate": 0}}


def test_missing_role_is_created_before_first_cluster(answers: Answers, clock: VirtualClock):
    answers.on("iam", "GetRole", AwsError("NoSuchEntity", status=404))
    answers.on("iam", "CreateServiceLinkedRole", ROLE)
    reporter = RecordingReporter()

    linked_roles.ensure(Context(answers.account, clock, reporter), [CLUSTER, CLUSTER, "AWS::S3::Bucket"])

    assert answers.names() == ["GetRole", "CreateServiceLinkedRole"]
    assert answers.calls[1].params == {"AWSServiceName": "ecs.amazonaws.com"}
    assert reporter.notes == ["created AWSServiceRoleForECS, which this account needs once"]
    assert clock.now() >= 10


def test_existing_role_is_not_created(answers: Answers, clock: VirtualClock):
    answers.on("iam", "GetRole", ROLE)
    begun = clock.now()
    linked_roles.ensure(Context(answers.account, clock), [CLUSTER])
    assert answers.names() == ["GetRole"]
    assert clock.now() == begun


@pytest.mark.parametrize("error", ["AccessDenied", "InvalidInput"])
def test_failed_creation_is_left_to_cloudformation(error: str, answers: Answers, clock: VirtualClock):
    answers.on("iam", "GetRole", AwsError("NoSuchEntity", status=404))
    answers.on("iam", "CreateServiceLinkedRole", AwsError(error))
    reporter = RecordingReporter()
    linked_roles.ensure(Context(answers.account, clock, reporter), [CLUSTER])
    assert reporter.notes == []


def test_stack_without_such_resources_makes_no_call(answers: Answers, clock: VirtualClock):
    linked_roles.ensure(Context(answers.account, clock), ["AWS::S3::Bucket"])
    assert answers.names() == []
