"""Plan, confirm and deploy many stacks: the steps that programs and fleets share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup.cli.consent import warning
from exasol_ci_setup.cli.engine_flags import EngineFlags
from exasol_ci_setup.cli.render import report
from exasol_ci_setup.cli.render.multi_stack import ask, counted, show_table
from exasol_ci_setup.core.task_graph import End
from exasol_ci_setup.template.lint import Linter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Plan
    from exasol_ci_setup.core.task_graph import Ended
    from exasol_ci_setup.programs import Deployment
    from exasol_ci_setup.programs.deployment import Stacks


@dataclass(frozen=True, kw_only=True)
class ManyFlags(EngineFlags):
    """The options of commands that deploy many stacks, as the user gave them."""

    concurrency: int

    @property
    def shows_plans(self) -> bool:
        """Whether all plans are shown before the first deployment."""
        return self.plan_only or not self.yes

    def linter(self) -> Linter | None:
        """Return a linter unless --no-lint is set."""
        return None if self.no_lint else Linter()


@dataclass(frozen=True)
class ManyStacks:
    """The deployment of many stacks in one run of a command."""

    session: Session
    flags: ManyFlags
    reporter: MultiStackReporter
    deployment: Deployment

    def plan(self, declared: Stacks) -> list[Ended]:
        """Plan all stacks, show what would change, and return the results. The reporter keeps the plans in `shown`."""
        with self.reporter.checking(len(declared.constructs)):
            planned, ends = self.deployment.plan(declared)
        self.reporter.shown = {name: each.plan for name, each in planned.items()}
        for end in ends:
            self.session.output.document.result(end)
        self.reporter.show_plans(as_data=self.flags.plan_only)
        return ends

    def check(self, declared: Stacks) -> None:
        """Lint all templates before the first deployment. Raises the error of the templates with errors."""
        with self.reporter.checking(len(declared.constructs)):
            ends = self.deployment.check(declared)
        self.reporter.conclude(ends)

    @property
    def changing(self) -> int:
        """The number of stacks whose shown plans have changes."""
        return sum(bool(plan) for plan in (self.reporter.shown or {}).values())

    def end_plan(self, changes: int, stacks: Mapping[str, str] | None = None) -> None:
        """End a command that only plans."""
        self.session.output.say(report.PLAN_ONLY)
        self.reporter.write_result("planned" if changes else "unchanged", changed=False, stacks=stacks)

    def ask(self, removals: Mapping[str, Plan], *, failed: int = 0, contents: str = "") -> None:
        """Ask for confirmation of the shown plans and `removals`. Raises NotApprovedError.

        `failed` is the number of plans that failed, `contents` follows the number of deleted stacks.
        """
        without = f", without {failed} failed" if failed else ""
        deployed = f"deploy {counted(self.changing)}{without}" if self.changing else ""
        deleted = f"delete {counted(len(removals))}{contents}" if removals else ""
        if not deployed and not deleted:
            return
        plans = {**(self.reporter.shown or {}), **removals}
        show_table(self.session.output, {name: plan for name, plan in plans.items() if plan})
        steps = f"{deployed}{', and ' if deployed and deleted else ''}{deleted}"
        ask(
            self.session.output,
            f"{warning(plans)}{steps[0].upper()}{steps[1:]}?",
            "not deployed: the plan was declined; nothing was changed",
        )

    def apply(self, declared: Stacks) -> list[Ended]:
        """Deploy all stacks, while a table shows their progress, and return the results."""
        with self.reporter.table():
            return self.deployment.apply(declared)

    def end(self, ends: Sequence[Ended]) -> None:
        """Write the record that ends the command."""
        unchanged = all(end.end is End.UNCHANGED for end in ends)
        self.reporter.write_result(
            "unchanged" if unchanged else "deployed", ends, changed=any(end.end is End.DONE for end in ends)
        )
