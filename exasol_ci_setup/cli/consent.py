"""Approval of plans that broaden access or delete data, beyond --yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.access import review
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.core.errors import InputError, NotApprovedError
from exasol_ci_setup.stacks.approval import excess

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Plan

_MOST_NAMES: Final = 5


@dataclass(frozen=True)
class Consent:
    """Approvals by the options of this run, beyond --yes."""

    session: Session
    allow_broadening: bool = False
    allow_data_loss: bool = False

    def require(self, *plans: Plan, unchanged: str = "nothing was changed") -> None:
        """Raise NotApprovedError if a plan needs more than --yes without a terminal. `unchanged` ends the hint."""
        if self.session.output.can_ask:
            return
        for plan in plans:
            if missing := self._missing(plan):
                raise NotApprovedError(
                    f"not deployed: the change to stack {plan.stack_name} {' and '.join(missing.values())}; "
                    "without a terminal, --yes does not approve that",
                    hint=f"review the plan, then add {' '.join(missing)}: {self.session.again(*missing)}; {unchanged}",
                    stack_name=plan.stack_name,
                )

    def _missing(self, plan: Plan) -> dict[str, str]:
        """Return the missing options that the plan needs, each with the reason."""
        missing = {}
        if not self.allow_broadening and review.needs_approval(plan.broadenings, plan.kind):
            missing["--allow-broadening"] = "broadens access"
        if not self.allow_data_loss and plan.data_loss:
            missing["--allow-data-loss"] = f"deletes data ({_join(plan.data_loss)})"
        return missing


def require_terminal(
    output: Output, *, needed: str = "confirmation is needed", hint: str = "add --yes, or --plan"
) -> None:
    """Raise InputError if the user cannot be asked, because there is no terminal. `needed` says what for."""
    if not output.can_ask:
        raise InputError(f"{needed}, but there is no terminal", hint=hint)


def warning(plans: Mapping[str, Plan], *, allow_broadening: bool = False) -> str:
    """Return the warnings that a question about these plans, by stack, starts with; may be empty.

    With `allow_broadening` broader access is approved already.
    """
    lost = [f"{name}/{each}" if len(plans) > 1 else each for name, plan in plans.items() for each in plan.data_loss]
    broadens = not allow_broadening and any(
        review.needs_approval(plan.broadenings, plan.kind) for plan in plans.values()
    )
    return ("This broadens access. " if broadens else "") + (f"Data loss: {_join(lost)}. " if lost else "")


def require_no_more_than(shown: Plan | None, plan: Plan) -> None:
    """Raise NotApprovedError if `plan` exceeds the plan that the user approved."""
    if more := excess(shown, plan):
        raise NotApprovedError(
            f"not deployed: stack {plan.stack_name} needs a change that the approved plan does not show: {more}",
            hint="run the command again: its plan shows this change",
            stack_name=plan.stack_name,
        )


def _join(names: Iterable[str]) -> str:
    """Return names as text; of many names, the first ones and the number of the others."""
    found = list(map(show.clean, names))
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return f"{', '.join(found[:_MOST_NAMES])}{more}"
