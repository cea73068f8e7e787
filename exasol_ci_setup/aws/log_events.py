"""Lines of a log group in CloudWatch, from all its streams: the last ones, those since a time, and new ones."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ignore_aws_errors
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_logs import CloudWatchLogsClient

    from exasol_ci_setup.core.clock import Clock

MOST_LINES: Final = 10_000
"""The maximum of GetLogEvents: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html."""

_STREAMS: Final = 20
# GetLogEvents may return empty pages before the last one; AWS does not document how many.
_PAGES: Final = 5
_POLL_SECONDS: Final = 2.0
# A task sends its lines with a delay, so that older lines may arrive after newer ones of another task.
_LATE: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log; `stream` is its log stream, of one task or build."""

    at: datetime
    message: str
    stream: str


def last(logs: CloudWatchLogsClient, group: str, count: int) -> list[LogLine]:
    """Return the last `count` lines of the streams with the most recent ones, oldest first; an empty list without a group."""
    found: list[LogLine] = []
    with ignore_aws_errors("ResourceNotFoundException"):
        streams = logs.describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True, limit=_STREAMS
        )["logStreams"]
        for stream in streams:
            found += last_of_stream(logs, group, stream["logStreamName"], count)
    return sorted(found, key=_time)[-count:]


def since(logs: CloudWatchLogsClient, group: str, start: datetime) -> Iterator[LogLine]:
    """Yield the lines of all streams since `start`, oldest first; none without a group."""
    milliseconds = int(start.timestamp() * 1000)
    with ignore_aws_errors("ResourceNotFoundException"):
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=milliseconds):
            for event in page["events"]:
                yield from _lines(event, event["logStreamName"])


def read(
    logs: CloudWatchLogsClient, group: str, lines: int, start: datetime | None, clock: Clock | None
) -> Iterator[LogLine]:
    """Return the last `lines` lines of all streams, of those since `start` if it is set; with a `clock` also each new one, without end.

    Raises InputError for a number of lines outside 1 to 10,000.
    """
    if not 1 <= lines <= MOST_LINES:
        raise InputError(f"invalid number of log lines: {lines}", hint=f"use 1 to {MOST_LINES}")
    return _read(logs, group, lines, start, clock)


def _read(
    logs: CloudWatchLogsClient, group: str, lines: int, start: datetime | None, clock: Clock | None
) -> Iterator[LogLine]:
    shown = last(logs, group, lines) if start is None else [*deque(since(logs, group, start), maxlen=lines)]
    yield from shown
    if clock is not None:
        yield from follow(logs, group, shown, clock)


def follow(logs: CloudWatchLogsClient, group: str, shown: list[LogLine], clock: Clock) -> Iterator[LogLine]:
    """Yield new lines of all streams without end, after the lines `shown` before. Lines that arrive late are included."""
    begun = shown[-1].at if shown else datetime.now(timezone.utc) - _LATE
    seen = Counter(shown)
    while True:
        window = max(begun, (max(seen, key=_time).at if seen else begun) - _LATE)
        found = Counter[LogLine]()
        for line in since(logs, group, window):
            found[line] += 1
            if found[line] > seen[line]:
                seen[line] += 1
                yield line
        seen = Counter({line: number for line, number in seen.items() if line.at >= window})
        clock.sleep(_POLL_SECONDS)


def last_of_stream(logs: CloudWatchLogsClient, group: str, stream: str, count: int) -> list[LogLine]:
    """Return the last `count` lines of one stream, oldest first; an empty list if it does not exist."""
    found: list[Any] = []
    token: dict[str, Any] = {}
    with ignore_aws_errors("ResourceNotFoundException"):
        for _ in range(_PAGES):
            answer = logs.get_log_events(
                logGroupName=group, logStreamName=stream, startFromHead=False, limit=count, **token
            )
            found = [*answer.get("events", []), *found]
            following = answer.get("nextBackwardToken")
            if len(found) >= count or not following or following == token.get("nextToken"):
                break
            token = {"nextToken": following}
    return [line for event in found for line in _lines(event, stream)][-count:]


def next_of_stream(logs: CloudWatchLogsClient, group: str, stream: str, token: str) -> tuple[list[LogLine], str]:
    """Return the lines of one stream after `token`, and the token for the next call; from its beginning if `token` is empty."""
    found: list[LogLine] = []
    with ignore_aws_errors("ResourceNotFoundException"):
        # The stream may not exist yet.
        while True:
            more: dict[str, Any] = {"nextToken": token} if token else {}
            answer = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
            found += [line for event in answer.get("events", []) for line in _lines(event, stream)]
            following = answer.get("nextForwardToken", "")
            if not following or following == token:
                break
            token = following
    return found, token


def _lines(event: Any, stream: str) -> Iterator[LogLine]:
    at = datetime.fromtimestamp(event.get("timestamp", 0) / 1000, timezone.utc)
    for line in event.get("message", "").rstrip("\r\n").split("\n"):
        yield LogLine(at, line.rstrip(), stream)


def _time(line: LogLine) -> datetime:
    return line.at
