"""Read the events of nested stacks while their root stack is followed, with few additional calls of AWS."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import for_optional_calls, is_transient, translate_aws_errors
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.stacks import NESTED
from exasol_ci_setup.stacks.event_pages import newest_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.stacks import Event

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
