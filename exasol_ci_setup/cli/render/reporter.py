"""The reporter of commands that change one stack: plans, confirmation, events and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.cli.consent import Consent, require_terminal, warning
from exasol_ci_setup.cli.render import report, show
from exasol_ci_setup.cli.render.live import EventView
from exasol_ci_setup.core.errors import NotApprovedError
from exasol_ci_setup.core.errors.details import Finding
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.stacks import Plan

if TYPE_CHECKING:
    from exasol_ci_setup.cli.render.view import View
    from exasol_ci_setup.cli.session import Session


class StackReporter(NullReporter):
    """Shows the messages and events of operations on a stack, and approves no plan."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._output = session.output

    def note(self, message: str, /) -> None:
        """Print a message."""
        self._output.note(self._session.with_global_options(message))

    def confirm(self, _plan: object, /) -> bool:
        """Reject the plan."""
        return False

    def event(self, event: object, /) -> None:
        """Show a finding of the linter."""
        if isinstance(event, Finding):
            report.finding(self._output, event, event.template)

    def operation(self, name: str, title: str, /) -> View:
        """Print `title`, and return the view of the events of a stack."""
        if title:
            self._output.say(title)
        return EventView(self._output, name, clock=self._session.clock.now)


class DeployReporter(StackReporter):
    """Shows a plan, and asks for confirmation; `yes` approves it as far as `consent` allows.

    `no_terminal` is the hint if the user cannot be asked.
    """

    def __init__(self, consent: Consent, *, yes: bool, no_terminal: str = "add --yes, or --plan") -> None:
        super().__init__(consent.session)
        self._consent = consent
        self._yes = yes
        self._no_terminal = no_terminal

    def plan(self, plan: object, /) -> None:
        """Print the plan on stdout."""
        assert isinstance(plan, Plan)  # noqa: S101 - for the type checker
        report.plan(self._output, plan, as_data=True)

    def confirm(self, plan: object, /) -> bool:
        """Show the plan. Raises NotApprovedError, and InputError without a terminal."""
        assert isinstance(plan, Plan)  # noqa: S101 - for the type checker
        report.plan(self._output, plan, as_data=False)
        if question := self._question(plan):
            self._ask(plan, question)
        return True

    def _question(self, plan: Plan) -> str:
        """Return the question, empty if the plan is approved already. Raises NotApprovedError, and InputError without a terminal."""
        if self._yes:
            self._consent.require(plan)
            return ""
        require_terminal(self._output, hint=self._no_terminal)
        if plan.is_recreation:
            question = f"Delete stack {plan.stack_name} and create it again?"
        else:
            question = f"{'Import into' if plan.kind == 'IMPORT' else 'Deploy'} stack {plan.stack_name}?"
        return f"{warning({plan.stack_name: plan})}{question}"

    def _ask(self, plan: Plan, question: str, *, unchanged: str = "nothing was changed") -> None:
        if self._output.format == "json":
            # The record on stdout is for a program; the user needs the plan as text.
            self._output.say(*show.plan(plan, unicode=self._output.unicode))
        if not self._output.confirm(question):
            raise NotApprovedError(
                f"not deployed: the plan for stack {plan.stack_name} was declined; {unchanged}",
                stack_name=plan.stack_name,
            )
