"""Tests of batch builds in the sandbox: groups, phases, logs, requested failures, stops and retries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from botocore.exceptions import ClientError

from exasol_ci_setup.builds.buildspecs import Options, render
from tests.sandbox.codebuild import (
    TWO,
    URL,
    batch,
    build,
    build_of,
    create_project,
    ended,
    graph,
    has_source,
    log,
    phases,
    raw,
    run,
    start,
    statuses,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

SUCCEEDED = [
    ("SUBMITTED", "SUCCEEDED"),
    ("DOWNLOAD_BATCHSPEC", "SUCCEEDED"),
    ("IN_PROGRESS", "SUCCEEDED"),
    ("COMBINE_ARTIFACTS", "SUCCEEDED"),
    ("SUCCEEDED", ""),
]


@pytest.fixture(autouse=True)
def builds_are_quick(account: Account) -> None:
    account.server.build_seconds[account.number] = 0.05


def is_busy(shown: dict[str, Any]) -> bool:
    return "IN_PROGRESS" in statuses(shown).values()


def refusal(account: Account, operation: str, **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        getattr(account.client("codebuild"), operation)(**request)
    return f"{caught.value.response['Error']['Code']}: {caught.value.response['Error']['Message']}"


def context(shown: dict[str, Any]) -> tuple[str, str]:
    """Return code and message of the phase that did not succeed."""
    (phase,) = (phase for phase in shown["phases"] if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED")
    return phase["contexts"][0]["statusCode"], phase["contexts"][0]["message"]


def test_unregistered_source_uses_example_buildspec(account: Account) -> None:
    create_project(account)
    shown = run(account, sourceVersion="refs/heads/master")
    assert (shown["buildBatchStatus"], shown["currentPhase"]) == ("SUCCEEDED", "SUCCEEDED")
    assert phases(shown) == SUCCEEDED
    assert statuses(shown) == dict.fromkeys(("build_one", "build_two", "build_three"), "SUCCEEDED")
    assert any(
        "example buildspec is used" in line for line in log(account, build_of(account, shown, "DOWNLOAD_SOURCE"))
    )


def test_groups_come_from_buildspec_in_registered_source(account: Account, tmp_path: Path) -> None:
    has_source(account, tmp_path, {"ci/buildspec.yaml": TWO})
    create_project(account)
    shown = run(account, environmentVariablesOverride=[{"name": "CUSTOM_BRANCH", "value": "master"}])
    assert [group["identifier"] for group in shown["buildGroups"]] == ["DOWNLOAD_SOURCE", "first", "second"]
    assert shown["buildGroups"][2]["dependsOn"] == ["first"]
    first, second = (build_of(account, shown, name) for name in ("first", "second"))
    assert second["startTime"] >= first["endTime"]
    assert first["environment"]["computeType"] == "BUILD_GENERAL1_MEDIUM"
    assert first["environment"]["privilegedMode"] is True
    variables = {variable["name"]: variable["value"] for variable in first["environment"]["environmentVariables"]}
    assert variables == {"CUSTOM_BRANCH": "master", "FLAVOR": "one"}
    assert second["environment"]["computeType"] == "BUILD_GENERAL1_SMALL"
    assert first["buildBatchArn"] == shown["arn"]


def test_group_runs_commands_of_its_buildspec(account: Account, tmp_path: Path) -> None:
    own = "version: 0.2\nphases: {pre_build: {commands: [docker login]}, build: {commands: [make]}}\n"
    spec = graph({"identifier": "one", "buildspec": "ci/build_buildspec.yaml"}, {"identifier": "two"})
    has_source(account, tmp_path, {"ci/buildspec.yaml": spec, "ci/build_buildspec.yaml": own})
    create_project(account)
    shown = run(account)
    lines = log(account, build_of(account, shown, "one"))
    assert [line for line in lines if line.startswith("Running")] == [
        "Running command docker login",
        "Running command make",
    ]
    assert "Running command echo built" in log(account, build_of(account, shown, "two"))


def test_buildspec_in_request_overrides_project(account: Account) -> None:
    create_project(account)
    shown = run(account, buildspecOverride=graph({"identifier": "mine"}))
    assert statuses(shown) == {"mine": "SUCCEEDED"}


def test_build_logs_commands_by_phase_in_log_group_of_project(account: Account) -> None:
    create_project(account)
    shown = build_of(account, run(account, buildspecOverride=TWO), "first")
    assert shown["logs"]["groupName"] == "/aws/codebuild/Slc"
    lines = log(account, shown)
    assert lines[lines.index("Entering phase BUILD") :][:4] == [
        "Entering phase BUILD",
        "Running command echo one",
        "Running command ./build $FLAVOR",
        "Phase complete: BUILD State: SUCCEEDED",
    ]
    found = account.client("logs").filter_log_events(logGroupName="/aws/codebuild/Slc", filterPattern='"echo one"')
    assert {event["logStreamName"] for event in found["events"]} >= {shown["logs"]["streamName"]}


def test_configured_log_group_and_stream_are_used(account: Account) -> None:
    create_project(
        account,
        logsConfig={"cloudWatchLogs": {"status": "ENABLED", "groupName": "/some/group", "streamName": "prefix"}},
    )
    shown = build_of(account, run(account, buildspecOverride=TWO), "first")
    assert shown["logs"]["groupName"] == "/some/group"
    assert shown["logs"]["streamName"] == f"prefix/{shown['id'].partition(':')[2]}"
    assert "Entering phase BUILD" in log(account, shown)


def test_project_without_cloudwatch_logs_writes_no_logs(account: Account) -> None:
    create_project(account, logsConfig={"cloudWatchLogs": {"status": "DISABLED"}})
    shown = build_of(account, run(account, buildspecOverride=TWO), "first")
    assert (shown["buildStatus"], "groupName" in shown["logs"]) == ("SUCCEEDED", False)
    assert account.client("logs").describe_log_groups()["logGroups"] == []


def test_branch_fails_named_build_with_codes_of_aws(account: Account) -> None:
    create_project(account)
    shown = run(account, sourceVersion="refs/heads/sandbox-fail/build_two")
    assert (shown["buildBatchStatus"], shown["currentPhase"]) == ("FAILED", "FAILED")
    assert phases(shown) == [*SUCCEEDED[:2], ("IN_PROGRESS", "FAILED"), ("FAILED", "")]
    assert statuses(shown) == {"build_one": "SUCCEEDED", "build_two": "FAILED", "build_three": "SUCCEEDED"}
    failed = build_of(account, shown, "build_two")
    message = 'Error while executing command: echo "test $FLAVOR". Reason: exit status 1'
    assert context(failed) == ("COMMAND_EXECUTION_ERROR", message)
    assert phases(failed)[-5:] == [
        ("BUILD", "FAILED"),
        ("POST_BUILD", "SUCCEEDED"),
        ("UPLOAD_ARTIFACTS", "SUCCEEDED"),
        ("FINALIZING", "SUCCEEDED"),
        ("COMPLETED", ""),
    ]
    lines = log(account, failed)
    end = lines.index("Phase complete: BUILD State: FAILED")
    assert lines[end - 3 : end + 2] == [
        'Running command echo "test $FLAVOR"',
        "sandbox: this command fails because of the branch refs/heads/sandbox-fail/build_two",
        'Command did not exit successfully echo "test $FLAVOR" exit status 1',
        "Phase complete: BUILD State: FAILED",
        f"Phase context status code: COMMAND_EXECUTION_ERROR Message: {message}",
    ]


@pytest.mark.parametrize("phase", ["INSTALL", "PRE_BUILD", "DOWNLOAD_SOURCE"])
def test_failure_before_build_phase_ends_build(phase: str, account: Account) -> None:
    create_project(account)
    failed = build_of(account, run(account, sourceVersion=f"sandbox-fail/build_one/{phase}"), "build_one")
    assert phases(failed)[-3:] == [(phase, "FAILED"), ("FINALIZING", "SUCCEEDED"), ("COMPLETED", "")]


def test_setting_fails_build(account: Account) -> None:
    account.server.failures[account.number] = "build_three:POST_BUILD"
    create_project(account)
    shown = run(account)
    assert statuses(shown) == {"build_one": "SUCCEEDED", "build_two": "SUCCEEDED", "build_three": "FAILED"}
    assert ("POST_BUILD", "FAILED") in phases(build_of(account, shown, "build_three"))


def test_branch_without_identifier_fails_all_builds_of_batch(account: Account) -> None:
    create_project(account)
    shown = run(account, sourceVersion="sandbox-fail")
    assert set(statuses(shown).values()) == {"FAILED"}
    assert phases(shown)[1] == ("DOWNLOAD_BATCHSPEC", "SUCCEEDED")


def test_branch_with_unknown_build_fails_batch(account: Account) -> None:
    create_project(account)
    shown = run(account, sourceVersion="sandbox-fail/build_twwo")
    (context,) = next(each for each in shown["phases"] if each["phaseType"] == "DOWNLOAD_BATCHSPEC")["contexts"]
    assert shown["buildBatchStatus"] == "FAILED"
    assert context["message"] == (
        "the branch sandbox-fail/build_twwo requests the failure of build_twwo, but this batch has the builds "
        "build_one, build_three, build_two"
    )


def test_setting_with_unknown_build_is_only_logged(account: Account) -> None:
    account.server.failures[account.number] = "build_twwo:INSTALL"
    create_project(account)
    shown = run(account)
    assert shown["buildBatchStatus"] == "SUCCEEDED"
    lines = log(account, build_of(account, shown, "DOWNLOAD_SOURCE"))
    assert any("the setting build_twwo:INSTALL requests the failure of build_twwo" in line for line in lines)


def test_failure_stops_only_dependent_builds(account: Account) -> None:
    create_project(account)
    spec = graph(
        {"identifier": "last", "depend-on": ["middle"]},
        {"identifier": "middle", "depend-on": ["bad"]},
        {"identifier": "bad"},
        {"identifier": "other"},
    )
    shown = run(account, buildspecOverride=spec, sourceVersion="sandbox-fail/bad")
    assert statuses(shown) == {"last": "STOPPED", "middle": "STOPPED", "bad": "FAILED", "other": "SUCCEEDED"}
    assert shown["buildBatchStatus"] == "FAILED"


def test_ignored_failure_fails_neither_batch_nor_dependents(account: Account) -> None:
    create_project(account)
    spec = graph({"identifier": "bad", "ignore-failure": True}, {"identifier": "next", "depend-on": ["bad"]})
    shown = run(account, buildspecOverride=spec, sourceVersion="sandbox-fail/bad")
    assert (shown["buildBatchStatus"], statuses(shown)) == ("SUCCEEDED", {"bad": "FAILED", "next": "SUCCEEDED"})


def test_fast_fail_stops_other_builds(account: Account) -> None:
    create_project(account)
    account.server.build_seconds[account.number] = 1
    tasks: list[dict[str, Any]] = [
        {"identifier": "bad"},
        {"identifier": "other"},
        {"identifier": "later", "depend-on": ["other"]},
    ]
    shown = run(
        account, buildspecOverride=graph(*tasks, **{"fast-fail": True}), sourceVersion="sandbox-fail/bad/INSTALL"
    )
    assert statuses(shown) == {"bad": "FAILED", "other": "STOPPED", "later": "STOPPED"}


def test_missing_buildspec_fails_batch_before_any_build(account: Account, tmp_path: Path) -> None:
    has_source(account, tmp_path, {"other.yaml": ""})
    create_project(account)
    shown = run(account)
    assert phases(shown) == [SUCCEEDED[0], ("DOWNLOAD_BATCHSPEC", "FAILED"), ("FAILED", "")]
    code, message = context(shown)
    assert code == "YAML_FILE_ERROR"
    assert message.endswith("/src/github.com/exasol/some-repository/ci/buildspec.yaml: no such file or directory")


def test_missing_buildspec_of_group_fails_its_build(account: Account, tmp_path: Path) -> None:
    has_source(account, tmp_path, {"ci/buildspec.yaml": graph({"identifier": "one", "buildspec": "gone.yaml"})})
    create_project(account)
    shown = run(account)
    assert statuses(shown) == {"one": "FAILED"}
    code, message = context(build_of(account, shown, "one"))
    assert (code, message.rpartition("/")[2]) == ("YAML_FILE_ERROR", "gone.yaml: no such file or directory")


@pytest.mark.parametrize(
    ("restrictions", "message"),
    [
        ({"maximumBuildsAllowed": 1}, "The batch has 2 builds, which is more than the maximum of 1 builds allowed"),
        (
            {"computeTypesAllowed": ["BUILD_GENERAL1_SMALL"]},
            "The compute type BUILD_GENERAL1_MEDIUM of build first is not allowed: BUILD_GENERAL1_SMALL are",
        ),
    ],
)
def test_batch_beyond_restrictions_fails(restrictions: dict[str, Any], message: str, account: Account) -> None:
    create_project(account, buildBatchConfig={"serviceRole": "arn:aws:iam::1:role/r", "restrictions": restrictions})
    shown = run(account, buildspecOverride=TWO)
    assert phases(shown)[1] == ("DOWNLOAD_BATCHSPEC", "FAILED")
    assert context(shown) == ("CLIENT_ERROR", message)


def test_current_phase_of_running_batch_has_no_status(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    create_project(account)
    batch_id = start(account, buildspecOverride=TWO)
    assert phases(batch(account, batch_id))[-1] == ("DOWNLOAD_BATCHSPEC", "")
    account.server.build_seconds[account.number] = 0.05
    account.client("codebuild").stop_build_batch(id=batch_id)
    account.server.build_seconds[account.number] = 2
    running = start(account, buildspecOverride=TWO)
    shown = until(lambda: batch(account, running), is_busy)
    assert statuses(shown) == {"first": "IN_PROGRESS", "second": "PENDING"}
    assert phases(shown)[-1] == ("IN_PROGRESS", "")
    second = shown["buildGroups"][2]["currentBuildSummary"]["arn"]
    answer = account.client("codebuild").batch_get_builds(ids=[second])
    assert (answer["builds"], answer["buildsNotFound"]) == ([], [second])
    account.client("codebuild").stop_build_batch(id=running)


def test_stopped_batch_stops_its_builds(account: Account) -> None:
    account.server.build_seconds[account.number] = 3
    create_project(account)
    batch_id = start(account, buildspecOverride=TWO)
    until(lambda: batch(account, batch_id), is_busy)
    stopped = account.client("codebuild").stop_build_batch(id=batch_id)["buildBatch"]
    assert (stopped["buildBatchStatus"], stopped["complete"]) == ("STOPPED", True)
    assert phases(stopped)[-2:] == [("IN_PROGRESS", "STOPPED"), ("STOPPED", "")]
    assert statuses(stopped) == {"first": "STOPPED", "second": "STOPPED"}
    first = build_of(account, stopped, "first")
    assert phases(first)[-2][1] == "STOPPED"
    assert phases(first)[-1] == ("COMPLETED", "")
    again = account.client("codebuild").stop_build_batch(id=batch_id)["buildBatch"]
    assert (batch(account, batch_id), again) == (stopped, stopped)
    assert build(account, first["id"]) == first


def test_stop_of_batchspec_build_fails_batch(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    create_project(account)
    batch_id = start(account)
    shown = until(lambda: batch(account, batch_id), lambda found: bool(found["buildGroups"]))
    (reading,) = shown["buildGroups"]
    reader = reading["currentBuildSummary"]["arn"].rpartition("/")[2]
    until(lambda: build(account, reader), lambda found: found["currentPhase"] == "DOWNLOAD_SOURCE")
    account.client("codebuild").stop_build(id=reader)
    shown = ended(account, batch_id)
    assert (shown["buildBatchStatus"], phases(shown)[1]) == ("FAILED", ("DOWNLOAD_BATCHSPEC", "FAILED"))
    assert shown["phases"][1]["contexts"][0]["message"] == "The build DOWNLOAD_SOURCE is STOPPED"


def test_retry_repeats_only_failed_builds_of_same_batch(account: Account) -> None:
    create_project(account)
    failed = run(account, sourceVersion="refs/heads/sandbox-fail-once/build_two")
    assert statuses(failed)["build_two"] == "FAILED"
    retried = account.client("codebuild").retry_build_batch(id=failed["id"], retryType="RETRY_FAILED_BUILDS")
    assert (retried["buildBatch"]["id"], retried["buildBatch"]["buildBatchStatus"]) == (failed["id"], "IN_PROGRESS")
    shown = ended(account, failed["id"])
    assert (shown["buildBatchStatus"], set(statuses(shown).values())) == ("SUCCEEDED", {"SUCCEEDED"})
    assert [kind for kind, _ in phases(shown)].count("DOWNLOAD_BATCHSPEC") == 1
    before = {group["identifier"]: group["currentBuildSummary"] for group in failed["buildGroups"]}
    after = {group["identifier"]: group for group in shown["buildGroups"]}
    assert after["build_one"]["currentBuildSummary"] == before["build_one"]
    assert after["build_two"]["currentBuildSummary"]["arn"] != before["build_two"]["arn"]
    assert after["build_two"]["priorBuildSummaryList"] == [before["build_two"]]


def test_retry_of_all_builds_repeats_all(account: Account) -> None:
    create_project(account)
    failed = run(account, sourceVersion="sandbox-fail-once/build_two")
    account.client("codebuild").retry_build_batch(id=failed["id"], retryType="RETRY_ALL_BUILDS")
    shown = ended(account, failed["id"])
    assert shown["buildBatchStatus"] == "SUCCEEDED"
    for old, new in zip(failed["buildGroups"], shown["buildGroups"], strict=True):
        assert new["priorBuildSummaryList"] == [old["currentBuildSummary"]]


def test_only_failed_batch_can_be_retried(account: Account) -> None:
    create_project(account)
    shown = run(account)
    assert refusal(account, "retry_build_batch", id=shown["id"]).startswith("InvalidInputException: ")


def test_batches_are_listed_by_project_and_status_in_pages(account: Account) -> None:
    create_project(account)
    create_project(account, name="Other")
    good, bad = run(account)["id"], run(account, sourceVersion="sandbox-fail")["id"]
    other = run(account, projectName="Other")["id"]
    codebuild = account.client("codebuild")
    assert codebuild.list_build_batches()["ids"] == [other, bad, good]
    assert codebuild.list_build_batches(sortOrder="ASCENDING")["ids"] == [good, bad, other]
    assert codebuild.list_build_batches_for_project(projectName="Slc")["ids"] == [bad, good]
    assert codebuild.list_build_batches(filter={"status": "FAILED"})["ids"] == [bad]
    pages = list(codebuild.get_paginator("list_build_batches").paginate(PaginationConfig={"PageSize": 2}))
    assert [page["ids"] for page in pages] == [[other, bad], [good]]


def test_deleted_batch_deletes_its_builds(account: Account) -> None:
    create_project(account)
    shown = run(account, buildspecOverride=graph({"identifier": "one"}))
    codebuild = account.client("codebuild")
    deleted = codebuild.delete_build_batch(id=shown["id"])
    assert (len(deleted["buildsDeleted"]), deleted["buildsNotDeleted"]) == (2, [])
    assert codebuild.list_builds()["ids"] == codebuild.list_build_batches()["ids"] == []
    assert codebuild.batch_get_build_batches(ids=[shown["id"]])["buildBatchesNotFound"] == [shown["id"]]


def test_repeated_token_starts_one_batch(account: Account) -> None:
    create_project(account)
    first = start(account, idempotencyToken="token")
    assert start(account, idempotencyToken="token") == first
    answer = refusal(account, "start_build_batch", projectName="Slc", idempotencyToken="token", sourceVersion="main")
    assert answer.startswith("InvalidInputException: Parameter mismatch")
    ended(account, first)


def test_unknown_names_are_rejected(account: Account) -> None:
    assert refusal(account, "start_build_batch", projectName="Slc").startswith("ResourceNotFoundException: ")
    assert refusal(account, "list_build_batches_for_project", projectName="Slc").startswith("ResourceNotFound")
    for operation in ("stop_build_batch", "retry_build_batch"):
        assert refusal(account, operation, id="Slc:none").startswith("ResourceNotFoundException: ")


def test_project_without_batch_role_starts_no_batch(account: Account) -> None:
    create_project(account, buildBatchConfig={})
    assert refusal(account, "start_build_batch", projectName="Slc").startswith("InvalidInputException: ")


def test_batch_times_out(account: Account) -> None:
    account.server.build_seconds[account.number] = 60
    create_project(account)
    # A timeout of zero ends the batch immediately.
    shown = run(account, buildBatchConfigOverride={"timeoutInMins": -1})
    assert (shown["buildBatchStatus"], shown["currentPhase"]) == ("TIMED_OUT", "FAILED")
    assert phases(shown)[-2][1] == "TIMED_OUT"


def test_secret_is_shown_only_as_reference(account: Account) -> None:
    value = "s3cret-value-of-the-token"
    account.client("secretsmanager").create_secret(Name="release/token", SecretString=value)
    variables = [{"name": "GITHUB_TOKEN", "value": "release/token", "type": "SECRETS_MANAGER"}]
    create_project(account)
    spec = TWO.replace("phases:", "env: {secrets-manager: {TOKEN: 'release/token'}}\nphases:")
    shown = run(account, buildspecOverride=spec, environmentVariablesOverride=variables)
    first = build_of(account, shown, "first")
    assert [
        entry for entry in first["environment"]["environmentVariables"] if entry["name"] == "GITHUB_TOKEN"
    ] == variables
    events = account.client("logs").filter_log_events(logGroupName="/aws/codebuild/Slc")["events"]
    assert events
    assert value not in json.dumps([shown, first, events], default=str)


def test_responses_about_batches_match_api(account: Account) -> None:
    create_project(account, artifacts={"type": "S3", "location": "some-bucket", "name": "/", "packaging": "NONE"})
    started = raw(account, "StartBuildBatch", projectName="Slc", sourceVersion="sandbox-fail-once/build_two")
    batch_id = started["buildBatch"]["id"]
    raw(account, "BatchGetBuildBatches", ids=[batch_id, "Slc:none"])
    ended(account, batch_id)
    raw(account, "BatchGetBuildBatches", ids=[started["buildBatch"]["arn"]])
    raw(account, "RetryBuildBatch", id=batch_id, retryType="RETRY_FAILED_BUILDS")
    raw(account, "StopBuildBatch", id=batch_id)
    shown = raw(account, "BatchGetBuildBatches", ids=[batch_id])["buildBatches"][0]
    groups = [group["currentBuildSummary"]["arn"] for group in shown["buildGroups"]]
    raw(account, "BatchGetBuilds", ids=groups)
    raw(account, "ListBuildBatches")
    raw(account, "ListBuildBatchesForProject", projectName="Slc")
    raw(account, "DeleteBuildBatch", id=batch_id)


@pytest.mark.parametrize("path", ["../outside.yaml", "link.yaml", "."])
def test_file_outside_of_registered_directory_is_not_read(path: str, account: Account, tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(TWO, encoding="utf-8")
    has_source(account, tmp_path / "inside", {"other.yaml": ""})
    (tmp_path / "inside" / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    create_project(account)
    code, message = context(run(account, buildspecOverride=path))
    assert (code, message.endswith(f"/{path}: no such file or directory")) == ("YAML_FILE_ERROR", True)


@pytest.mark.parametrize("kind", ["ci", "release"])
def test_generated_buildspecs_are_built(kind: Literal["ci", "release"], account: Account, tmp_path: Path) -> None:
    output = f"aws-code-build/{kind}"
    files = render(
        ["standard-EXASOL-all-python-3.10", "template-Exasol-all-java-17"], Options(kind=kind, output_path=output)
    )
    has_source(account, tmp_path, {f"{output}/{name}": text for name, text in files.items()})
    location = {"type": "GITHUB", "location": URL, "buildspec": f"{output}/buildspec.yaml"}
    create_project(account, source=location)
    shown = run(account)
    names = ("build_standard_EXASOL_all_python_310", "build_template_Exasol_all_java_17")
    assert statuses(shown) == dict.fromkeys(names, "SUCCEEDED")
    environment = build_of(account, shown, names[0])["environment"]
    assert environment["environmentVariables"] == [
        {"name": "FLAVOR", "value": "standard-EXASOL-all-python-3.10", "type": "PLAINTEXT"}
    ]
    assert (environment["computeType"], environment["privilegedMode"]) == ("BUILD_GENERAL1_MEDIUM", True)
