"""Follow a batch: its builds and their log lines, until its end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import is_transient
from exasol_ci_setup.builds.logs import SECONDS_BEHIND, Tails
from exasol_ci_setup.builds.read import Reader
from exasol_ci_setup.core.errors import (
    AwsUnavailableError,
    InputError,
    OperationInterruptedError,
    SetupError,
    TimedOutError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.builds.model import Batch, Build

# Poll quickly at first, for batches that end immediately. Then every 2 s, and less often while nothing changes.
_FIRST_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 15.0
_PAUSE_AFTER_FAILURE: Final = 5.0
_GROWTH: Final = 1.25
# How long CodeBuild's answers may lag behind a request, in seconds.
_LAG: Final = 60.0
# GetLogEvents is one call for each build, and AWS allows 25 a second in an account and region:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html. This leaves most of them to other clients.
_LOGS_PER_SECOND: Final = 10


class BuildMonitor:
    """Follows a running batch, and shows each change of it to the reporter of `context`. `batch` is its last known state.

    The events are values of `Batch`, and with `with_log` also a `LogLine` for each line of its builds, or of the builds of one `group`.
    `since` is the state of the batch at its start or before its retry. CodeBuild's answers may lag behind for a while, so a missing batch and
    the end of the previous attempt are ignored.
    """

    def __init__(
        self, context: Context, batch_id: str, *, with_log: bool = False, group: str = "", since: Batch | None = None
    ) -> None:
        self.batch: Batch | None = None
        self._since = since
        self._clock = context.clock
        self._lagging_until = self._clock.now() + _LAG
        self._reporter = context.reporter
        # The monitor retries by itself; a slow call would delay the time limit.
        self._reader = Reader(context.account.client("codebuild", long_retries=False), batch_id)
        self._tails = Tails(context.account.client("logs", long_retries=False), self._clock) if with_log else None
        self._group = group
        self._polls = 0
        self._pause = _PAUSE
        self._failing = False

    def run(self, deadline: float | None = None) -> Batch | None:
        """Return the batch when it has ended, or None if it still runs at `deadline`, in seconds of the clock.

        The batch is requested again after the deadline, if AWS answers. Transient errors never end the call. Raises the errors of the AWS
        boundary.
        """
        while True:
            overdue = deadline is not None and self._clock.now() >= deadline
            batch = self._poll()
            if batch is not None and batch.has_ended:
                self._wait_for_log(batch)
                return batch
            now = self._clock.now()
            self._reporter.progress()
            if overdue or (self._failing and deadline is not None and now >= deadline):
                return None
            pause = self._next_pause()
            self._clock.sleep(pause if deadline is None else min(pause, max(deadline - now, 0.0)))

    def _poll(self) -> Batch | None:
        before = self.batch
        try:
            batch = self._reader.read()
            if self._is_stale(batch):
                self._failing = False
                self._polls += 1
                return None
            if batch != before:
                self._reporter.event(batch)
                self._pause = _PAUSE
            self.batch = batch
            self._show_log(batch)
        except SetupError as error:
            if isinstance(error, InputError) and self._may_lag():
                self._polls += 1
                return None
            if not is_transient(error.__cause__ or error):
                raise
            self._failing = True
            self._reporter.note(f"AWS did not answer, retrying: {error}")
            return None
        self._failing = False
        self._polls += 1
        return batch

    def _may_lag(self) -> bool:
        return self._since is not None and self.batch is None and self._clock.now() < self._lagging_until

    def _is_stale(self, batch: Batch) -> bool:
        """Return whether this is the end of the attempt before the retry."""
        if self._since is None or not self._since.has_ended or _end(batch) != _end(self._since):
            return False
        # An answer older than the known state is ignored.
        return self.batch is not None or self._may_lag()

    def _wait_for_log(self, batch: Batch) -> None:
        end = self._clock.now() + SECONDS_BEHIND
        if batch.as_of and batch.ended:
            end -= (batch.as_of - batch.ended).total_seconds()
        while self._tails is not None and self._clock.now() < end and not self._tails.is_complete(self._shown(batch)):
            self._clock.sleep(1.0)
            try:
                self._show_log(batch)
            except SetupError as error:
                if not is_transient(error.__cause__ or error):
                    raise

    def _shown(self, batch: Batch) -> list[Build]:
        return [build for build in batch.builds if self._group in {"", build.group}]

    def _show_log(self, batch: Batch) -> None:
        if self._tails is None:
            return
        try:
            for line in self._tails.fresh(self._shown(batch)):
                self._reporter.event(line)
        except AwsUnavailableError as error:
            if is_transient(error.__cause__ or error):
                raise
            # A user without permission to read logs can still follow the batch.
            self._tails = None
            self._reporter.note(f"the logs cannot be shown: {error}")

    def _next_pause(self) -> float:
        if self._polls <= len(_FIRST_PAUSES) and not self._failing:
            return _FIRST_PAUSES[self._polls - 1]
        # A failed call also takes time, and the reporter must be called at least every 30 s.
        pause = min(self._pause, _PAUSE_AFTER_FAILURE) if self._failing else self._pause
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
        if self._tails is not None and self.batch is not None:
            pause = max(pause, sum(not build.has_ended for build in self.batch.builds) / _LOGS_PER_SECOND)
        return pause


@contextmanager
def interruptible(batch_id: str) -> Iterator[None]:
    """Turn Ctrl-C into OperationInterruptedError, whose hint says how to stop the batch."""
    try:
        yield
    except KeyboardInterrupt:
        raise interrupted(batch_id) from None


def interrupted(batch_id: str) -> OperationInterruptedError:
    """Return the error after Ctrl-C, whose hint says how to stop the batch."""
    return OperationInterruptedError(
        f"stopped following batch {batch_id}; it continues on AWS", hint=_next_steps(batch_id), batch_id=batch_id
    )


def follow(
    context: Context,
    batch_id: str,
    *,
    timeout: float | None = None,
    with_log: bool = False,
    group: str = "",
    since: Batch | None = None,
) -> Batch:
    """Return the batch when it has ended, in any status; `timeout` is in seconds.

    The reporter of `context` receives the events of `BuildMonitor`, to which the other arguments are passed.
    Raises TimedOutError and OperationInterruptedError, whose hints say how to stop the batch, and the errors of the AWS boundary.
    """
    monitor = BuildMonitor(context, batch_id, with_log=with_log, group=group, since=since)
    try:
        with interruptible(batch_id):
            batch = monitor.run(None if timeout is None else context.clock.now() + timeout)
    except AwsUnavailableError as error:
        seen = f"last seen in {monitor.batch.status}" if monitor.batch else "just started"
        error.hint = f"batch {batch_id} continues on AWS, {seen}; {_next_steps(batch_id)}\n{error.hint}".rstrip()
        raise
    if batch is None:
        raise TimedOutError(
            f"batch {batch_id} is still running after {timeout or 0:g} seconds",
            hint=f"{_next_steps(batch_id)}; --timeout-in-seconds sets a longer limit",
            batch_id=batch_id,
        )
    return batch


def _end(batch: Batch) -> tuple[object, ...]:
    """Return a value that differs between the ends of two attempts."""
    builds = tuple((build.id, build.status, build.retries) for build in batch.builds)
    return batch.status, batch.ended, len(batch.phases), builds


def _next_steps(batch_id: str) -> str:
    return f"stop it with `exasol-ci-setup stop {batch_id}`, follow it with `exasol-ci-setup logs {batch_id} --follow`"
