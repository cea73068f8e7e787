"""Root cause of a failed batch: the build, the message, and the end of its log."""

from __future__ import annotations

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.builds.explain import explain
from exasol_ci_setup.builds.read import Reader
from exasol_ci_setup.core.errors.details import Failure
from tests.builds.cloud import BEGIN, ID, Cloud, Job


def explained(answers, clock, *jobs, status="FAILED", **batch):
    Cloud(answers, clock, *jobs, status=status, **batch)
    clock.sleep(100)
    return explain(Context(answers.account, clock), Reader(answers.account.client("codebuild"), ID).read())


def test_log_excerpt_ends_at_failed_phase(answers, clock):
    lines = [f"building {number}" for number in range(30)]
    failed = ["[Container] Phase complete: BUILD State: FAILED", "[Container] Phase context status code: X Message: no"]
    after = [f"[Container] cleaning {number}" for number in range(50)]

    (failure,) = explained(answers, clock, Job("one", status="FAILED", lines=[*lines, *failed, *after]))

    assert failure.log == tuple([*lines, *failed][-20:])


def test_log_without_failure_line_is_shown_to_its_end(answers, clock):
    (failure,) = explained(answers, clock, Job("one", status="TIMED_OUT", lines=[str(number) for number in range(50)]))

    assert failure.log[-1] == "49"
    assert len(failure.log) == 20


def test_multiline_command_is_shown_on_one_line():
    failure = Failure(
        "one",
        "p:1",
        "FAILED",
        "BUILD",
        "Error while executing command: make \\\n  --all \\\n  x. Reason: exit status 2",
    )

    assert (
        str(failure) == "one failed in phase BUILD: Error while executing command: make --all x. Reason: exit status 2"
    )


def test_long_message_keeps_beginning_and_end():
    expected = str(Failure("one", "p:1", "FAILED", "BUILD", f"begins {'x' * 1000} ends"))

    assert "begins" in expected
    assert expected.endswith("ends")
    assert len(expected) < 400


def test_retried_batch_explains_last_attempt(answers, clock):
    def phase(name, status, message):
        return {"phaseType": name, "phaseStatus": status, "startTime": BEGIN, "contexts": [{"message": message}]}

    phases = [
        phase("SUBMITTED", "SUCCEEDED", ""),
        phase("DOWNLOAD_BATCHSPEC", "FAILED", "the first time"),
        phase("SUBMITTED", "SUCCEEDED", ""),
        phase("DOWNLOAD_BATCHSPEC", "FAILED", "the second time"),
    ]

    (failure,) = explained(answers, clock, phases=phases)

    assert (failure.phase, failure.message) == ("DOWNLOAD_BATCHSPEC", "the second time")


@pytest.mark.parametrize(
    ("status", "words"),
    [("CLIENT_ERROR", "failed because of invalid settings"), ("NEW_STATUS", "ended in NEW_STATUS")],
)
def test_every_status_has_description(status, words):
    assert words in str(Failure("", "", status))


def test_log_without_failure_line_is_polled(answers, clock):
    failed = "[Container] Phase complete: BUILD State: FAILED"
    job = Job("one", ends=60, status="FAILED", lines=["x", failed], late=7)
    Cloud(answers, clock, job, status="FAILED", ends=62)
    clock.sleep(62)

    (failure,) = explain(Context(answers.account, clock), Reader(answers.account.client("codebuild"), ID).read())

    assert failure.log == ("x", failed)
    assert clock.elapsed < 75


def test_log_of_build_that_ended_long_ago_is_not_polled(answers, clock):
    explained(answers, clock, Job("one", status="FAILED", lines=["compiled"]))

    assert clock.sleeps == [100]


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("TIMED_OUT", "Build batch timed out", ["", "one"]),
        ("TIMED_OUT", "", ["", "one"]),
        ("FAILED", "CLIENT_ERROR: no more builds", ["", "one"]),
        ("STOPPED", "", ["one"]),
    ],
)
def test_cause_of_batch_precedes_stopped_builds(answers, clock, status, message, expected):
    phases = [
        {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED"},
        {"phaseType": "IN_PROGRESS", "phaseStatus": status, "contexts": [{"message": message}]},
    ]

    found = explained(answers, clock, Job("one", status="STOPPED", lines=["end"]), status=status, phases=phases)

    assert [failure.group for failure in found] == expected
    assert found[0].message == message
    assert found[-1].log == ("end",)


def test_failed_build_is_root_cause(answers, clock):
    phases = [{"phaseType": "IN_PROGRESS", "phaseStatus": "FAILED", "contexts": [{"message": "a build failed"}]}]

    found = explained(answers, clock, Job("one", status="FAILED"), Job("two", status="STOPPED"), phases=phases)

    assert [failure.group for failure in found] == ["one", "two"]
