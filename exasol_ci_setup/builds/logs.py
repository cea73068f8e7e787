"""The log lines of builds, from CloudWatch Logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.log_events import last_of_stream
from exasol_ci_setup.aws.session import ignore_aws_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_logs import CloudWatchLogsClient

    from exasol_ci_setup.builds.model import Build
    from exasol_ci_setup.core.clock import Clock

# The last line of a build's log: https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases.
_LAST_PHASE: Final = "Phase complete: UPLOAD_ARTIFACTS"
SECONDS_BEHIND: Final = 10.0
"""How long CloudWatch may deliver lines after the end of a build, in seconds."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a build's log, without its line break. `group` is the build's in its batch; `at` is in UTC."""

    group: str
    build_id: str
    at: datetime
    message: str


class Tails:
    """The log lines of several builds, each returned once and in order.

    CloudWatch has the last lines of a build some seconds after its end. So the log is read for 10 s more, unless the line about its last
    phase has arrived.
    """

    def __init__(self, logs: CloudWatchLogsClient, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._tokens: dict[str, str] = {}
        self._ended: dict[str, float] = {}
        self._done: set[str] = set()

    def fresh(self, builds: Iterable[Build]) -> Iterator[LogLine]:
        """Yield the lines that arrived since the last call. Raises the errors of the AWS boundary."""
        for build in builds:
            if self._is_done(build):
                continue
            now = self._clock.now()
            if build.has_ended:
                self._ended.setdefault(build.id, now)
            has_said_last = False
            for line in self._of(build):
                has_said_last = has_said_last or _LAST_PHASE in line.message
                yield line
            if build.has_ended and (has_said_last or now - self._ended[build.id] >= SECONDS_BEHIND):
                self._done.add(build.id)

    def is_complete(self, builds: Iterable[Build]) -> bool:
        """Return whether no more lines of these builds are expected."""
        return all(self._is_done(build) for build in builds)

    def _is_done(self, build: Build) -> bool:
        return not build.log_stream or build.id in self._done

    def _of(self, build: Build) -> Iterator[LogLine]:
        while True:
            token = self._tokens.get(build.id)
            more: dict[str, Any] = {"nextToken": token} if token else {}
            answer: Any = {}
            with ignore_aws_errors("ResourceNotFoundException"):
                # The log may not exist yet.
                answer = self._logs.get_log_events(
                    logGroupName=build.log_group, logStreamName=build.log_stream, startFromHead=True, **more
                )
            yield from _lines(build, answer)
            following = answer.get("nextForwardToken")
            if not following or following == token:
                return
            self._tokens[build.id] = following


def last_lines(logs: CloudWatchLogsClient, build: Build, count: int) -> tuple[str, ...]:
    """Return the last `count` lines of a build's log; empty if it has no log. Raises the errors of the AWS boundary."""
    if not build.log_stream:
        return ()
    return tuple(line.message for line in last_of_stream(logs, build.log_group, build.log_stream, count))


def _lines(build: Build, answer: Mapping[str, Any]) -> Iterator[LogLine]:
    for event in answer.get("events", []):
        at = datetime.fromtimestamp(event.get("timestamp", 0) / 1000, timezone.utc)
        for message in event.get("message", "").rstrip("\r\n").split("\n"):
            yield LogLine(build.group, build.id, at, message.rstrip("\r"))
