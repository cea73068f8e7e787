"""Why a batch failed: the failed builds, their phase, CodeBuild's message, and the end of the first one's log."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import console
from exasol_ci_setup.builds.logs import SECONDS_BEHIND, last_lines
from exasol_ci_setup.core.errors import BuildFailedError, SetupError
from exasol_ci_setup.core.errors.details import FAILED_STATUSES, Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.builds.model import Batch, Build, Phase

_LINES: Final = 20
# More lines are read, because the phases after the failure (post_build, the upload of artifacts) write lines, too.
_LINES_READ: Final = 200
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc)


def require_success(context: Context, batch: Batch) -> None:
    """Raise BuildFailedError, with its failures, unless the batch succeeded."""
    if batch.status == "SUCCEEDED":
        return
    failures = explain(context, batch)
    first = failures[0]
    others = [failure.group for failure in failures[1:]]
    more = f" (and {len(others)} more: {', '.join(others)})" if others else ""
    hints = []
    named = next((failure for failure in failures if failure.group), None)
    if named:
        whose = "its" if named is first else "that build's"
        hints.append(f"see {whose} whole log with `exasol-ci-setup logs {batch.id} --group {named.group}`")
    # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_RetryBuildBatch.html: only failed batches can be retried.
    hints.append(f"run the builds that did not succeed again with `exasol-ci-setup retry {batch.id} --failed-only`")
    address = console.of_batch(context.account.client("codebuild"), batch.arn, batch.project, batch.id)
    if address:
        hints += [url for url in (address, named.log_url if named else "") if url]
    raise BuildFailedError(
        f"batch {batch.id} ended in {batch.status}: {first}{more}",
        hint="\n".join(hints),
        batch_id=batch.id,
        failures=failures,
    )


def explain(context: Context, batch: Batch) -> tuple[Failure, ...]:
    """Return why a batch failed, the cause first; never empty. Takes some seconds if the batch has just ended."""
    failed = failed_builds(batch)
    phase = _failed_phase(batch.phases)
    whole = Failure("", "", batch.status, phase.name if phase else batch.phase, phase.message if phase else "")
    if not failed:
        return (whole,)
    try:
        log = _up_to_failure(_end_of_log(context, batch, failed[0]))
    except SetupError as error:
        log = (f"(its log could not be read: {error})",)
    builds = tuple(_failure(build, log if build is failed[0] else ()) for build in failed)
    # Stopped builds are not the cause if the batch has its own, such as its time-out.
    only_stopped = all(build.status == "STOPPED" for build in failed)
    return (whole, *builds) if only_stopped and (whole.message or batch.status == "TIMED_OUT") else builds


def _end_of_log(context: Context, batch: Batch, build: Build) -> tuple[str, ...]:
    """Return the last lines of a build's log; wait for those about its failure if it has just ended."""
    logs, clock = context.account.client("logs"), context.clock
    end = clock.now()
    if build.status == "FAILED" and build.ended and batch.as_of:
        end += SECONDS_BEHIND - (batch.as_of - build.ended).total_seconds()
    while True:
        lines = last_lines(logs, build, _LINES_READ)
        if clock.now() >= end or not build.log_stream or any(map(_is_failure, lines)):
            return lines
        clock.sleep(min(2.0, end - clock.now()))


def failed_builds(batch: Batch) -> list[Build]:
    """Return the builds that made the batch fail, sorted by time of failure.

    Stopped builds come last: with fast-fail CodeBuild stops them because of the first failure.
    """
    failed = [build for build in batch.builds if build.has_failed and not build.ignore_failure]
    return sorted(failed, key=lambda build: (build.status == "STOPPED", build.ended or _LAST))


def _failure(build: Build, log: tuple[str, ...]) -> Failure:
    phase = _failed_phase(build.phases)
    return Failure(
        group=build.group or build.id,
        build_id=build.id,
        status=build.status,
        phase=phase.name if phase else build.phase,
        message=phase.message if phase else "",
        log=log,
        log_url=build.log_url,
    )


def _up_to_failure(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the last lines up to the message of CodeBuild that a phase failed, and its explanation."""
    failures = [number for number, line in enumerate(lines) if _is_failure(line)]
    end = failures[0] + 2 if failures else len(lines)
    return tuple(lines[max(0, end - _LINES) : end])


def _is_failure(line: str) -> bool:
    return "Phase complete: " in line and "State: FAILED" in line


def _failed_phase(phases: Sequence[Phase]) -> Phase | None:
    """Return the first failed phase of the last attempt, or None. Each attempt begins with SUBMITTED."""
    begins = max((number for number, phase in enumerate(phases) if phase.name == "SUBMITTED"), default=0)
    return next(
        (phase for phase in phases[begins:] if phase.status in FAILED_STATUSES and phase.name not in FAILED_STATUSES),
        None,
    )
