"""Follow a batch: its builds and their log lines as they come, until its end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from exasol_ci_setup.aws import is_transient
from exasol_ci_setup.builds.logs import SECONDS_BEHIND
from exasol_ci_setup.errors import AwsUnavailable, InputError, Interrupted, SetupError, TimedOut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from exasol_ci_setup.builds.logs import LogLine, Tails
    from exasol_ci_setup.builds.model import Batch, Build
    from exasol_ci_setup.builds.read import Reader
    from exasol_ci_setup.clock import Clock

# The first looks come quickly, for what ends at once. Then every 2 s, and while nothing changes ever more seldom.
_FIRST_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 15.0
_PAUSE_AFTER_FAILURE: Final = 5.0
_GROWTH: Final = 1.25
# For how long CodeBuild's answers are taken to lag behind what it was asked to do, in seconds.
_LAG: Final = 60.0
# GetLogEvents is one call for each build, and AWS allows 25 a second in an account and region:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html. This leaves most of them to others.
_LOGS_PER_SECOND: Final = 10


class View(Protocol):
    """What shows a batch while it goes on; a context manager around it."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave the terminal as it was found."""

    def show(self, batch: Batch) -> None:
        """Show the batch as it is now."""

    def log(self, line: LogLine) -> None:
        """Show one line that a build wrote."""

    def tick(self, now: float) -> None:
        """Let time pass: `now` is in seconds of the clock that is followed by."""

    def note(self, message: str) -> None:
        """Say something else, such as that AWS did not answer."""


class BuildMonitor:
    """A batch under way, shown as it goes on; with `tails` the log lines of its builds too. `batch` is what was seen last.

    `since` is the batch as it was when it was started, or before it was retried: CodeBuild's answers may lag behind for a while,
    so that neither a batch that is not there yet nor an end that was there before counts.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        view: View,
        clock: Clock,
        tails: Tails | None = None,
        group: str = "",
        since: Batch | None = None,
    ) -> None:
        self.batch: Batch | None = None
        self._since = since
        self._lagging_until = clock.now() + _LAG
        self._reader = reader
        self._view = view
        self._clock = clock
        self._tails = tails
        self._group = group
        self._looks = 0
        self._pause = _PAUSE
        self._failing = False

    def run(self, deadline: float | None = None) -> Batch | None:
        """Return the batch when it has ended, or None if it has not at `deadline`, which is in seconds of the clock.

        It is looked at once more after the deadline, if AWS answers. A look that fails for a passing reason never ends it.
        Raises the errors of the AWS boundary.
        """
        while True:
            overdue = deadline is not None and self._clock.now() >= deadline
            batch = self._look()
            if batch is not None and batch.has_ended:
                self._wait_for_log(batch)
                return batch
            now = self._clock.now()
            self._view.tick(now)
            if overdue or (self._failing and deadline is not None and now >= deadline):
                return None
            pause = self._next_pause()
            self._clock.sleep(pause if deadline is None else min(pause, max(deadline - now, 0.0)))

    def _look(self) -> Batch | None:
        before = self.batch
        try:
            batch = self._reader.look()
            if self._is_stale(batch):
                self._failing = False
                self._looks += 1
                return None
            if batch != before:
                self._view.show(batch)
                self._pause = _PAUSE
            self.batch = batch
            self._show_log(batch)
        except SetupError as error:
            if isinstance(error, InputError) and self._may_lag():
                self._looks += 1
                return None
            if not is_transient(error.__cause__ or error):
                raise
            self._failing = True
            self._view.note(f"AWS could not be asked just now, trying again ({error})")
            return None
        self._failing = False
        self._looks += 1
        return batch

    def _may_lag(self) -> bool:
        return self._since is not None and self.batch is None and self._clock.now() < self._lagging_until

    def _is_stale(self, batch: Batch) -> bool:
        """Return whether this is the end that the batch had come to before it was retried."""
        if self._since is None or not self._since.has_ended or _end(batch) != _end(self._since):
            return False
        # What is older than what was seen already never counts.
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
                self._view.log(line)
        except AwsUnavailable as error:
            if is_transient(error.__cause__ or error):
                raise
            # Who may build may not always read logs, and the build matters more.
            self._tails = None
            self._view.note(f"the logs cannot be shown: {error}")

    def _next_pause(self) -> float:
        if self._looks <= len(_FIRST_PAUSES) and not self._failing:
            return _FIRST_PAUSES[self._looks - 1]
        # A call that fails takes its time too, and nobody shall wait in silence for longer than 30 s.
        pause = min(self._pause, _PAUSE_AFTER_FAILURE) if self._failing else self._pause
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
        if self._tails is not None and self.batch is not None:
            pause = max(pause, sum(not build.has_ended for build in self.batch.builds) / _LOGS_PER_SECOND)
        return pause


@contextmanager
def interruptible(batch_id: str) -> Iterator[None]:
    """Turn Ctrl-C into Interrupted, which says how to stop the batch that goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise interrupted(batch_id) from None


def interrupted(batch_id: str) -> Interrupted:
    """Return the error that says how to stop the batch that goes on after Ctrl-C."""
    return Interrupted(
        f"stopped looking on: AWS goes on with batch {batch_id}", hint=_way_on(batch_id), batch_id=batch_id
    )


def to_the_end(following: BuildMonitor, batch_id: str, *, clock: Clock, timeout: float | None) -> Batch:
    """Return the batch when it has ended, however it did; `timeout` is in seconds.

    Raises TimedOut and Interrupted, which say how to stop the batch that goes on, and the errors of the AWS boundary.
    """
    try:
        with interruptible(batch_id):
            batch = following.run(None if timeout is None else clock.now() + timeout)
    except AwsUnavailable as error:
        seen = f"last seen in {following.batch.status}" if following.batch else "just begun"
        error.hint = f"AWS goes on with batch {batch_id}, {seen}; {_way_on(batch_id)}\n{error.hint}".rstrip()
        raise
    if batch is None:
        raise TimedOut(
            f"batch {batch_id} did not end within {timeout or 0:g} seconds, and goes on",
            hint=f"{_way_on(batch_id)}; --timeout-in-seconds allows more",
            batch_id=batch_id,
        )
    return batch


def _end(batch: Batch) -> tuple[object, ...]:
    """Return what tells one end of a batch from that of another attempt."""
    builds = tuple((build.id, build.status, build.retries) for build in batch.builds)
    return batch.status, batch.ended, len(batch.phases), builds


def _way_on(batch_id: str) -> str:
    return f"`exasol-ci-setup stop {batch_id}` stops it, `exasol-ci-setup logs {batch_id} --follow` looks on again"
