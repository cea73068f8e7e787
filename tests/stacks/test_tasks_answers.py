"""One-off tasks of services: their request, log, end and exit code."""

from __future__ import annotations

import signal
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import (
    InputError,
    OperationInterruptedError,
    StackError,
    TaskFailedError,
    TimedOutError,
)
from exasol_ci_setup.stacks import tasks
from tests.reporters import RecordingReporter

if TYPE_CHECKING:
    from tests.answers import Answers, Reply, VirtualClock

CLUSTER = "shop-cluster-Cluster-a1B2"
SERVICE = f"arn:aws:ecs:eu-central-1:123456789012:service/{CLUSTER}/web"
DEFINITION = "arn:aws:ecs:eu-central-1:123456789012:task-definition/shop-cluster-web:7"
NIGHTLY = "arn:aws:ecs:eu-central-1:123456789012:task-definition/shop-cluster-nightly:2"
TASK = f"arn:aws:ecs:eu-central-1:123456789012:task/{CLUSTER}/0123456789abcdef"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}}
SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]


def resource(logical_id: str, kind: str, physical_id: str) -> dict[str, Any]:
    return {
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": kind,
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": datetime(2026, 1, 1, tzinfo=timezone.utc),
    }


def described(status: str, *, code: int | None = None, reason: str = "", why: str = "") -> dict[str, Any]:
    ended = {} if code is None else {"exitCode": code}
    container = {"name": "web", "lastStatus": status, **ended, **({"reason": why} if why else {})}
    task = {"taskArn": TASK, "lastStatus": status, "containers": [{"name": "agent", "exitCode": 0}, container]}
    return {"tasks": [{**task, **({"stoppedReason": reason} if reason else {})}]}


@pytest.fixture
def ecs(answers: Answers) -> Answers:
    """A stack with a service that runs always on spare capacity, and one that runs by a schedule."""
    answers.on(
        "cloudformation",
        "DescribeStacks",
        {
            "Stacks": [
                {
                    "StackName": "shop-cluster",
                    "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/shop-cluster/1",
                    "CreationTime": datetime(2026, 1, 1, tzinfo=timezone.utc),
                    "StackStatus": "CREATE_COMPLETE",
                }
            ]
        },
    )
    resources = [
        resource("Cluster", "AWS::ECS::Cluster", CLUSTER),
        resource("WebService", "AWS::ECS::Service", SERVICE),
        resource("NightlySchedule", "AWS::Scheduler::Schedule", "shop-cluster-NightlySchedule-x"),
    ]
    answers.on("cloudformation", "ListStackResources", {"StackResourceSummaries": resources})
    service = {
        "serviceArn": SERVICE,
        "taskDefinition": DEFINITION,
        "launchType": "FARGATE",
        "capacityProviderStrategy": SPOT,
        "networkConfiguration": NETWORK,
        "platformVersion": "LATEST",
    }
    answers.on("ecs", "DescribeServices", {"services": [service]})
    target = {
        "Arn": f"arn:aws:ecs:eu-central-1:123456789012:cluster/{CLUSTER}",
        "RoleArn": "arn:aws:iam::123456789012:role/schedule",
        "EcsParameters": {
            "TaskDefinitionArn": NIGHTLY,
            "LaunchType": "FARGATE",
            "NetworkConfiguration": {"awsvpcConfiguration": {"Subnets": ["subnet-1"], "SecurityGroups": ["sg-1"]}},
        },
    }
    answers.on("scheduler", "GetSchedule", {"Target": target})
    options = {"awslogs-group": "/ecs/shop-cluster/web", "awslogs-stream-prefix": "web"}
    container = {"name": "web", "logConfiguration": {"logDriver": "awslogs", "options": options}}
    definition = {"taskDefinitionArn": DEFINITION, "containerDefinitions": [container, {"name": "agent"}]}
    answers.on("ecs", "DescribeTaskDefinition", {"taskDefinition": definition})
    answers.on("ecs", "RunTask", {"tasks": [{"taskArn": TASK}]})
    answers.on("logs", "GetLogEvents", {"events": []})
    return answers


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


@pytest.fixture
def context(ecs: Answers, clock: VirtualClock, reporter: RecordingReporter) -> Context:
    return Context(ecs.account, clock, reporter)


def started(context: Context) -> tasks.Task:
    return tasks.start(context, tasks.find(context, "shop-cluster", "web"))


def test_task_has_capacity_and_network_of_service(context: Context, ecs: Answers):
    runnable = tasks.find(context, "shop-cluster", "web")
    task = tasks.start(context, runnable, ["migrate", "--all"], {"MODE": "once"})
    [request] = ecs.of("RunTask")
    assert request["taskDefinition"] == DEFINITION
    assert request["cluster"] == CLUSTER
    assert request["networkConfiguration"] == NETWORK
    assert request["capacityProviderStrategy"] == SPOT
    assert "launchType" not in request
    assert request["overrides"]["containerOverrides"] == [
        {"name": "web", "command": ["migrate", "--all"], "environment": [{"name": "MODE", "value": "once"}]}
    ]
    assert (task.id, task.log_stream) == ("0123456789abcdef", "web/web/0123456789abcdef")


def test_scheduled_service_runs_with_its_target(context: Context):
    found = tasks.find(context, "shop-cluster", "nightly")
    assert (found.cluster, found.task_definition) == (CLUSTER, NIGHTLY)
    assert found.placement == {
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}},
    }


@pytest.mark.parametrize(
    ("service", "message"), [(None, "choose a service"), ("other", "stack shop-cluster has no service 'other'")]
)
def test_unclear_service_exits_2_with_names(context: Context, service: str | None, message: str):
    with pytest.raises(InputError, match=message) as caught:
        tasks.find(context, "shop-cluster", service)
    assert caught.value.hint == "its services: nightly, web"


def test_stack_without_service_exits_2(context: Context, ecs: Answers):
    ecs.on("cloudformation", "ListStackResources", {"StackResourceSummaries": []})
    with pytest.raises(InputError, match="stack shop-cluster has no service to run a task of"):
        tasks.find(context, "shop-cluster")


def test_refused_start_names_reason_of_ecs(context: Context, ecs: Answers):
    ecs.on("ecs", "RunTask", {"tasks": [], "failures": [{"reason": "Capacity is unavailable at this time"}]})
    with pytest.raises(StackError, match="no task of service web: Capacity is unavailable at this time"):
        started(context)


def test_log_is_followed_until_task_stops(context: Context, ecs: Answers, reporter: RecordingReporter):
    states: list[Reply] = [{"tasks": []}, described("RUNNING"), described("STOPPED", code=0)]
    ecs.on("ecs", "DescribeTasks", states, repeat_last=True)
    pages: list[Reply] = [
        {"events": [], "nextForwardToken": "f0"},
        {"events": [], "nextForwardToken": "f0"},
        {"events": [{"timestamp": 1, "message": "one"}], "nextForwardToken": "f1"},
        {"events": [], "nextForwardToken": "f1"},
        {"events": [{"timestamp": 2, "message": "two"}], "nextForwardToken": "f2"},
        {"events": [], "nextForwardToken": "f2"},
    ]
    ecs.on("logs", "GetLogEvents", pages, repeat_last=True)
    task = started(context)
    assert [line.message for line in tasks.follow(context, task)] == ["one", "two"]
    assert task.exit_code == 0
    tasks.require_success(task)
    assert reporter.notes == ["task 0123456789abcdef: running", "task 0123456789abcdef: stopped"]


@pytest.mark.parametrize("code", [1, 3, 137])
def test_exit_code_of_error_is_that_of_container(context: Context, ecs: Answers, code: int):
    ecs.on("ecs", "DescribeTasks", described("STOPPED", code=code, reason="Essential container in task exited"))
    task = started(context)
    assert list(tasks.follow(context, task)) == []
    with pytest.raises(TaskFailedError, match=f"ended with exit code {code}") as caught:
        tasks.require_success(task)
    assert caught.value.exit_code == code


def test_task_that_did_not_start_names_reason(context: Context, ecs: Answers):
    ecs.on("ecs", "DescribeTasks", described("STOPPED", reason="Task failed to start", why="CannotPullContainerError"))
    task = started(context)
    assert list(tasks.follow(context, task)) == []
    with pytest.raises(TaskFailedError, match="did not run: Task failed to start: CannotPullContainerError") as caught:
        tasks.require_success(task)
    assert caught.value.exit_code == 1


def test_timeout_leaves_task_running(context: Context, ecs: Answers, clock: VirtualClock):
    ecs.on("ecs", "DescribeTasks", described("RUNNING"))
    with pytest.raises(TimedOutError, match="did not end within 90 seconds") as caught:
        list(tasks.follow(context, started(context), 90))
    assert 90 <= clock.elapsed < 92
    assert caught.value.hint == f"stop it with `aws ecs stop-task --cluster {CLUSTER} --task 0123456789abcdef`"
    assert "StopTask" not in ecs.names()


def test_interrupt_leaves_task_running(context: Context, ecs: Answers, clock: VirtualClock):
    ecs.on("ecs", "DescribeTasks", described("RUNNING"))
    clock.at(3, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(OperationInterruptedError, match="task 0123456789abcdef continues on AWS"):
        list(tasks.follow(context, started(context)))
    assert "StopTask" not in ecs.names()
