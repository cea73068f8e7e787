"""Single builds in the sandbox: phases in time, stopped, retried, listed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.codebuild import build, create_project, log, phases, raw, until

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

SPEC = "version: 0.2\nphases: {build: {commands: [make], finally: [echo done]}}\n"


@pytest.fixture(autouse=True)
def builds_are_quick(account: Account) -> None:
    account.server.build_seconds[account.number] = 0.05
    create_project(account)


def start(account: Account, **request: Any) -> dict[str, Any]:
    started: dict[str, Any] = account.client("codebuild").start_build(projectName="Slc", **request)["build"]
    return started


def ended(account: Account, build_id: str) -> dict[str, Any]:
    return until(lambda: build(account, build_id), lambda shown: bool(shown["buildComplete"]))


def test_a_build_goes_through_all_phases_to_its_end(account: Account) -> None:
    started = start(account, buildspecOverride=SPEC)
    assert (started["buildStatus"], started["currentPhase"]) == ("IN_PROGRESS", "QUEUED")
    assert "groupName" not in started["logs"]
    shown = ended(account, started["id"])
    names = (
        *("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"),
        *("UPLOAD_ARTIFACTS", "FINALIZING"),
    )
    assert phases(shown) == [*((name, "SUCCEEDED") for name in names), ("COMPLETED", "")]
    times = [time for phase in shown["phases"] for time in (phase["startTime"], phase.get("endTime")) if time]
    assert times == sorted(times)
    assert shown["buildStatus"] == "SUCCEEDED"
    lines = log(account, shown)
    assert [line for line in lines if line.startswith("Running")] == [
        "Running command make",
        "Running command echo done",
    ]


def test_the_same_token_starts_one_build_and_another_request_with_it_is_refused(account: Account) -> None:
    first = start(account, idempotencyToken="token")["id"]
    assert start(account, idempotencyToken="token")["id"] == first
    with pytest.raises(ClientError, match=r"InvalidInputException.* Parameter mismatch"):
        start(account, idempotencyToken="token", sourceVersion="main")
    assert start(account, idempotencyToken="another")["id"] != first
    assert ended(account, first)["buildStatus"] == "SUCCEEDED"


def test_a_branch_fails_a_single_build_too(account: Account) -> None:
    shown = ended(account, start(account, sourceVersion="sandbox-fail")["id"])
    assert (shown["buildStatus"], dict(phases(shown))["BUILD"]) == ("FAILED", "FAILED")


def test_commands_that_are_no_text_fail_the_build_where_aws_reads_them(account: Account) -> None:
    shown = ended(account, start(account, buildspecOverride="version: 0.2\nphases: {build: {commands: [a: b]}}")["id"])
    (failed,) = (phase for phase in shown["phases"] if phase.get("phaseStatus") == "FAILED")
    assert failed["phaseType"] == "DOWNLOAD_SOURCE"
    assert failed["contexts"][0]["statusCode"] == "YAML_FILE_ERROR"
    assert failed["contexts"][0]["message"].startswith("Expected Commands[0] to be of string type")


def test_a_build_is_stopped_and_stays_so(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    started = start(account)
    stopped = account.client("codebuild").stop_build(id=started["id"])["build"]
    assert (stopped["buildStatus"], stopped["currentPhase"]) == ("STOPPED", "COMPLETED")
    assert (
        account.client("codebuild").stop_build(id=started["arn"])["build"] == build(account, started["id"]) == stopped
    )


def test_a_build_times_out(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    # A client would not send it: AWS wants five minutes at least.
    started = raw(account, "StartBuild", projectName="Slc", timeoutInMinutesOverride=0)["build"]
    shown = ended(account, started["id"])
    assert shown["buildStatus"] == "TIMED_OUT"
    assert shown["phases"][-2]["contexts"][0]["statusCode"] == "BUILD_TIMED_OUT"


def test_a_retried_build_is_a_new_one_with_the_same_settings(account: Account) -> None:
    first = ended(account, start(account, sourceVersion="sandbox-fail-once", buildspecOverride=SPEC)["id"])
    again = account.client("codebuild").retry_build(id=first["id"])["build"]
    assert (first["buildStatus"], again["id"] != first["id"]) == ("FAILED", True)
    assert (again["source"], again["sourceVersion"]) == (first["source"], first["sourceVersion"])
    assert again["buildNumber"] == first["buildNumber"] + 1
    assert ended(account, again["id"])["buildStatus"] == "SUCCEEDED"


def test_a_running_build_is_neither_retried_nor_deleted(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    codebuild, build_id = account.client("codebuild"), start(account)["id"]
    with pytest.raises(ClientError, match="InvalidInputException"):
        codebuild.retry_build(id=build_id)
    kept = codebuild.batch_delete_builds(ids=[build_id, "Slc:none"])["buildsNotDeleted"]
    assert [entry["statusCode"] for entry in kept] == ["BUILD_IN_PROGRESS", "BUILD_NOT_FOUND"]
    codebuild.stop_build(id=build_id)
    assert codebuild.batch_delete_builds(ids=[build_id])["buildsNotDeleted"] == []
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        codebuild.stop_build(id=build_id)


def test_overrides_of_the_request_replace_what_the_project_has(account: Account) -> None:
    variables = [
        {"name": "A", "value": "1", "type": "PLAINTEXT"},
        {"name": "B", "value": "p", "type": "PARAMETER_STORE"},
    ]
    shown = start(
        account,
        imageOverride="ubuntu:24.04",
        computeTypeOverride="BUILD_GENERAL1_LARGE",
        privilegedModeOverride=True,
        environmentVariablesOverride=variables,
        sourceVersion="main",
        timeoutInMinutesOverride=7,
    )
    environment = shown["environment"]
    assert (environment["image"], environment["computeType"]) == ("ubuntu:24.04", "BUILD_GENERAL1_LARGE")
    assert (environment["privilegedMode"], environment["environmentVariables"]) == (True, variables)
    assert (shown["sourceVersion"], shown["timeoutInMinutes"]) == ("main", 7)


def test_every_answer_about_builds_has_the_shape_of_the_api(account: Account) -> None:
    build_id = raw(account, "StartBuild", projectName="Slc", sourceVersion="main")["build"]["id"]
    raw(account, "BatchGetBuilds", ids=[build_id, "Slc:none"])
    raw(account, "StopBuild", id=build_id)
    retried = raw(account, "RetryBuild", id=build_id)["build"]["id"]
    ended(account, retried)
    raw(account, "BatchGetBuilds", ids=[retried])
    assert raw(account, "ListBuilds", sortOrder="ASCENDING")["ids"] == [build_id, retried]
    assert raw(account, "ListBuildsForProject", projectName="Slc")["ids"] == [retried, build_id]
    raw(account, "BatchDeleteBuilds", ids=[build_id])
