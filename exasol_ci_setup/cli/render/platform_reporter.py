"""The reporter of the platform's commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.cli.consent import warning
from exasol_ci_setup.cli.render.reporter import DeployReporter
from exasol_ci_setup.platform.load_balancer import STACK_NAME

if TYPE_CHECKING:
    from exasol_ci_setup.core.stacks import Plan


class PlatformReporter(DeployReporter):
    """A reporter for commands whose call approves the change: asks only for a first load balancer, broader access or data loss."""

    has_changed = False

    def confirm(self, plan: object, /) -> bool:
        """Show the plan. Raises NotApprovedError if it is rejected."""
        self.has_changed = super().confirm(plan)
        return self.has_changed

    def _question(self, plan: Plan) -> str:
        self._consent.require(plan, unchanged="this stack was not changed")
        if self._yes or not self._output.can_ask:
            return ""
        if plan.stack_name == STACK_NAME and plan.kind == "CREATE":
            question = "This creates a load balancer, which is public and costs money by the hour. "
        else:
            question = warning({plan.stack_name: plan}, allow_broadening=self._consent.allow_broadening)
        return f"{question}Deploy stack {plan.stack_name}?" if question else ""
