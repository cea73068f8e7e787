"""A batch of builds on CodeBuild, as frozen data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

IN_PROGRESS: Final = "IN_PROGRESS"
PENDING: Final = "PENDING"
"""The status, defined by this tool, of a build that waits for others or is not submitted yet."""

TOKEN_VARIABLE: Final = "GITHUB_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable of a build with the GitHub token."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a build or a batch; `name` and `status` are CodeBuild's, `seconds` is None while it runs.

    `message` is CodeBuild's explanation, such as the command that failed.
    """

    name: str
    status: str
    seconds: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """A build. `group` is its identifier in the batch, empty for a build without a batch.

    `status` is CodeBuild's, or ``PENDING`` while the build has not started and `id` is empty. `retries` counts the builds of the
    same group before this one. With `ignore_failure` the batch succeeds even if this build fails.
    """

    group: str
    id: str
    status: str
    phase: str = ""
    phases: tuple[Phase, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    ignore_failure: bool = False
    retries: int = 0
    log_group: str = ""
    log_stream: str = ""
    log_url: str = ""
    batch_id: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether the build has ended, in any status."""
        return self.status not in {IN_PROGRESS, PENDING}

    @property
    def has_failed(self) -> bool:
        """Whether the build has ended in a status other than success."""
        return self.has_ended and self.status != "SUCCEEDED"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of builds.

    `branch` is the requested source version and `commit` the one that it resolved to. `token_secret` is the name or ARN of the secret with
    the GitHub token, never the token. `as_of` is the time of the answer on AWS's clock.
    """

    id: str
    project: str
    status: str
    arn: str = ""
    number: int = 0
    phase: str = ""
    phases: tuple[Phase, ...] = ()
    branch: str = ""
    commit: str = ""
    initiator: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    builds: tuple[Build, ...] = ()
    token_secret: str = ""
    as_of: datetime | None = field(default=None, compare=False)

    @property
    def has_ended(self) -> bool:
        """Whether the batch has ended, in any status."""
        return self.status not in {IN_PROGRESS, ""}


def batch_of(answer: Mapping[str, Any], *, as_of: datetime | None = None) -> Batch:
    """Create a Batch from an entry of BatchGetBuildBatches; its builds have only the data of that entry."""
    batch_id = answer.get("id", "")
    variables = answer.get("environment", {}).get("environmentVariables", [])
    token = [item["value"] for item in variables if item["name"] == TOKEN_VARIABLE]
    by_reference = [item["value"] for item in variables if item.get("type") == "SECRETS_MANAGER"]
    return Batch(
        id=batch_id,
        project=answer.get("projectName", ""),
        status=answer.get("buildBatchStatus", ""),
        arn=answer.get("arn", ""),
        number=answer.get("buildBatchNumber", 0),
        phase=answer.get("currentPhase", ""),
        phases=_phases(answer),
        branch=answer.get("sourceVersion", ""),
        commit=answer.get("resolvedSourceVersion", ""),
        initiator=answer.get("initiator", ""),
        started=answer.get("startTime"),
        ended=answer.get("endTime"),
        builds=tuple(_build_of_group(group, batch_id) for group in answer.get("buildGroups", [])),
        # Another tool may have started the batch with the token itself in the variable.
        token_secret=token[0] if token and token[0] in by_reference else "",
        as_of=as_of,
    )


def build_of(answer: Mapping[str, Any], group: Build | None = None) -> Build:
    """Create a Build from an entry of BatchGetBuilds; `group` is its entry in the batch, if it belongs to one."""
    logs = answer.get("logs", {})
    return Build(
        group=group.group if group else "",
        id=answer.get("id", ""),
        status=answer.get("buildStatus", ""),
        phase=answer.get("currentPhase", ""),
        phases=_phases(answer),
        started=answer.get("startTime"),
        ended=answer.get("endTime"),
        ignore_failure=group.ignore_failure if group else False,
        retries=group.retries if group else 0,
        log_group=logs.get("groupName", ""),
        log_stream=logs.get("streamName", ""),
        # The link is dead before the first log line.
        log_url=logs.get("deepLink", "") if logs.get("streamName") else "",
        batch_id=id_of(answer.get("buildBatchArn", "")),
    )


def id_of(arn: str) -> str:
    """Return the id in the ARN of a build or a batch; an id is returned unchanged."""
    return re.sub(r"^arn:[^:]*:codebuild:[^:]*:[^:]*:build(-batch)?/", "", arn)


def time_of(answer: Mapping[str, Any]) -> datetime | None:
    """Return AWS's time in the Date header of an answer, or None if a proxy replaced it with an invalid one."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        found = parsedate_to_datetime(date) if date else None
    except (TypeError, ValueError):
        return None
    return found if found and found.tzinfo else None


def _build_of_group(group: Mapping[str, Any], batch_id: str) -> Build:
    summary = group.get("currentBuildSummary", {})
    return Build(
        group=group.get("identifier", ""),
        id=id_of(summary.get("arn", "")),
        status=summary.get("buildStatus") or PENDING,
        ignore_failure=bool(group.get("ignoreFailure")),
        retries=len(group.get("priorBuildSummaryList", [])),
        batch_id=batch_id,
    )


def _phases(answer: Mapping[str, Any]) -> tuple[Phase, ...]:
    return tuple(
        Phase(
            name=phase.get("phaseType", ""),
            status=phase.get("phaseStatus", IN_PROGRESS),
            seconds=phase.get("durationInSeconds"),
            message="; ".join(filter(None, (_context(context) for context in phase.get("contexts", [])))),
        )
        for phase in answer.get("phases", [])
    )


def _context(context: Mapping[str, Any]) -> str:
    # A successful phase also has a context, with empty or blank fields.
    code, message = (str(context.get(key, "")).strip() for key in ("statusCode", "message"))
    return f"{code}: {message}" if code and message else code or message
