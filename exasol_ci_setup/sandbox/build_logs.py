"""Writes what a build says to CloudWatch Logs, in the form of CodeBuild's agent."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Values = dict[str, Any]


class BuildLog:
    """The log stream of one build, in the account and region of the request or task under way; one that is switched off takes all."""

    def __init__(self, get_service: Callable[[str], Any], build: Values) -> None:
        logs = build["logs"]
        self._enabled = logs["cloudWatchLogs"]["status"] == "ENABLED"
        self._service = get_service("cloudwatch_logs") if self._enabled else None
        self._group, self._stream = str(logs.get("groupName", "")), str(logs.get("streamName", ""))

    def agent(self, *lines: str) -> None:
        """Write lines as the agent in the build container does: each with the time."""
        now = datetime.now(timezone.utc).strftime("%Y/%m/%d %H:%M:%S.%f")
        self.output(f"[Container] {now} {line}" for line in lines)

    def output(self, lines: Iterable[str]) -> None:
        """Write lines as a command does."""
        if self._service is None:
            return
        now = int(time.time() * 1000)
        # A command of several lines is one event, as it is on AWS. The calls find the stream there already, but for the first time.
        self._service._create_log_group({"logGroupName": self._group})  # noqa: SLF001
        self._service._create_log_stream({"logGroupName": self._group, "logStreamName": self._stream})  # noqa: SLF001
        self._service._put_log_events(  # noqa: SLF001
            {
                "logGroupName": self._group,
                "logStreamName": self._stream,
                "logEvents": [{"timestamp": now, "message": f"{line}\n"} for line in lines],
            }
        )


def location(project: str, build: str, settings: Values, region: str, account: str) -> Values:
    """Return where a build's log will be, as BatchGetBuilds shows it. `build` is the part of its id after the colon."""
    watched = {"status": "ENABLED", **settings.get("cloudWatchLogs", {})}
    stored = {"status": "DISABLED", "encryptionDisabled": False, **settings.get("s3Logs", {})}
    shown: Values = {"cloudWatchLogs": watched, "s3Logs": stored}
    if watched["status"] == "ENABLED":
        group = watched.get("groupName") or f"/aws/codebuild/{project}"
        stream = "/".join(filter(None, [watched.get("streamName"), build]))
        console = f"https://console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"
        shown |= {
            "groupName": group,
            "streamName": stream,
            "cloudWatchLogsArn": f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}",
            "deepLink": f"{console}{_in_link(group)}/log-events/{_in_link(stream)}",
        }
    return shown


def _in_link(name: str) -> str:
    # The console wants the percent sign of an encoded character encoded once more, as a dollar sign.
    return quote(quote(name, safe=""), safe="").replace("%", "$")
