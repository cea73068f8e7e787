"""Rollouts of ECS services during an operation, and explanations of their failures."""

from __future__ import annotations

import pytest

from exasol_ci_setup.cli.render import show
from exasol_ci_setup.core.errors import DeployFailedError
from tests.answers import AwsError
from tests.reporters import RecordingReporter
from tests.stacks.test_deploy_answers import Aws, run

SERVICE = "arn:aws:ecs:eu-central-1:123456789012:service/shop/web"
DEFINITION = "arn:aws:ecs:eu-central-1:123456789012:task-definition/shop-web:2"
BEFORE = "arn:aws:ecs:eu-central-1:123456789012:task-definition/shop-web:1"
TASK = "arn:aws:ecs:eu-central-1:123456789012:task/shop/0123456789abcdef"
OLD_TASK = "arn:aws:ecs:eu-central-1:123456789012:task/shop/fedcba9876543210"
REASON = "ECS Deployment Circuit Breaker was triggered"
WAITING: list[list[tuple[str, ...]]] = [[]] * 80

SLOW_SUCCESS = [
    [("UPDATE_IN_PROGRESS", "Slc")],
    [("UPDATE_IN_PROGRESS", "Web", "", "AWS::ECS::Service")],
    *WAITING,
    [("UPDATE_COMPLETE", "Web", "", "AWS::ECS::Service")],
    [("UPDATE_COMPLETE", "Slc")],
]
FAILURE = [
    [("UPDATE_IN_PROGRESS", "Slc")],
    [("UPDATE_IN_PROGRESS", "Web", "", "AWS::ECS::Service")],
    *WAITING,
    [("UPDATE_FAILED", "Web", REASON, "AWS::ECS::Service"), ("UPDATE_ROLLBACK_IN_PROGRESS", "Slc")],
    [("UPDATE_ROLLBACK_COMPLETE", "Slc")],
]


class Ecs(Aws):
    """A stack with a service."""

    def event(self, status, name, reason="", kind="AWS::SNS::Topic"):
        event = super().event(status, name, reason, kind)
        return {**event, "PhysicalResourceId": SERVICE} if name == "Web" else event


def service(*, running=0, pending=0, failed=0):
    deployment = {
        "id": "ecs-svc/1",
        "status": "PRIMARY",
        "taskDefinition": DEFINITION,
        "desiredCount": 2,
        "runningCount": running,
        "pendingCount": pending,
        "failedTasks": failed,
    }
    old = {"id": "ecs-svc/0", "status": "ACTIVE", "taskDefinition": BEFORE, "desiredCount": 2, "runningCount": 2}
    return {"services": [{"serviceArn": SERVICE, "serviceName": "web", "deployments": [deployment, old]}]}


def task(arn, definition, **more):
    return {"taskArn": arn, "taskDefinitionArn": definition, "lastStatus": "STOPPED", **more}


@pytest.fixture
def failing(answers):
    """A service whose new tasks end without a request."""
    Ecs(answers, events=FAILURE)
    answers.on("ecs", "DescribeServices", service(running=0, failed=3))
    answers.on("ecs", "ListTasks", {"taskArns": [OLD_TASK, TASK]})
    container = {"name": "web", "exitCode": 3, "reason": ""}
    answers.on(
        "ecs",
        "DescribeTasks",
        {
            "tasks": [
                task(OLD_TASK, BEFORE, stoppedReason="Scaling activity initiated by (deployment ecs-svc/1)"),
                task(TASK, DEFINITION, stoppedReason="Essential container in task exited", containers=[container]),
            ]
        },
    )
    options = {"awslogs-group": "/ecs/shop/web", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "web"}
    definition = {
        "taskDefinitionArn": DEFINITION,
        "containerDefinitions": [{"name": "web", "logConfiguration": {"logDriver": "awslogs", "options": options}}],
    }
    answers.on("ecs", "DescribeTaskDefinition", {"taskDefinition": definition})
    answers.on("logs", "GetLogEvents", {"events": [{"message": "no module named shop\n"}]})
    return answers


def test_tasks_are_counted_during_rollout(answers, clock):
    Ecs(answers, events=SLOW_SUCCESS)
    answers.on(
        "ecs", "DescribeServices", [service(pending=2), service(pending=2), service(running=2)], repeat_last=True
    )
    shown = RecordingReporter()

    run(answers, clock, shown=shown)

    assert shown.notes == ["Web: 0 of 2 tasks running, 2 pending", "Web: 2 of 2 tasks running"]
    asked = answers.of("DescribeServices")
    assert asked[0] == {"cluster": "shop", "services": [SERVICE]}
    # 80 polls of the stack every 1.9 s, and of ECS every 40 s.
    assert len(asked) == 3


def test_tasks_are_explained_after_rollback_of_ecs(failing, clock):
    back = {"id": "ecs-svc/2", "status": "PRIMARY", "taskDefinition": BEFORE, "desiredCount": 2, "runningCount": 2}
    failed_one = {"id": "ecs-svc/1", "status": "ACTIVE", "taskDefinition": DEFINITION, "failedTasks": 3}
    found = {"serviceArn": SERVICE, "serviceName": "web", "deployments": [back, failed_one]}
    failing.on("ecs", "DescribeServices", {"services": [found]})

    with pytest.raises(DeployFailedError) as failed:
        run(failing, clock)

    assert failed.value.diagnosis.details[0] == "a task stopped: Essential container in task exited"


def test_failed_rollout_reports_reason_and_log_of_tasks(failing, clock):
    shown = RecordingReporter()

    with pytest.raises(DeployFailedError) as failed:
        run(failing, clock, shown=shown)

    diagnosis = failed.value.diagnosis
    assert (diagnosis.logical_id, diagnosis.reason) == ("Web", REASON)
    assert diagnosis.details == (
        "a task stopped: Essential container in task exited",
        "container web exited with code 3",
        "web wrote: no module named shop",
    )
    assert failing.of("GetLogEvents")[0]["logStreamName"] == "web/web/0123456789abcdef"
    block = show.diagnosis(diagnosis)
    assert "  detail         container web exited with code 3" in block
    assert block[-2] == f"  reason         {REASON}"


def test_stopped_task_is_reported_once(failing, clock):
    shown = RecordingReporter()

    with pytest.raises(DeployFailedError):
        run(failing, clock, shown=shown)

    assert [note for note in shown.notes if "a task stopped" in note] == [
        "Web: a task stopped: Essential container in task exited"
    ]


@pytest.mark.parametrize("operation", ["DescribeServices", "ListTasks", "DescribeTasks"])
def test_missing_ecs_permission_hides_no_other_reason(failing, clock, operation):
    failing.on("ecs", operation, AwsError("AccessDeniedException", "not authorized"))

    with pytest.raises(DeployFailedError) as failed:
        run(failing, clock)

    assert failed.value.diagnosis.reason == REASON
    assert failed.value.diagnosis.details == ()


def test_container_without_output_is_explained_without_log(failing, clock):
    failing.on("logs", "GetLogEvents", AwsError("ResourceNotFoundException", "The specified log stream does not exist"))

    with pytest.raises(DeployFailedError) as failed:
        run(failing, clock)

    assert failed.value.diagnosis.details[-1] == "container web exited with code 3"


def test_failure_before_first_poll_is_explained(failing, clock):
    Ecs(failing, events=[step for step in FAILURE if step])

    with pytest.raises(DeployFailedError) as failed:
        run(failing, clock)

    assert "container web exited with code 3" in failed.value.diagnosis.details


def test_stack_without_services_makes_no_ecs_call(answers, clock):
    Aws(answers, events=SLOW_SUCCESS[:1] + WAITING + SLOW_SUCCESS[-1:])

    run(answers, clock)

    assert not {"DescribeServices", "ListTasks"} & set(answers.names())


def test_rollout_is_polled_at_limited_rate(answers, clock):
    Ecs(answers, events=[*SLOW_SUCCESS[:2], *[[]] * 400, *SLOW_SUCCESS[-2:]])
    answers.on("ecs", "DescribeServices", service(pending=2))
    began = clock.elapsed

    run(answers, clock)

    calls = [each for each in answers.names() if each in {"DescribeStackEvents", "DescribeStacks", "DescribeServices"}]
    assert clock.elapsed - began > 700
    assert len(calls) / (clock.elapsed - began) <= 0.6
