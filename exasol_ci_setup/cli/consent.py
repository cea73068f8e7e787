"""What needs more than a yes: access that a plan widens, and data that it deletes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup import review
from exasol_ci_setup.cli import show
from exasol_ci_setup.errors import InputError, NotApprovedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.stacks.model import Plan


@dataclass(frozen=True)
class Consent:
    """What the options of this run approve beyond --yes."""

    session: Session
    allow_broadening: bool = False
    allow_data_loss: bool = False

    def require(self, *plans: Plan, left: str = "nothing was changed") -> None:
        """Raise Declined if one of the plans needs more than --yes and there is no terminal. `left` says what was not changed."""
        if self.session.output.can_ask:
            return
        for plan in plans:
            if missing := self._missing(plan):
                raise NotApprovedError(
                    f"not deployed: the change to stack {plan.stack_name} {' and '.join(missing.values())}, which --yes does not approve "
                    "where nobody can be asked",
                    hint=f"look at the plan, then add {' '.join(missing)}: {self.session.again(*missing)}; {left}",
                    stack_name=plan.stack_name,
                )

    def _missing(self, plan: Plan) -> dict[str, str]:
        """Return the options that the plan needs and that were not given, each with what it approves."""
        missing = {}
        if not self.allow_broadening and review.needs_approval(plan.broadenings, plan.kind):
            missing["--allow-broadening"] = "broadens access"
        if not self.allow_data_loss and plan.data_loss:
            missing["--allow-data-loss"] = f"deletes data ({_listed(plan.data_loss)})"
        return missing


def require_terminal(output: Output, *, hint: str = "add --yes, or --plan") -> None:
    """Raise InputError if the user cannot be asked, because there is no terminal."""
    if not output.can_ask:
        raise InputError("confirmation is needed, but there is no terminal", hint=hint)


def warning(plans: Mapping[str, Plan], *, allow_broadening: bool = False) -> str:
    """Return what a question must say of plans, by stack, that need more than a yes; empty if none does.

    With `allow_broadening` wider access was approved before.
    """
    lost = [f"{name}/{each}" if len(plans) > 1 else each for name, plan in plans.items() for each in plan.data_loss]
    wider = not allow_broadening and any(review.needs_approval(plan.broadenings, plan.kind) for plan in plans.values())
    return ("This broadens access. " if wider else "") + (f"Data loss: {_listed(lost)}. " if lost else "")


def require_no_more_than(shown: Plan | None, plan: Plan) -> None:
    """Raise Declined if `plan` has more than the user was shown: another resource, a replacement, wider access, or more data loss."""
    before = shown.every_change if shown else {}
    replaced = {name for name, each in before.items() if each.replacement in {"True", "Conditional"}}
    # Once a stack was deleted because no update can fix it, what was shown as replaced is created.
    known = {(each.action, name) for name, each in before.items()} | {("Add", name) for name in replaced}
    allowed = {each.message for each in shown.broadenings} if shown else set()
    more = [f"{each.action} of {name}" for name, each in plan.every_change.items() if (each.action, name) not in known]
    more += [
        f"replacement of {name}"
        for name, each in plan.every_change.items()
        if each.replacement == "True" and name not in replaced
    ]
    if review.needs_approval(plan.broadenings, plan.kind):
        more += [each.message for each in plan.broadenings if each.message not in allowed]
    if more:
        raise _more_than_shown(plan, more[0])
    require_no_more_data_loss(shown, plan)


def require_no_more_data_loss(shown: Plan | None, plan: Plan) -> None:
    """Raise Declined if `plan` deletes data that the user was not shown."""
    known = set(shown.data_loss) if shown else set()
    more = [name for name in plan.data_loss if name not in known]
    if more:
        raise _more_than_shown(plan, f"data loss of {more[0]}")


def _more_than_shown(plan: Plan, what: str) -> NotApprovedError:
    return NotApprovedError(
        f"not deployed: stack {plan.stack_name} turned out to need more than was shown: {what}",
        hint="run the same command again: what is known by now is in its plan",
        stack_name=plan.stack_name,
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(show.clean, names))
