"""Why a batch failed: the builds that did, their phase, CodeBuild's words, and the end of the first one's log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.builds.logs import SECONDS_BEHIND, last_lines
from exasol_ci_setup.builds.model import console_url
from exasol_ci_setup.errors import BuildFailed, SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.builds.model import Batch, Build, Phase
    from exasol_ci_setup.clock import Clock

_LINES: Final = 20
# More are read, because what comes after the failure (post_build, the upload of artifacts) writes lines of its own.
_LINES_READ: Final = 200
_LONGEST_MESSAGE: Final = 300
_WORDS: Final = {
    "FAILED": "failed",
    "FAULT": "failed by a fault of AWS's",
    "CLIENT_ERROR": "failed by a mistake in its settings",
    "TIMED_OUT": "timed out",
    "STOPPED": "was stopped",
}
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Failure:
    """One build that failed, or with an empty `group` the batch itself. `log` holds the last lines of the first failure only."""

    group: str
    build_id: str
    status: str
    phase: str = ""
    message: str = ""
    log: tuple[str, ...] = ()
    log_url: str = ""

    def __str__(self) -> str:
        where = f" in phase {self.phase}" if self.phase else ""
        # A command of several lines is one line here; the record and the log have it as it is.
        message = " ".join(self.message.replace("\\\n", " ").split())
        if len(message) > _LONGEST_MESSAGE:
            half = _LONGEST_MESSAGE // 2
            message = f"{message[:half]} … {message[-half:]}"
        why = f": {message}" if message else ""
        return f"{self.group or 'the batch'} {_WORDS.get(self.status, f'ended in {self.status}')}{where}{why}"


def require_success(account: Account, batch: Batch, clock: Clock) -> None:
    """Raise BuildFailed, with its failures, unless the batch has succeeded."""
    if batch.status == "SUCCEEDED":
        return
    failures = explain(account, batch, clock)
    first = failures[0]
    others = [failure.group for failure in failures[1:]]
    more = f" (and {len(others)} more: {', '.join(others)})" if others else ""
    hints = []
    named = next((failure for failure in failures if failure.group), None)
    if named:
        whose = "its" if named is first else "that build's"
        hints.append(f"`exasol-ci-setup logs {batch.id} --group {named.group}` shows {whose} whole log")
    # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_RetryBuildBatch.html: only failed batches can be retried.
    hints.append(f"`exasol-ci-setup retry {batch.id} --failed-only` builds again what did not succeed")
    console = console_url(account.client("codebuild"), batch)
    if console:
        hints += [url for url in (console, named.log_url if named else "") if url]
    raise BuildFailed(
        f"batch {batch.id} ended in {batch.status}: {first}{more}",
        hint="\n".join(hints),
        batch_id=batch.id,
        failures=failures,
    )


def explain(account: Account, batch: Batch, clock: Clock) -> tuple[Failure, ...]:
    """Return why a batch did not succeed, the cause first; never empty. Takes some seconds if it has ended just now."""
    failed = failed_builds(batch)
    phase = _broken(batch.phases)
    whole = Failure("", "", batch.status, phase.name if phase else batch.phase, phase.message if phase else "")
    if not failed:
        return (whole,)
    try:
        log = _up_to_the_failure(_end_of_log(account, batch, failed[0], clock))
    except SetupError as error:
        log = (f"(its log could not be read: {error})",)
    builds = tuple(_failure(build, log if build is failed[0] else ()) for build in failed)
    # Builds that were only stopped are no cause, if the batch has one of its own, such as its time-out.
    only_stopped = all(build.status == "STOPPED" for build in failed)
    return (whole, *builds) if only_stopped and (whole.message or batch.status == "TIMED_OUT") else builds


def _end_of_log(account: Account, batch: Batch, build: Build, clock: Clock) -> tuple[str, ...]:
    """Return the last lines of a build's log, waiting for those about its failure if it has ended just now."""
    logs = account.client("logs")
    end = clock.now()
    if build.status == "FAILED" and build.ended and batch.as_of:
        end += SECONDS_BEHIND - (batch.as_of - build.ended).total_seconds()
    while True:
        lines = last_lines(logs, build, _LINES_READ)
        if clock.now() >= end or not build.log_stream or any(map(_is_failure, lines)):
            return lines
        clock.sleep(min(2.0, end - clock.now()))


def failed_builds(batch: Batch) -> list[Build]:
    """Return the builds that made the batch fail, the one that failed first before the others.

    Those that were only stopped come last: with fast-fail CodeBuild stops them because of the first.
    """
    failed = [build for build in batch.builds if build.has_failed and not build.ignore_failure]
    return sorted(failed, key=lambda build: (build.status == "STOPPED", build.ended or _LAST))


def _failure(build: Build, log: tuple[str, ...]) -> Failure:
    phase = _broken(build.phases)
    return Failure(
        group=build.group or build.id,
        build_id=build.id,
        status=build.status,
        phase=phase.name if phase else build.phase,
        message=phase.message if phase else "",
        log=log,
        log_url=build.log_url,
    )


def _up_to_the_failure(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the last lines up to where CodeBuild says that a phase failed, and its remark on that."""
    failures = [number for number, line in enumerate(lines) if _is_failure(line)]
    end = failures[0] + 2 if failures else len(lines)
    return tuple(lines[max(0, end - _LINES) : end])


def _is_failure(line: str) -> bool:
    return "Phase complete: " in line and "State: FAILED" in line


def _broken(phases: Sequence[Phase]) -> Phase | None:
    """Return the first phase of the last attempt that went wrong, or None. A retry begins with SUBMITTED once more."""
    begins = max((number for number, phase in enumerate(phases) if phase.name == "SUBMITTED"), default=0)
    return next((phase for phase in phases[begins:] if phase.status in _WORDS and phase.name not in _WORDS), None)
