"""What a user sees while something runs: one protocol for all operations, and the reporter that shows nothing."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from exasol_ci_setup.core.errors.details import Finding


class Reporter(Protocol):
    """Receives messages, plans, events and results. Several threads may call it.

    Plans, events and results are values of the package that sends them, such as `core.stacks.Plan`. A reporter selects by their class
    what it shows, and ignores what it does not know.
    """

    def note(self, message: str, /) -> None:
        """Show a decision, or a status that is not an event."""

    def plan(self, plan: object, /) -> None:
        """Show a plan that is not applied."""

    def confirm(self, plan: object, /) -> bool:
        """Show a plan, and return whether to apply it. May raise NotApprovedError."""

    def event(self, event: object, /) -> None:
        """Show what has happened."""

    def progress(self, done: int = 0, total: int | None = None, /) -> None:
        """Show that the operation continues, with amounts such as bytes if they are known. Called at each poll."""

    def result(self, result: object, /) -> None:
        """Show the result of an operation."""

    def of(self, name: str, /) -> Reporter:
        """Return the reporter for one of several stacks."""

    def operation(self, name: str, title: str, /) -> AbstractContextManager[Reporter]:
        """Show the start of an operation on a stack, and return the reporter of its events, to be open while it runs."""


class TemplateLinter(Protocol):
    """Checks templates before anything is created from them."""

    def check(self, template: Any, region: str, reporter: Reporter, /) -> None:
        """Report the findings in `template`, once. Raises TemplateRejectedError if one is an error."""

    def errors(self, template: Any, region: str, /) -> Sequence[Finding]:
        """Return the findings in `template` that are errors, without a report."""


class NullReporter:
    """Shows nothing, and approves every plan: calling the function is the approval."""

    def note(self, _message: str, /) -> None:
        """Show nothing."""

    def plan(self, _plan: object, /) -> None:
        """Show nothing."""

    def confirm(self, _plan: object, /) -> bool:
        """Approve the plan."""
        return True

    def event(self, _event: object, /) -> None:
        """Show nothing."""

    def progress(self, _done: int = 0, _total: int | None = None, /) -> None:
        """Show nothing."""

    def result(self, _result: object, /) -> None:
        """Show nothing."""

    def of(self, _name: str, /) -> Reporter:
        """Return this reporter."""
        return self

    def operation(self, _name: str, _title: str, /) -> AbstractContextManager[Reporter]:
        """Return this reporter."""
        return nullcontext(self)
