"""`cluster.log(service)`: the last log lines of a service's containers."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.programs import actions

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

    from exasol_ci_setup.constructs.service import Cluster, Service

_MOST_LINES: Final = 10_000
"""The maximum of GetLogEvents: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html."""
_STREAMS: Final = 20
# GetLogEvents may return empty pages before the last one; AWS does not document how many.
_PAGES: Final = 5


def log(cluster: Cluster, service: Service | str, lines: int = 100) -> list[str]:
    """Return the last `lines` log lines of a service, oldest first; an empty list without any.

    They come from the tasks with the most recent lines; each task has its own stream. Raises InputError if the cluster has no such service or
    is not deployed, and the errors of the AWS boundary.
    """
    if not 1 <= lines <= _MOST_LINES:
        raise InputError(f"invalid number of log lines: {lines}", hint=f"use 1 to {_MOST_LINES}")
    name = service if isinstance(service, str) else service.name
    found = next((each for each in cluster.services if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in cluster.services)
        raise InputError(f"Cluster {cluster.name!r} has no service {name!r}", hint=f"its services: {names}")
    runtime = actions.current()
    if runtime.is_dry_run:
        runtime.say(f"cluster {cluster.name}: the log of {name} would be read")
        return []
    group = cluster.output(f"{found.logical_id}LogGroupName")
    logs = runtime.connect(cluster.resolved_scope).client("logs")
    events: list[Any] = []
    with translate_aws_errors():
        try:
            streams = logs.describe_log_streams(
                logGroupName=group, orderBy="LastEventTime", descending=True, limit=_STREAMS
            )["logStreams"]
            for stream in streams:
                events += _last_events(logs, group, stream["logStreamName"], lines)
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
    events.sort(key=lambda event: event.get("timestamp", 0))
    return [line for event in events for line in _lines(event)][-lines:]


def _last_events(logs: CloudWatchLogsClient, group: str, stream: str, count: int) -> list[Any]:
    found: list[Any] = []
    token: dict[str, Any] = {}
    for _ in range(_PAGES):
        answer = logs.get_log_events(
            logGroupName=group, logStreamName=stream, startFromHead=False, limit=count, **token
        )
        found = [*answer.get("events", []), *found]
        following = answer.get("nextBackwardToken")
        if len(found) >= count or not following or following == token.get("nextToken"):
            break
        token = {"nextToken": following}
    return found


def _lines(event: Any) -> list[str]:
    at = datetime.fromtimestamp(event.get("timestamp", 0) / 1000, timezone.utc)
    message = event.get("message", "").rstrip("\r\n")
    return [f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z {line.rstrip()}" for line in message.split("\n")]
