"""Answers in the shapes that endpoints of AWS sent in recordings: old formats, omitted members, and members that other endpoints do not send."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from exasol_ci_setup.builds.read import repositories_of
from exasol_ci_setup.core.errors import DeployFailedError
from exasol_ci_setup.stacks import diagnose, events, state
from tests.answers import AwsError
from tests.stacks.test_deploy_answers import run
from tests.stacks.test_rollout_answers import DEFINITION, FAILURE, TASK, Ecs, service, task

STACK = "arn:aws:cloudformation:eu-central-1:123456789012:stack/shop/00000000-0000-4000-8000-000000000001"
BEGUN = datetime(2026, 1, 1, tzinfo=timezone.utc)
REASON = (
    "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided' (Service: AmazonECR; "
    "Status Code: 400; Error Code: InvalidParameterException; Request ID: 00000000-0000-4000-8000-000000000000)"
)


@pytest.fixture
def cfn(answers):
    return answers.account.client("cloudformation")


def described(status, **more):
    """Return a description without the members that AWS omits for a stack without outputs, capabilities and parameters."""
    return {
        "StackId": STACK,
        "StackName": "shop",
        "CreationTime": BEGUN,
        "RollbackConfiguration": {},
        "StackStatus": status,
        "DisableRollback": False,
        "NotificationARNs": [],
        "Tags": [],
        "EnableTerminationProtection": False,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        **more,
    }


def happened(*rows):
    """Return events, newest first as AWS does; a row is a logical ID, a status and a reason, None if AWS omits it."""
    found = []
    for number, (name, status, reason) in enumerate(rows):
        is_stack = name == "shop"
        found.append(
            {
                "StackId": STACK,
                "StackName": "shop",
                "EventId": f"event-{number}",
                "LogicalResourceId": name,
                "PhysicalResourceId": STACK if is_stack else "",
                "ResourceType": "AWS::CloudFormation::Stack" if is_stack else "AWS::ECR::Repository",
                "ResourceStatus": status,
                "Timestamp": BEGUN + timedelta(seconds=number),
                **({} if reason is None else {"ResourceStatusReason": reason}),
                **({} if is_stack else {"ResourceProperties": '{"RepositoryPolicyText":{"Version":"2008-10-17"}}'}),
            }
        )
    return found[::-1]


STARTED = (
    ("shop", "CREATE_IN_PROGRESS", "User Initiated"),
    ("Images", "CREATE_IN_PROGRESS", None),
    ("Images", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
    ("Images", "CREATE_FAILED", REASON),
)
FAILED = "The following resource(s) failed to create: [Images]. "
REMOVED = (("Images", "DELETE_IN_PROGRESS", None), ("Images", "DELETE_COMPLETE", None))


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS"])
def test_description_without_optional_members_is_read(answers, cfn, status):
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [described(status, DeletionTime=BEGUN)]})

    stack = state.get(cfn, "shop")
    assert (stack.status, dict(stack.outputs), dict(stack.tags)) == (status, {}, {})


@pytest.mark.parametrize(
    "rows",
    [
        (
            *STARTED,
            ("shop", "ROLLBACK_IN_PROGRESS", f"{FAILED}. Rollback requested by user."),
            *REMOVED,
            ("shop", "ROLLBACK_COMPLETE", None),
        ),
        (
            *STARTED,
            ("shop", "DELETE_IN_PROGRESS", f"{FAILED}. Delete requested by user."),
            *REMOVED,
            ("shop", "DELETE_COMPLETE", None),
        ),
        (*STARTED, ("shop", "CREATE_FAILED", FAILED)),
    ],
    ids=["rollback", "delete", "keep"],
)
def test_cause_of_failed_creation_is_found(answers, cfn, rows):
    answers.on("cloudformation", "DescribeStackEvents", {"StackEvents": happened(*rows)})

    last = events.of_last_operation(cfn, STACK)
    cause = diagnose.root_cause(last)

    assert (cause.logical_id, cause.reason) == ("Images", REASON)
    assert len(last) == len(rows) or rows[4][1] == "DELETE_IN_PROGRESS"


def test_missing_stack_is_not_found(answers, cfn):
    answers.on("cloudformation", "DescribeStacks", AwsError("ValidationError", "Stack with id shop does not exist"))

    assert state.find(cfn, "shop") is None


def test_project_of_first_codebuild_format_is_read(answers):
    project = {
        "name": "build",
        "serviceRole": "arn:aws:iam::123456789012:role/service-role/build",
        "tags": [],
        "artifacts": {
            "type": "S3",
            "location": "a-bucket",
            "name": "build",
            "namespaceType": "NONE",
            "packaging": "NONE",
        },
        "environment": {
            "computeType": "BUILD_GENERAL1_SMALL",
            "image": "aws/codebuild/python:2.7.12",
            "type": "LINUX_CONTAINER",
        },
        "source": {"type": "GITHUB", "location": "https://github.com/example/shop.git", "auth": {"type": "OAUTH"}},
    }
    codepipeline = {**project, "name": "other", "source": {"type": "CODEPIPELINE"}}
    answers.on("codebuild", "BatchGetProjects", {"projects": [project, codepipeline], "projectsNotFound": ["gone"]})

    found = repositories_of(answers.account.client("codebuild"), ["build", "other", "gone"])
    assert found == {"build": "https://github.com/example/shop.git", "other": ""}


def test_service_with_task_sets_and_tasks_without_containers_are_read(answers, clock):
    Ecs(answers, events=FAILURE)
    # With an external controller, a service has task sets and no deployments.
    external = {**service()["services"][0], "taskSets": [{"id": "ecs-svc/1", "status": "PRIMARY"}]}
    del external["deployments"]
    missing = {"arn": "arn:aws:ecs:eu-central-1:123456789012:service/shop/gone", "reason": "MISSING"}
    answers.on("ecs", "DescribeServices", {"services": [external], "failures": [missing]})

    with pytest.raises(DeployFailedError) as caught:
        run(answers, clock)
    assert caught.value.diagnosis.details == ()


def test_stopped_task_has_reason_of_container(answers, clock):
    Ecs(answers, events=FAILURE)
    answers.on("ecs", "DescribeServices", service(failed=1))
    answers.on("ecs", "ListTasks", {"taskArns": [TASK]})
    reason = "CannotPullContainerError: pull image manifest has been retried 1 time(s)"
    container = {"name": "web", "lastStatus": "STOPPED", "reason": reason, "networkInterfaces": []}
    eni = {"id": "1", "type": "ElasticNetworkInterface", "status": "DELETED", "details": []}
    stopped = task(TASK, DEFINITION, stopCode="TaskFailedToStart", containers=[container], attachments=[eni], version=5)
    answers.on("ecs", "DescribeTasks", {"tasks": [stopped], "failures": []})
    answers.on("ecs", "DescribeTaskDefinition", {"taskDefinition": {"taskDefinitionArn": DEFINITION}})

    with pytest.raises(DeployFailedError) as caught:
        run(answers, clock)
    assert caught.value.diagnosis.details == ("a task stopped: TaskFailedToStart", f"container web {reason}")
