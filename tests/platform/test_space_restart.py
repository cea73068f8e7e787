"""Restarts of spaces that ECS answers, and log lines in the errors of spaces."""

from __future__ import annotations

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import DeployFailedError, SpaceConflictError, StackBusyError, TimedOutError
from tests.reporters import RecordingReporter

IMAGE = "public.ecr.aws/nginx/nginx:1.27"
SERVICE = "arn:aws:ecs:eu-central-1:123456789012:service/spaces/web"
OUTPUTS = {"ServiceName": "web", "ClusterName": "spaces"}


def stack(status="UPDATE_COMPLETE", outputs=OUTPUTS):
    return {
        "StackName": "space-web",
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/space-web/0-1",
        "StackStatus": status,
        "CreationTime": "2026-01-01T00:00:00Z",
        "Tags": [
            {"Key": "exasol-ci-setup:construct", "Value": "Space"},
            {"Key": "exasol-ci-setup:name", "Value": "web"},
        ],
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
    }


def service(*deployments, desired=1):
    found = [
        {"id": name, "status": status, "rolloutState": state, "rolloutStateReason": f"why {name}"}
        for name, status, state in deployments
    ]
    return {"serviceArn": SERVICE, "serviceName": "web", "desiredCount": desired, "deployments": found}


@pytest.fixture
def ecs(answers):
    """A space whose restart begins a deployment `new`, and an empty log."""
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [stack()]})
    answers.on("ecs", "UpdateService", {"service": service(("new", "PRIMARY", "IN_PROGRESS"))})
    answers.on("logs", "DescribeLogStreams", {"logStreams": [{"logStreamName": "web/web/1"}]})
    answers.on("logs", "GetLogEvents", {"events": [{"timestamp": 1, "message": "no database"}]})
    return answers


def described(answers, *services):
    answers.on("ecs", "DescribeServices", [{"services": [each]} for each in services], repeat_last=True)


@pytest.mark.live
def test_restart_replaces_tasks_of_same_release(live):
    context = Context(live)
    naas.space.create("web", image=IMAGE, count=2, context=context)
    ecs = live.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    before = set(ecs.list_tasks(cluster=cluster)["taskArns"])

    restarted = naas.space.restart("web", context=context)

    assert (restarted.running, restarted.desired) == (2, 2)
    assert before.isdisjoint(ecs.list_tasks(cluster=cluster)["taskArns"])
    assert [each.number for each in naas.space.releases("web", context=context)] == [1]


def test_failed_restart_has_reason_and_log(ecs, clock):
    described(
        ecs,
        service(("old", "PRIMARY", "COMPLETED")),
        service(("back", "PRIMARY", "IN_PROGRESS"), ("new", "ACTIVE", "FAILED")),
    )

    with pytest.raises(DeployFailedError, match="space web was not restarted: why new") as caught:
        naas.space.restart("web", context=Context(ecs.account, clock=clock))

    assert caught.value.exit_code == 1
    assert caught.value.diagnosis.details == ("the container wrote: no database",)
    assert "space logs --name web" in caught.value.hint


def test_replaced_restart_fails(ecs, clock):
    described(ecs, service(("new", "PRIMARY", "IN_PROGRESS")), service(("other", "PRIMARY", "IN_PROGRESS")))

    with pytest.raises(DeployFailedError, match="another deployment replaced it"):
        naas.space.restart("web", context=Context(ecs.account, clock=clock))


def test_endless_restart_times_out(ecs, clock):
    described(ecs, service(("new", "PRIMARY", "IN_PROGRESS")))

    with pytest.raises(TimedOutError) as caught:
        naas.space.restart("web", context=Context(ecs.account, clock=clock))

    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("status", "outputs", "desired", "error", "message"),
    [
        ("UPDATE_IN_PROGRESS", OUTPUTS, 1, StackBusyError, "is in UPDATE_IN_PROGRESS"),
        ("ROLLBACK_FAILED", {}, 1, SpaceConflictError, "does not run"),
        ("UPDATE_COMPLETE", OUTPUTS, 0, SpaceConflictError, "its count is 0"),
    ],
)
def test_space_that_does_not_run_is_not_restarted(ecs, status, outputs, desired, error, message):
    ecs.on("cloudformation", "DescribeStacks", {"Stacks": [stack(status, outputs)]})
    described(ecs, service(desired=desired))

    with pytest.raises(error, match=message):
        naas.space.restart("web", context=Context(ecs.account))

    assert "UpdateService" not in ecs.names()


@pytest.mark.live
def test_failed_creation_ends_with_log(live):
    naas.space.create("other", image=IMAGE, context=Context(live))
    ecs, logs = live.client("ecs"), live.client("logs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition="space-other", desiredCount=0)

    class Starting(RecordingReporter):
        """The container writes a line before it fails."""

        def event(self, event, /):
            if event.logical_id == "LogGroup" and event.status == "CREATE_COMPLETE":
                logs.create_log_stream(logGroupName=event.physical_id, logStreamName="web/web/1")
                logs.put_log_events(
                    logGroupName=event.physical_id,
                    logStreamName="web/web/1",
                    logEvents=[{"timestamp": 1_800_000_000_000, "message": "no database"}],
                )

    with pytest.raises(DeployFailedError) as caught:
        naas.space.create("web", image=IMAGE, context=Context(live, reporter=Starting()))

    assert "the container wrote: no database" in caught.value.diagnosis.details
    assert [line.message for line in naas.space.logs("web", context=Context(live))] == ["no database"]
