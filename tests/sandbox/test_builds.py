"""Tests of single builds in the sandbox: phases, stops, retries, lists and deletions."""

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


def test_build_runs_all_phases(account: Account) -> None:
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


def test_repeated_token_starts_one_build(account: Account) -> None:
    first = start(account, idempotencyToken="token")["id"]
    assert start(account, idempotencyToken="token")["id"] == first
    with pytest.raises(ClientError, match=r"InvalidInputException.* Parameter mismatch"):
        start(account, idempotencyToken="token", sourceVersion="main")
    assert start(account, idempotencyToken="another")["id"] != first
    assert ended(account, first)["buildStatus"] == "SUCCEEDED"


def test_branch_fails_single_build(account: Account) -> None:
    shown = ended(account, start(account, sourceVersion="sandbox-fail")["id"])
    assert (shown["buildStatus"], dict(phases(shown))["BUILD"]) == ("FAILED", "FAILED")


def test_commands_other_than_text_fail_build_in_download(account: Account) -> None:
    shown = ended(account, start(account, buildspecOverride="version: 0.2\nphases: {build: {commands: [a: b]}}")["id"])
    (failed,) = (phase for phase in shown["phases"] if phase.get("phaseStatus") == "FAILED")
    assert failed["phaseType"] == "DOWNLOAD_SOURCE"
    assert failed["contexts"][0]["statusCode"] == "YAML_FILE_ERROR"
    assert failed["contexts"][0]["message"].startswith("Expected Commands[0] to be of string type")


def test_stopped_build_remains_stopped(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    started = start(account)
    stopped = account.client("codebuild").stop_build(id=started["id"])["build"]
    assert (stopped["buildStatus"], stopped["currentPhase"]) == ("STOPPED", "COMPLETED")
    assert (
        account.client("codebuild").stop_build(id=started["arn"])["build"] == build(account, started["id"]) == stopped
    )


def test_build_times_out(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    # botocore rejects such a request: AWS requires at least five minutes.
    started = raw(account, "StartBuild", projectName="Slc", timeoutInMinutesOverride=0)["build"]
    shown = ended(account, started["id"])
    assert shown["buildStatus"] == "TIMED_OUT"
    assert shown["phases"][-2]["contexts"][0]["statusCode"] == "BUILD_TIMED_OUT"


def test_retried_build_is_new_build_with_same_settings(account: Account) -> None:
    first = ended(account, start(account, sourceVersion="sandbox-fail-once", buildspecOverride=SPEC)["id"])
    again = account.client("codebuild").retry_build(id=first["id"])["build"]
    assert (first["buildStatus"], again["id"] != first["id"]) == ("FAILED", True)
    assert (again["source"], again["sourceVersion"]) == (first["source"], first["sourceVersion"])
    assert again["buildNumber"] == first["buildNumber"] + 1
    assert ended(account, again["id"])["buildStatus"] == "SUCCEEDED"


def test_running_build_cannot_be_retried_or_deleted(account: Account) -> None:
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


def test_request_overrides_replace_project_settings(account: Account) -> None:
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


def test_responses_about_builds_match_api(account: Account) -> None:
    build_id = raw(account, "StartBuild", projectName="Slc", sourceVersion="main")["build"]["id"]
    raw(account, "BatchGetBuilds", ids=[build_id, "Slc:none"])
    raw(account, "StopBuild", id=build_id)
    retried = raw(account, "RetryBuild", id=build_id)["build"]["id"]
    ended(account, retried)
    raw(account, "BatchGetBuilds", ids=[retried])
    assert raw(account, "ListBuilds", sortOrder="ASCENDING")["ids"] == [build_id, retried]
    assert raw(account, "ListBuildsForProject", projectName="Slc")["ids"] == [retried, build_id]
    raw(account, "BatchDeleteBuilds", ids=[build_id])
