"""Follow an operation on a stack: show its events until the last event of the stack itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import for_optional_calls, is_transient, translate_aws_errors
from exasol_ci_setup.core.errors import SetupError, StackError
from exasol_ci_setup.core.stacks import NESTED
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.event_pages import newest_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.clock import Clock
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
_FAILED_CREATION: Final = "The following resource(s) failed to create: "


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
    return event.is_stack and event.hook is None and _opens(event)


def _opens(event: Event) -> bool:
    # With the setting to delete a stack whose creation fails, the deletion is part of the creation.
    return event.status in _OPENING and not event.reason.startswith(_FAILED_CREATION)


def _starts_operation(event: Event) -> bool:
    # A continued rollback starts with UPDATE_ROLLBACK_IN_PROGRESS, all other operations with a status of `_OPENING`.
    return event.is_stack and (_opens(event) or event.status == "UPDATE_ROLLBACK_IN_PROGRESS")


def _is_end(event: Event) -> bool:
    return event.is_stack and not event.status.endswith("_IN_PROGRESS")


# Seconds between two polls of nested stacks: slightly less than the pause between two polls of the root.
_SHORTEST: Final = 1.8


@dataclass(slots=True)
class _Stack:
    """A nested stack, as known from its parent's events and its own."""

    id: str
    name: str
    last: Event | None = None
    is_running: bool = False
    is_running_itself: bool = False
    is_owed: bool = False
    is_lost: bool = False
    asked: float = float("-inf")

    @property
    def may_have_more(self) -> bool:
        # During a cleanup the nested stack continues after its resource in the parent has ended.
        return not self.is_lost and (self.is_owed or self.is_running or self.is_running_itself)


class Nested:
    """The nested stacks, at any depth, of an operation; `show` receives their events and `note` the messages.

    A nested stack is read from its first event in the parent until it has ended, and again after its row in the parent
    has ended. Each poll of the root reads at most one nested stack, the one that has waited longest, and at most one every
    1.8 s. So a stack is requested at most 0.56 times a second, and the root and all nested stacks together at most 1.1 times, however many
    they are. At the end of the operation each stack that may have more events is read immediately. A stack that cannot be read is noted
    once, and not requested again.
    """

    def __init__(
        self,
        cfn: CloudFormationClient,
        clock: Clock,
        *,
        show: Callable[[Event], None],
        note: Callable[[str], None],
    ) -> None:
        self._cfn = cfn
        self._clock = clock
        self._show = show
        self._note = note
        self._stacks: dict[str, _Stack] = {}
        self._since: datetime | None = None
        self._is_turn_free = False

    def begin_look(self) -> None:
        """Start a poll of the root, in which one nested stack may be read."""
        self._is_turn_free = True

    def take(self, event: Event) -> None:
        """Process an event of the root before it is shown, starting with the first one of the operation.

        If the event ends the row of a nested stack, the remaining events of that stack are shown first.
        """
        if self._since is None:
            self._since = event.at
        stack = self._register(event)
        if stack is None or stack.is_running or stack.is_lost:
            return
        if self._is_turn_free and self._is_due(stack):
            self._read(stack)

    def turn(self) -> None:
        """Read the nested stack that has waited longest, unless this poll has read one already, or none is due."""
        due = [stack for stack in self._stacks.values() if stack.may_have_more and self._is_due(stack)]
        if due and self._is_turn_free:
            self._read(min(due, key=lambda stack: stack.asked))

    def rest(self) -> None:
        """Read each nested stack that may have more events, because the operation ends."""
        read: set[str] = set()
        while True:
            left = (stack for stack in self._stacks.values() if stack.may_have_more and stack.id not in read)
            stack = next(left, None)
            if stack is None:
                return
            read.add(stack.id)
            self._read(stack)

    def _is_due(self, stack: _Stack) -> bool:
        return self._clock.now() - stack.asked >= _SHORTEST

    def _register(self, event: Event) -> _Stack | None:
        """Return the nested stack that the event of its parent is about, or None if it does not exist yet."""
        if event.type != NESTED or event.is_stack or not event.physical_id.startswith("arn:"):
            return None
        stack = self._stacks.setdefault(event.physical_id, _Stack(event.physical_id, event.logical_id))
        stack.is_running = event.status.endswith("_IN_PROGRESS")
        stack.is_owed = True
        return stack

    def _read(self, stack: _Stack) -> None:
        self._is_turn_free = False
        stack.asked = self._clock.now()
        try:
            fresh = self._new_events(stack)
        except SetupError as error:
            if not is_transient(error.__cause__ or error):
                stack.is_lost = True
                self._note(f"the events of nested stack {stack.name} are not available: {error.message}")
            return
        for event in fresh:
            self._register(event)
            if event.is_stack:
                stack.is_running_itself = event.status.endswith("_IN_PROGRESS")
            # Only now, so that it is read again after an interruption.
            stack.last = event
            self._show(event)
        stack.is_owed = False

    def _new_events(self, stack: _Stack) -> list[Event]:
        def is_new(event: Event) -> bool:
            # Events before the operation belong to another one: the root was not busy then.
            return (self._since is None or event.at >= self._since) and not event.is_same(stack.last)

        with translate_aws_errors():
            return list(takewhile(is_new, newest_first(for_optional_calls(self._cfn), stack.id)))[::-1]
