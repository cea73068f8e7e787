"""Follow an operation on a stack: show its events until the last event of the stack itself."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import is_transient, translate_aws_errors
from exasol_ci_setup.core.errors import SetupError, StackError
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.event_pages import newest_first
from exasol_ci_setup.stacks.nested import Nested

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Event, Stack
    from exasol_ci_setup.stacks.rollout import Rollouts

# The first polls are quick, for short operations. Then one page of events every 1.9 s, and every fifteenth time the stack
# itself: the end is detected within two seconds, at 0.53 + 0.04 calls a second, however long the operation takes.
_FIRST_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_PAUSE: Final = 1.9
_POLLS_PER_CHECK: Final = 15
# Polls with a transient error are retried for this long, in seconds.
_RETRY_SECONDS: Final = 600.0
# Seconds after which an operation that AWS accepted, but did not start, counts as lost.
_LONGEST_START: Final = 300.0

# The statuses of the stack's own event that start an operation.
_OPENING = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"})


def latest_id(cfn: CloudFormationClient, stack: str) -> str:
    """Return the ID of the newest event of `stack`, or an empty string: the events of a new operation come after it."""
    with translate_aws_errors():
        events = cfn.describe_stack_events(StackName=stack).get("StackEvents", [])
    return events[0]["EventId"] if events else ""


def of_last_operation(cfn: CloudFormationClient, stack: str) -> list[Event]:
    """Return the events of the last operation on `stack`, the oldest first."""
    found: deque[Event] = deque()
    with translate_aws_errors():
        for event in newest_first(cfn, stack):
            found.appendleft(event)
            if _is_start(event):
                break
    return list(found)


class StackMonitor:
    """Follows the operation in progress on one stack and its nested stacks, and shows their events to the reporter of `context`.

    `after` is the ID of the last event before the operation, an empty string without one, or None if the operation
    was already in progress: then its events are shown from its start. `events` holds the shown events of the stack itself, the oldest first.
    `rollouts` reports the ECS services that the operation changes.
    """

    def __init__(self, context: Context, stack_id: str, *, after: str | None, rollouts: Rollouts | None = None) -> None:
        self.events: list[Event] = []
        self.status = ""
        self._cfn = context.cfn
        self.stack_id = stack_id
        self._after = after
        self._reporter = context.reporter
        self.rollouts = rollouts
        self._clock = context.clock
        self._polls = 0
        self._since = self._clock.now()
        self._failing_since: float | None = None
        self._nested = Nested(self._cfn, self._clock, show=self._show, note=self.note)

    def run(self, deadline: float | None = None) -> Stack | None:
        """Show events until the operation has ended, and return the stack.

        Returns None if the clock reaches `deadline` (in its seconds) first. May be called again after that, or after an
        exception such as KeyboardInterrupt: no event is shown twice. A poll with a transient error is retried for ten minutes.
        Raises the error after that time, and any other error immediately.
        """
        while True:
            ended = self._poll()
            if ended is not None:
                return ended
            now = self._clock.now()
            self._reporter.progress()
            if self.rollouts is not None:
                self.rollouts.poll_if_due()
            if deadline is not None and now >= deadline:
                return None
            quick = 0 < self._polls <= len(_FIRST_PAUSES) and self._failing_since is None
            pause = _FIRST_PAUSES[self._polls - 1] if quick else _PAUSE
            self._clock.sleep(pause if deadline is None else min(pause, max(deadline - now, 0.0)))

    def note(self, message: str) -> None:
        """Show a message among the events."""
        self._reporter.note(message)

    def _poll(self) -> Stack | None:
        try:
            self._show_new()
            self._polls += 1
            if not (self._may_have_ended() or self._polls % _POLLS_PER_CHECK == 0 or self._is_first_of_found()):
                ended = None
            else:
                stack = state.get(self._cfn, self.stack_id)
                ended = None if state.is_busy(stack) or not self._require_start(stack) else stack
                if ended is not None and self.status != ended.status:
                    # The stack's last event came between the page of events and the status.
                    self._show_new()
                if ended is not None:
                    self._nested.rest()
        except SetupError as error:
            if not is_transient(error.__cause__ or error):
                raise
            now = self._clock.now()
            self._failing_since = now if self._failing_since is None else self._failing_since
            if now - self._failing_since > _RETRY_SECONDS:
                raise
            self.note(f"AWS did not answer, trying again ({error})")
            return None
        self._failing_since = None
        return ended

    @property
    def has_begun(self) -> bool:
        """Whether AWS has started the operation, as far as its events show."""
        return self._after is None or any(_starts_operation(event) for event in self.events)

    def _require_start(self, stack: Stack) -> bool:
        """Return whether a stack that is not busy has ended its operation; False if the operation has not started yet.

        Raises StackError if it does not start within five minutes.
        """
        if self.has_begun:
            return True
        if self._clock.now() - self._since > _LONGEST_START:
            raise StackError(
                f"AWS accepted the operation on stack {stack.name} but did not start it; the stack is in {stack.status}",
                hint=f"to see whether it has started: `exasol-ci-setup watch {stack.name}`",
                stack_name=stack.name,
            )
        return False

    def _may_have_ended(self) -> bool:
        """Return whether the newest event of the stack can be its last one, until the status of the stack or another event decides."""
        return bool(self.status) and not self.status.endswith("_IN_PROGRESS")

    def _is_first_of_found(self) -> bool:
        """Return whether this is the first poll of an operation that was already in progress: it may end before its first event is read."""
        return self._after is None and self._polls == 1

    def _show_new(self) -> None:
        last = self.events[-1] if self.events else None
        fresh: deque[Event] = deque()
        with translate_aws_errors():
            for event in newest_first(self._cfn, self.stack_id):
                if event.is_same(last) or (last is None and event.id == self._after):
                    break
                fresh.appendleft(event)
                if last is None and self._after is None and _is_start(event):
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
        # The creation of the empty stack for the change set is not part of the operation.
        if event.status != "REVIEW_IN_PROGRESS":
            self._reporter.event(event)
            if self.rollouts is not None:
                self.rollouts.observe(event)


def _is_start(event: Event) -> bool:
    # An event of a hook that checks the whole stack has the status of the stack.
    return event.is_stack and event.hook is None and event.status in _OPENING


def _starts_operation(event: Event) -> bool:
    # A continued rollback starts with UPDATE_ROLLBACK_IN_PROGRESS, all other operations with a status of `_OPENING`.
    return event.is_stack and (event.status in _OPENING or event.status == "UPDATE_ROLLBACK_IN_PROGRESS")


def _is_end(event: Event) -> bool:
    return event.is_stack and not event.status.endswith("_IN_PROGRESS")
