"""Whether a plan goes beyond another one, which was approved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.access import review

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.core.stacks import Change, Plan


def excess(shown: Plan | None, plan: Plan) -> str:
    """Return the first change of `plan` that the approved plan `shown` does not have, empty without one.

    This is another resource, a replacement, broader access, or more data loss.
    """
    return next(_excesses(shown, plan), "")


def _excesses(shown: Plan | None, plan: Plan) -> Iterator[str]:
    yield from _further_changes(shown.every_change if shown else {}, plan.every_change)
    if review.needs_approval(plan.broadenings, plan.kind):
        allowed = {each.message for each in shown.broadenings} if shown else set()
        yield from (each.message for each in plan.broadenings if each.message not in allowed)
    lost = shown.data_loss if shown else ()
    yield from (f"data loss of {name}" for name in plan.data_loss if name not in lost)


def _further_changes(before: Mapping[str, Change], after: Mapping[str, Change]) -> Iterator[str]:
    """Yield the changes, and then the replacements, that are not in `before`."""
    replaced = {name for name, each in before.items() if each.may_replace}
    known = {(each.action, name) for name, each in before.items()}
    # If the stack was deleted because it could not be updated, an approved replacement becomes a creation.
    known |= {("Add", name) for name in replaced}
    # Whether a resource exists already, AWS reports only with a change set.
    known |= {("Import", name) for action, name in known if action == "Add"}
    yield from (f"{each.action} of {name}" for name, each in after.items() if (each.action, name) not in known)
    for name, each in after.items():
        if each.replacement == "True" and name not in replaced:
            yield f"replacement of {name}"
