"""Monitoring of batches with failures of CodeBuild, answered inside botocore in virtual time."""

from __future__ import annotations

import itertools

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.builds import explain
from exasol_ci_setup.builds import follow as monitoring
from exasol_ci_setup.builds.logs import LogLine
from exasol_ci_setup.builds.model import Batch, batch_of
from exasol_ci_setup.builds.read import Reader
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    BuildFailedError,
    CredentialsInvalidError,
    InputError,
    OperationInterruptedError,
    TimedOutError,
)
from tests.answers import AwsError, DroppedConnectionError
from tests.builds.cloud import ID, Cloud, Job
from tests.reporters import RecordingReporter


class BuildRecorder(RecordingReporter):
    """Records the batches, and the log lines with their group."""

    @property
    def batches(self):
        return [event for event in self.events if isinstance(event, Batch)]

    @property
    def lines(self):
        return [f"{event.group}: {event.message}" for event in self.events if isinstance(event, LogLine)]


@pytest.fixture
def shown():
    return BuildRecorder()


@pytest.fixture
def context(answers, clock, shown):
    return Context(answers.account, clock, shown)


@pytest.fixture
def follow(context):
    """Follow the batch to its end; with `log` its log lines too."""

    def run(timeout=None, *, log=False, since=None):
        return monitoring.follow(context, ID, timeout=timeout, with_log=log, since=since)

    return run


def test_batch_is_followed_until_it_ends(answers, clock, shown, follow):
    Cloud(answers, clock, Job("one", ends=30), Job("two", begins=32, ends=60))

    batch = follow()

    assert batch.status == "SUCCEEDED"
    seen = [[build.status for build in each.builds] for each in shown.batches]
    assert seen[:2] == [["PENDING", "PENDING"], ["IN_PROGRESS", "PENDING"]]
    assert ["SUCCEEDED", "IN_PROGRESS"] in seen
    assert seen[-1] == ["SUCCEEDED", "SUCCEEDED"]
    assert [phase.name for phase in batch.builds[0].phases] == ["INSTALL", "BUILD"]


def test_poll_interval_grows_to_fifteen_seconds(answers, clock, follow):
    Cloud(answers, clock, Job("one", begins=1, ends=3000), ends=3000)

    follow()

    assert clock.sleeps[0] < 0.1
    assert sum(clock.sleeps[:6]) < 2
    assert clock.sleeps[6] == 2
    assert max(clock.sleeps) == 15
    assert clock.sleeps[-1] == 15


def test_changed_status_resets_poll_interval(answers, clock, follow):
    Cloud(answers, clock, Job("one", ends=500), Job("two", ends=1000), ends=1000)

    follow()

    assert clock.sleeps.count(2.0) >= 2


def test_ended_build_is_not_requested_again(answers, clock, follow):
    Cloud(answers, clock, Job("one", begins=1, ends=5), Job("two", begins=1, ends=300), ends=300)

    follow()

    late = [params["ids"] for params in answers.of("BatchGetBuilds")][-1]
    assert late == ["SlcCodeBuild:two"]


def test_many_builds_are_requested_in_several_calls(answers, clock, follow):
    Cloud(answers, clock, *(Job(f"build_{number}", begins=0, ends=1) for number in range(230)), ends=1)

    batch = follow()

    assert len(batch.builds) == 230
    assert all(build.phases for build in batch.builds)
    assert max(len(params["ids"]) for params in answers.of("BatchGetBuilds")) == 100


def test_throttled_calls_do_not_stop_following(answers, clock, follow):
    Cloud(answers, clock, Job("one", ends=100), ends=100)
    calls = iter(range(10_000))
    answers.disturb = lambda _call: AwsError("ThrottlingException", "Rate exceeded") if next(calls) % 3 else None

    assert follow().status == "SUCCEEDED"


def test_endpoint_unreachable_for_one_hour_does_not_stop_following(answers, clock, shown, follow):
    Cloud(answers, clock, Job("one", ends=7200), ends=7200)
    answers.disturb = lambda _call: DroppedConnectionError() if 100 < clock.elapsed < 3700 else None

    assert follow().status == "SUCCEEDED"
    assert "retrying" in shown.notes[0]


def test_expired_credentials_stop_following_with_hint_on_running_batch(answers, clock, follow):
    Cloud(answers, clock, Job("one"), ends=None)
    answers.disturb = lambda _call: AwsError("ExpiredTokenException", "expired") if clock.elapsed > 20 else None

    with pytest.raises(CredentialsInvalidError) as caught:
        follow()

    assert f"batch {ID} continues on AWS, last seen in IN_PROGRESS" in caught.value.hint
    assert f"exasol-ci-setup stop {ID}" in caught.value.hint


def test_timeout_hint_names_command_that_stops_batch(answers, clock, follow):
    Cloud(answers, clock, Job("one", ends=1000), ends=1000)

    with pytest.raises(TimedOutError) as caught:
        follow(timeout=60)

    assert clock.elapsed == 60
    assert caught.value.exit_code == 7
    assert "still running" in caught.value.message
    assert f"exasol-ci-setup stop {ID}" in caught.value.hint


def test_batch_that_ends_at_deadline_is_reported(answers, clock, follow):
    Cloud(answers, clock, Job("one", ends=59), ends=60)

    assert follow(timeout=60).status == "SUCCEEDED"


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_zero_timeout_requests_status_once(answers, clock, follow, timeout):
    Cloud(answers, clock, Job("one", begins=0, ends=0), ends=0)

    assert follow(timeout=timeout).status == "SUCCEEDED"


def test_poll_slower_than_timeout_is_repeated_once(answers, clock, follow):
    cloud = Cloud(answers, clock, Job("one", begins=0, ends=100), ends=100)

    def slow(params):
        answer = cloud.batches(params)
        clock.sleep(200)
        return answer

    answers.on("codebuild", "BatchGetBuildBatches", slow)

    assert follow(timeout=60).status == "SUCCEEDED"


def test_ctrl_c_names_command_that_stops_batch(answers, clock, follow):
    Cloud(answers, clock, Job("one"), ends=None)

    def press():
        raise KeyboardInterrupt

    clock.at(33, press)

    with pytest.raises(OperationInterruptedError) as caught:
        follow()

    assert caught.value.exit_code == 130
    assert f"stopped following batch {ID}" in caught.value.message
    assert f"stop it with `exasol-ci-setup stop {ID}`" in caught.value.hint


def test_log_lines_are_printed_once_in_order(answers, clock, shown, follow):
    lines = [f"line {number}" for number in range(7)]
    Cloud(answers, clock, Job("one", ends=100, lines=lines), Job("silent", ends=100), ends=100)

    follow(log=True)

    assert shown.lines == [f"one: {line}" for line in lines]


def test_throttled_log_calls_neither_lose_nor_repeat_lines(answers, clock, shown, follow):
    lines = [f"line {number}" for number in range(9)]
    Cloud(answers, clock, Job("one", ends=100, lines=lines), ends=100)
    calls = iter(range(10_000))
    answers.disturb = lambda call: (
        AwsError("ThrottlingException", "Rate exceeded") if call.service == "logs" and next(calls) % 12 else None
    )

    follow(log=True)

    assert shown.lines == [f"one: {line}" for line in lines]


def test_missing_log_permission_still_shows_builds(answers, clock, shown, follow):
    Cloud(answers, clock, Job("one", lines=["secret"]))
    answers.on("logs", "GetLogEvents", AwsError("AccessDeniedException", "not authorized"))

    assert follow(log=True).status == "SUCCEEDED"
    assert [note for note in shown.notes if "logs cannot be shown" in note] == shown.notes
    assert len(answers.of("GetLogEvents")) == 1


def test_failed_batch_names_first_failed_build_phase_and_last_lines(answers, clock, context, follow):
    lines = [f"line {number}" for number in range(50)]
    reason = "Error while executing command: make. Reason: exit status 2"
    Cloud(
        answers,
        clock,
        Job("good", ends=10),
        Job("stopped", ends=31, status="STOPPED"),
        Job("later", ends=40, status="FAILED"),
        Job("first", ends=30, status="FAILED", message=reason, lines=lines),
        status="FAILED",
    )

    batch = follow()
    with pytest.raises(BuildFailedError) as caught:
        explain.require_success(context, batch)

    error = caught.value
    assert error.exit_code == 6
    assert error.message == (
        f"batch {ID} ended in FAILED: first failed in phase BUILD: COMMAND_EXECUTION_ERROR: {reason} (and 2 more: later, stopped)"
    )
    assert error.failures[0].log == tuple(lines[-20:])
    assert error.failures[1].log == ()
    assert f"logs {ID} --group first" in error.hint
    assert (
        "https://eu-central-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/SlcCodeBuild/batch/"
        in error.hint
    )
    assert "https://log" in error.hint


@pytest.mark.parametrize(
    ("status", "words"),
    [("FAULT", "failed because of a fault of AWS"), ("TIMED_OUT", "timed out"), ("STOPPED", "was stopped")],
)
def test_final_status_other_than_success_fails(answers, clock, context, follow, status, words):
    Cloud(answers, clock, Job("one", status=status), status=status)

    with pytest.raises(BuildFailedError, match=words):
        explain.require_success(context, follow())


def test_ignored_failure_does_not_fail_batch(answers, clock, context, follow):
    Cloud(answers, clock, Job("one", status="FAILED", ignore_failure=True), Job("two"))

    batch = follow()
    explain.require_success(context, batch)

    assert explain.failed_builds(batch) == []


def test_ignored_failure_is_not_root_cause(answers, clock, context, follow):
    Cloud(
        answers,
        clock,
        Job("ignored", ends=10, status="FAILED", ignore_failure=True),
        Job("cause", ends=20, status="FAILED"),
        status="FAILED",
    )

    with pytest.raises(BuildFailedError) as caught:
        explain.require_success(context, follow())

    assert [failure.group for failure in caught.value.failures] == ["cause"]


def test_batch_that_fails_before_any_build_reports_reason(answers, clock, context, follow):
    contexts = [{"statusCode": "YAML_FILE_ERROR", "message": "Unknown key"}]
    Cloud(
        answers,
        clock,
        status="FAILED",
        phases=[
            {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED"},
            {"phaseType": "DOWNLOAD_BATCHSPEC", "phaseStatus": "FAILED", "contexts": contexts},
            {"phaseType": "FAILED", "phaseStatus": "SUCCEEDED"},
        ],
    )

    with pytest.raises(
        BuildFailedError, match="the batch failed in phase DOWNLOAD_BATCHSPEC: YAML_FILE_ERROR: Unknown key"
    ):
        explain.require_success(context, follow())


def test_failure_without_log_permission_is_explained(answers, clock, context, follow):
    Cloud(answers, clock, Job("one", status="FAILED", message="boom", lines=["x"]), status="FAILED")
    answers.on("logs", "GetLogEvents", AwsError("AccessDeniedException", "not authorized"))

    with pytest.raises(BuildFailedError, match="boom") as caught:
        explain.require_success(context, follow())

    assert "could not be read" in caught.value.failures[0].log[0]


def test_missing_permission_stops_following(answers, clock, follow):
    Cloud(answers, clock)
    answers.on("codebuild", "BatchGetBuildBatches", AwsError("AccessDeniedException", "not authorized"))

    with pytest.raises(AccessDeniedError):
        follow()


def test_end_of_previous_attempt_does_not_end_retry(answers, clock, shown, follow):
    old = Cloud(answers, clock, Job("one", begins=0, ends=0, status="FAILED"), status="FAILED", ends=0)
    before = Reader(answers.account.client("codebuild"), ID).read()
    cloud = Cloud(answers, clock, Job("one", begins=30, ends=90), ends=90)
    # One server of AWS lists the retry after 20 s, another one after 50 s.

    def ask_one_of_them(params):
        return (old if clock.elapsed < 20 or 40 < clock.elapsed < 50 else cloud).batches(params)

    answers.on("codebuild", "BatchGetBuildBatches", ask_one_of_them)

    assert follow(since=before).status == "SUCCEEDED"
    assert clock.elapsed >= 90
    assert [batch.status for batch in shown.batches if batch.status == "FAILED"] == []


def test_retry_unchanged_for_one_minute_has_ended(answers, clock, follow):
    Cloud(answers, clock, Job("one", begins=0, ends=0, status="FAILED"), status="FAILED", ends=0)
    before = Reader(answers.account.client("codebuild"), ID).read()

    assert follow(since=before).status == "FAILED"
    assert 60 <= clock.elapsed < 80


def test_batch_not_found_right_after_start_is_polled(answers, clock, follow):
    cloud = Cloud(answers, clock, Job("one"))
    started = batch_of(cloud.batch())
    unknown = {"buildBatches": [], "buildBatchesNotFound": [ID]}
    answers.on(
        "codebuild", "BatchGetBuildBatches", lambda params: unknown if clock.elapsed < 40 else cloud.batches(params)
    )

    assert follow(since=started).status == "SUCCEEDED"


def test_batch_not_found_after_one_minute_fails(answers, clock, follow):
    cloud = Cloud(answers, clock, Job("one"))
    answers.on("codebuild", "BatchGetBuildBatches", {"buildBatches": [], "buildBatchesNotFound": [ID]})

    with pytest.raises(InputError, match="does not exist in"):
        follow(since=batch_of(cloud.batch()))

    assert 60 <= clock.elapsed < 80


def test_missing_batch_of_argument_fails_immediately(answers, clock, follow):
    answers.on("codebuild", "BatchGetBuildBatches", {"buildBatches": [], "buildBatchesNotFound": [ID]})

    with pytest.raises(InputError):
        follow()

    assert clock.elapsed == 0


def test_hanging_calls_delay_neither_timeout_nor_heartbeat(answers, clock, shown, follow):
    Cloud(answers, clock, Job("one", ends=10**6), ends=None)
    config = answers.account.client("codebuild", long_retries=False).meta.config
    ticks = [0.0]
    shown.progress = lambda: ticks.append(clock.elapsed)

    def hang(_call):
        if clock.elapsed < 20:
            return None
        clock.sleep(config.read_timeout)
        return DroppedConnectionError()

    answers.disturb = hang

    with pytest.raises(TimedOutError) as caught:
        follow(timeout=300)

    assert clock.elapsed < 330
    assert max(later - earlier for earlier, later in itertools.pairwise(ticks)) <= 30
    assert caught.value.batch_id == ID


def test_log_lines_after_end_of_build_are_printed(answers, clock, shown, follow):
    Cloud(answers, clock, Job("one", begins=0, ends=3, lines=["early", "late"], late=6), ends=3)

    follow(log=True)

    assert shown.lines == ["one: early", "one: late"]
    assert clock.elapsed < 20


def test_complete_log_is_not_polled(answers, clock, shown, follow):
    last = "[Container] Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED"
    Cloud(answers, clock, Job("one", begins=0, ends=0, lines=[last]), ends=0)

    follow(log=True)

    assert shown.lines == [f"one: {last}"]
    assert clock.elapsed == 0


def test_log_of_batch_that_ended_long_ago_is_not_polled(answers, clock, shown, follow):
    Cloud(answers, clock, Job("one", begins=0, ends=5, status="STOPPED", lines=["x"]), status="STOPPED", ends=5)
    clock.sleep(1000)

    follow(log=True)

    assert shown.lines == ["one: x"]
    assert clock.elapsed == 1000
