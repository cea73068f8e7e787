"""Write the output of a build to CloudWatch Logs, in the format of CodeBuild's agent."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exasol_ci_setup.sandbox.private import Values


class BuildLog:
    """The log stream of one build, in the account and region of the current request. A disabled log discards all lines."""

    def __init__(self, get_service: Callable[[str], Any], build: Values) -> None:
        logs = build["logs"]
        self._enabled = logs["cloudWatchLogs"]["status"] == "ENABLED"
        self._service = get_service("cloudwatch_logs") if self._enabled else None
        self._group, self._stream = str(logs.get("groupName", "")), str(logs.get("streamName", ""))

    def agent(self, *lines: str) -> None:
        """Write lines with a timestamp, as the agent in the build container does."""
        now = datetime.now(timezone.utc).strftime("%Y/%m/%d %H:%M:%S.%f")
        self.output(f"[Container] {now} {line}" for line in lines)

    def output(self, lines: Iterable[str]) -> None:
        """Write lines of the output of a command."""
        if self._service is None:
            return
        now = int(time.time() * 1000)
        # A command of several lines is one event, as on AWS. After the first call, the group and the stream already exist.
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
    """Return the location of a build's log as in BatchGetBuilds. `build` is the part of the build id after the colon."""
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
    # In links of the console, the percent sign of an encoded character is a dollar sign, and everything is encoded twice.
    return quote(quote(name, safe=""), safe="").replace("%", "$")
