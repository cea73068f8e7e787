"""Pages of log lines of builds, answered inside botocore."""

from __future__ import annotations

import pytest

from exasol_ci_setup.builds.logs import Tails, last_lines
from exasol_ci_setup.builds.model import Build
from tests.answers import AwsError


@pytest.fixture
def logs(answers):
    return answers.account.client("logs")


def build(status="IN_PROGRESS", stream="s"):
    return Build("one", "P:u", status, log_group="/g", log_stream=stream)


def page(*messages, **tokens):
    return {"events": [{"timestamp": 0, "message": message} for message in messages], **tokens}


def test_pages_are_read_until_token_is_unchanged(answers, clock, logs):
    pages = [
        page("a\n", "b\n", nextForwardToken="1"),
        page(nextForwardToken="2"),
        page("c\n", nextForwardToken="3"),
        page(nextForwardToken="3"),
    ]
    answers.on("logs", "GetLogEvents", pages)

    assert [line.message for line in Tails(logs, clock).fresh([build()])] == ["a", "b", "c"]
    assert answers.of("GetLogEvents")[0]["startFromHead"] is True
    assert [params.get("nextToken") for params in answers.of("GetLogEvents")] == [None, "1", "2", "3"]


def test_next_read_continues_after_last_line(answers, clock, logs):
    answers.on(
        "logs",
        "GetLogEvents",
        [page("a", nextForwardToken="1"), page(nextForwardToken="1"), page("b", nextForwardToken="1")],
    )
    tails = Tails(logs, clock)

    assert [line.message for line in tails.fresh([build()])] == ["a"]
    assert [line.message for line in tails.fresh([build()])] == ["b"]


def test_log_of_ended_build_is_read_for_ten_more_seconds(answers, clock, logs):
    late = [page("late", nextForwardToken="2"), page(nextForwardToken="2")]
    pages = [page("a", nextForwardToken="1"), page(nextForwardToken="1"), *late, page(nextForwardToken="2")]
    answers.on("logs", "GetLogEvents", pages)
    tails = Tails(logs, clock)

    seen = []
    for _ in range(4):
        seen.append([line.message for line in tails.fresh([build("SUCCEEDED")])])
        clock.sleep(6)

    assert seen == [["a"], ["late"], [], []]
    assert tails.is_complete([build("SUCCEEDED")])
    assert len(answers.of("GetLogEvents")) == len(pages)


def test_log_is_not_read_after_last_phase(answers, clock, logs):
    last = "[Container] Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED"
    answers.on("logs", "GetLogEvents", [page(last, nextForwardToken="1"), page(nextForwardToken="1")])
    tails = Tails(logs, clock)

    assert [line.message for line in tails.fresh([build("SUCCEEDED")])] == [last]
    assert tails.is_complete([build("SUCCEEDED")])
    assert list(tails.fresh([build("SUCCEEDED")])) == []


def test_build_without_log_stream_is_not_requested(answers, clock, logs):
    assert list(Tails(logs, clock).fresh([build(stream="")])) == []
    assert last_lines(logs, build(stream=""), 20) == ()
    assert answers.calls == []


def test_missing_log_stream_has_no_lines(answers, clock, logs):
    answers.on("logs", "GetLogEvents", AwsError("ResourceNotFoundException", "no such stream"))

    assert list(Tails(logs, clock).fresh([build()])) == []
    assert last_lines(logs, build(), 20) == ()


def test_multiline_message_is_split_into_lines(answers, clock, logs):
    answers.on("logs", "GetLogEvents", [page("a\r\nb\n\nc\n", nextForwardToken="1"), page(nextForwardToken="1")])

    assert [line.message for line in Tails(logs, clock).fresh([build()])] == ["a", "b", "", "c"]


def test_last_lines_are_found_behind_empty_pages(answers, logs):
    pages = [
        page(nextBackwardToken="1"),
        page("c", "d", nextBackwardToken="2"),
        page("a", "b", nextBackwardToken="3"),
    ]
    answers.on("logs", "GetLogEvents", pages)

    assert last_lines(logs, build(), 3) == ("b", "c", "d")
