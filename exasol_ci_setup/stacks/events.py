"""Follow an operation on a stack: its events as they come, until the stack's own last one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from exasol_ci_setup.aws import is_transient, translate_aws_errors
from exasol_ci_setup.errors import SetupError, StackError
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.event_pages import newest_first
from exasol_ci_setup.stacks.nested import Nested

if TYPE_CHECKING:
    from types import TracebackType

    from mypy_boto3_cloudformation import CloudFormationClient
    from typing_extensions import Self

    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.model import Event, Stack

# The first looks come quickly, for what ends at once. Then one page of events every 1.9 s, and every fifteenth time a look at the
# stack itself: the end is seen within two seconds, at 0.53 + 0.04 calls a second, however long the operation takes.
_FIRST_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_PAUSE: Final = 1.9
_LOOKS_PER_CHECK: Final = 15
# Polls that fail for a passing reason are tried again for this long, in seconds.
_PATIENCE: Final = 600.0
# An operation that AWS took but does not begin within so many seconds is given up.
_LONGEST_START: Final = 300.0

# The status with which the stack's own event opens an operation.
_OPENING = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"})


class View(Protocol):
    """What shows an operation while it goes on; a context manager around it."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave the terminal as it was found."""

    def event(self, event: Event) -> None:
        """Show one event."""

    def tick(self, now: float) -> None:
        """Let time pass: `now` is in seconds of the clock that is followed by."""

    def note(self, message: str) -> None:
        """Say something that is not an event, such as that AWS did not answer."""


class NullView:
    """A view that nobody looks at."""

    def __enter__(self) -> Self:
        """Show nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Show nothing."""

    def event(self, event: Event) -> None:
        """Show nothing."""

    def tick(self, now: float) -> None:
        """Show nothing."""

    def note(self, message: str) -> None:
        """Show nothing."""


def latest_id(cfn: CloudFormationClient, stack: str) -> str:
    """Return the id of the newest event of `stack`, or an empty string: where a new operation's events will begin."""
    with translate_aws_errors():
        events = cfn.describe_stack_events(StackName=stack).get("StackEvents", [])
    return events[0]["EventId"] if events else ""


def of_last_operation(cfn: CloudFormationClient, stack: str) -> list[Event]:
    """Return the events of the operation that began last on `stack`, the oldest first."""
    found: deque[Event] = deque()
    with translate_aws_errors():
        for event in newest_first(cfn, stack):
            found.appendleft(event)
            if _opens(event):
                break
    return list(found)


class StackMonitor:
    """The events of the operation under way on one stack, and of what is nested in it, shown as they come.

    `after` is the id of the last event before the operation, an empty string if there was none, or None if the operation
    was found under way: then its events are shown from its beginning. `events` holds what was shown of the stack itself, the oldest first.
    """

    def __init__(
        self, cfn: CloudFormationClient, stack_id: str, *, after: str | None, view: View, clock: Clock
    ) -> None:
        self.events: list[Event] = []
        self.status = ""
        self._cfn = cfn
        self.stack_id = stack_id
        self._after = after
        self._view = view
        self._clock = clock
        self._looks = 0
        self._since = clock.now()
        self._failing_since: float | None = None
        self._nested = Nested(cfn, clock, show=self._show, note=self.say)

    def run(self, deadline: float | None = None) -> Stack | None:
        """Show events until the operation has ended, and return the stack as it ended.

        Returns None when the clock reaches `deadline` (in its seconds) first. May be called again after that, or after an
        exception such as KeyboardInterrupt: nothing is shown twice. A poll that fails for a passing reason is repeated;
        only when none works for ten minutes, or for another reason, is its error raised.
        """
        while True:
            ended = self._look()
            if ended is not None:
                return ended
            now = self._clock.now()
            self._view.tick(now)
            if deadline is not None and now >= deadline:
                return None
            quick = 0 < self._looks <= len(_FIRST_PAUSES) and self._failing_since is None
            pause = _FIRST_PAUSES[self._looks - 1] if quick else _PAUSE
            self._clock.sleep(pause if deadline is None else min(pause, max(deadline - now, 0.0)))

    def say(self, message: str) -> None:
        """Show a remark among the events."""
        self._view.note(message)

    def _look(self) -> Stack | None:
        try:
            self._show_fresh()
            self._looks += 1
            if not (self._may_have_ended() or self._looks % _LOOKS_PER_CHECK == 0 or self._is_first_of_found()):
                ended = None
            else:
                stack = state.get(self._cfn, self.stack_id)
                ended = None if state.is_busy(stack) or not self._require_beginning(stack) else stack
                if ended is not None and self.status != ended.status:
                    # The stack's last event came between the page of events and the status.
                    self._show_fresh()
                if ended is not None:
                    self._nested.rest()
        except SetupError as error:
            if not is_transient(error.__cause__ or error):
                raise
            now = self._clock.now()
            self._failing_since = now if self._failing_since is None else self._failing_since
            if now - self._failing_since > _PATIENCE:
                raise
            self._view.note(f"AWS could not be asked just now, trying again ({error})")
            return None
        self._failing_since = None
        return ended

    @property
    def has_begun(self) -> bool:
        """Whether AWS has begun with the operation, as far as its events tell."""
        return self._after is None or any(_is_beginning(event) for event in self.events)

    def _require_beginning(self, stack: Stack) -> bool:
        """Return whether a stack that is not busy is so because the operation has ended, and not because it is still to begin.

        Raises StackError if it does not begin within five minutes.
        """
        if self.has_begun:
            return True
        if self._clock.now() - self._since > _LONGEST_START:
            raise StackError(
                f"AWS took the operation on stack {stack.name} and did not begin it; the stack is in {stack.status}",
                hint=f"`exasol-ci-setup watch {stack.name}` shows whether it has begun since",
                stack_name=stack.name,
            )
        return False

    def _may_have_ended(self) -> bool:
        """Return whether the stack's newest event can be its last one, until the stack itself says that it is, or another one comes."""
        return bool(self.status) and not self.status.endswith("_IN_PROGRESS")

    def _is_first_of_found(self) -> bool:
        """Tell the first look at an operation that was found under way: it may have ended before its first event is read."""
        return self._after is None and self._looks == 1

    def _show_fresh(self) -> None:
        last = self.events[-1] if self.events else None
        fresh: deque[Event] = deque()
        with translate_aws_errors():
            for event in newest_first(self._cfn, self.stack_id):
                if event.is_same(last) or (last is None and event.id == self._after):
                    break
                fresh.appendleft(event)
                if last is None and self._after is None and _opens(event):
                    break
        self._nested.begin_look()
        for event in fresh:
            if _is_end(event):
                self._nested.rest()
            self._nested.take(event)
            self.events.append(event)
            if event.is_stack:
                self.status = event.status
            self._show(event)
        self._nested.turn()

    def _show(self, event: Event) -> None:
        # That a shell was made for the change set is not part of the operation.
        if event.status != "REVIEW_IN_PROGRESS":
            self._view.event(event)


def _opens(event: Event) -> bool:
    # A hook that checks the whole stack is told of with the stack's status.
    return event.is_stack and event.hook is None and event.status in _OPENING


def _is_beginning(event: Event) -> bool:
    # A rollback that is continued opens with UPDATE_ROLLBACK_IN_PROGRESS, all other operations with a status of `_OPENING`.
    return event.is_stack and (event.status in _OPENING or event.status == "UPDATE_ROLLBACK_IN_PROGRESS")


def _is_end(event: Event) -> bool:
    return event.is_stack and not event.status.endswith("_IN_PROGRESS")
