"""Show, confirm and delete many stacks: the steps that programs and fleets share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli.consent import warning
from exasol_ci_setup.cli.render import equal_plans, report, show
from exasol_ci_setup.cli.render.multi_stack import ask, counted, show_table
from exasol_ci_setup.core import text
from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.errors import StackError
from exasol_ci_setup.programs.removal import Removable, Removal, find_undeletable, require_empty

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.task_graph import Ended
    from exasol_ci_setup.programs.removal import ExistingStack

_MOST_SEPARATE: Final = 5
CONTENTS: Final = " and the contents of the deleted buckets and repositories"


@dataclass(frozen=True, kw_only=True)
class RemovalFlags:
    """The options of a deletion of many stacks; those of a deployment also apply to the stacks that --prune deletes."""

    prune: bool
    empty: bool
    role_arn: str | None
    timeout: float | None
    concurrency: int


@dataclass(frozen=True, kw_only=True)
class DeletionFlags(RemovalFlags):
    """The options of commands that delete many stacks, as the user gave them."""

    yes: bool
    plan_only: bool


@dataclass(frozen=True)
class ManyRemovals:
    """The deletion of many stacks in one run of a command."""

    session: Session
    reporter: MultiStackReporter
    flags: RemovalFlags

    def in_order(
        self,
        existing: Mapping[str, ExistingStack],
        declared: Mapping[str, Construct],
        prunable: Collection[str] = (),
        shared: Collection[str] = (),
    ) -> Mapping[str, ExistingStack]:
        """Return the stacks in the order of deletion. Raises StackError if AWS would reject a deletion.

        `declared` are the constructs that are deployed first, `prunable` the stacks that --prune also deletes. A stack in `shared` is kept
        if a remaining stack uses it.
        """
        if not existing:
            return {}
        self._require_deletable(existing)
        removable = Removable(existing)
        if used := {name: users for name in shared if (users := removable.users(name, declared))}:
            for name, users in used.items():
                self.session.output.note(f"{name} is kept: {', '.join(each.name for each in users)} uses it")
            return self.in_order(
                {name: each for name, each in existing.items() if name not in used}, declared, prunable
            )
        prune = self.session.again("--prune")
        removable.require_unused(
            declared, lambda user: f"to delete {user.name} too: {prune}" if user.name in prunable else ""
        )
        if not self.flags.empty:
            hint = f"to delete their contents too: {self.session.again('--empty')}"
            require_empty(existing, self.reporter, hint=hint)
        return removable.in_order()

    def _require_deletable(self, existing: Mapping[str, ExistingStack]) -> None:
        """Raise StackError that names all stacks which may not be deleted, with commands for their regions."""
        found = find_undeletable(existing)
        if not found:
            return
        hints = dict.fromkeys(self._localized(existing[name], name, each.hint) for name, each in found.items())
        messages = [each.message for each in found.values()]
        several = [f"{len(messages)} stacks cannot be deleted:", *messages]
        message = messages[0] if len(messages) == 1 else "\n  ".join(several)
        raise StackError(message, hint="\n".join(hints), stack_name=existing[next(iter(found))].stack.name)

    def _localized(self, stack: ExistingStack, name: str, hint: str) -> str:
        return self.reporter.localized(name, hint, region=stack.account.region)

    def show(self, existing: Mapping[str, ExistingStack], *, as_data: bool) -> None:
        """Show what is deleted, on stdout if `as_data`; many equal plans once."""
        output = self.session.output
        write = output.data if as_data else output.say
        follows = any((self.reporter.shown or {}).values())
        for name, *others in _groups(existing):
            heading = self.reporter.heading(name)
            if output.format == "text" and (follows or heading):
                write("\n" * bool(follows and heading) + heading)
            follows = True
            for each in (name, *others):
                report.deletion(
                    output,
                    existing[each].resources,
                    existing[each].removal,
                    empty=self.flags.empty,
                    as_data=as_data,
                    name=each,
                    is_shown=each == name,
                )
            if others and output.format == "text":
                write(f"\n{show.clean(text.listed(others, 'stack'))}: the same plan as {show.clean(name)}")

    def run(self, existing: Mapping[str, ExistingStack], *, yes: bool, plan_only: bool, wait: bool = True) -> None:
        """Show the plan of the deletions, ask, delete, and report the result; or end after the plan."""
        output = self.session.output
        self.show(existing, as_data=plan_only)
        if plan_only:
            output.say(report.DELETION_PLAN_ONLY)
            self.reporter.write_result("planned", changed=False)
            return
        if not yes:
            plans = {name: each.removal for name, each in existing.items()}
            show_table(output, plans)
            ask(
                output,
                f"{warning(plans)}Delete {counted(len(existing))}{CONTENTS if self.flags.empty else ''}?",
                "not deleted: nothing was changed",
            )
        ends, begun = self.apply(existing, wait=wait)
        self.reporter.conclude(ends)
        output.say(f"{counted(len(ends) - len(begun))} deleted")
        self.reporter.write_result("deleting" if begun else "deleted", ends, changed=True, begun=begun)

    def apply(self, existing: Mapping[str, ExistingStack], *, wait: bool = True) -> tuple[list[Ended], set[str]]:
        """Delete the stacks; return their results, and the names of stacks that AWS still deletes."""
        session = self.session
        flags = self.flags
        removal = Removal(self.reporter, session.clock, empty=flags.empty, wait=wait, concurrency=flags.concurrency)
        removal.timeout = flags.timeout
        removal.role_arn = flags.role_arn or ""
        if self.reporter.shown is None:
            self.reporter.shown = {}
        self.reporter.expect(existing)
        with self.reporter.table():
            ends = removal.apply(existing)
        for name in removal.begun:
            stack = existing[name].stack.name
            session.output.say(
                f"AWS continues to delete stack {name}; {self._localized(existing[name], name, watch_hint(stack))}"
            )
        return ends, removal.begun


def _groups(existing: Mapping[str, ExistingStack]) -> list[list[str]]:
    """Return the names of stacks in groups with equal plans; a few of these are separate, since their physical IDs differ."""
    plans = {name: each.removal for name, each in existing.items()}
    found = equal_plans.groups(plans, {name: _kept(each) for name, each in existing.items()})
    several = {name for group in found if len(group) > _MOST_SEPARATE for name in group[1:]}
    alike = {group[0]: group for group in found if len(group) > _MOST_SEPARATE}
    return [alike.get(name, [name]) for name in existing if name not in several]


def _kept(stack: ExistingStack) -> list[str]:
    """Return the resources that are kept when the stack is deleted."""
    deleted = {change.logical_id for change in stack.removal.changes}
    return [f"{each.logical_id} {each.type}" for each in stack.resources if each.logical_id not in deleted]
