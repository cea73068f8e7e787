"""Plans that are equal except for the names of their stacks, such as those of a fleet of similar projects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.cli.render.records import plain
from exasol_ci_setup.core.stacks import ABSENT
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.core.stacks import Plan

# What AWS generates for each stack, and no plan shows.
_GENERATED: Final = frozenset({"stack_id", "change_set_id", "physical_id"})


def groups(plans: Mapping[str, Plan], notes: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the keys of `plans` in groups of equal plans, in their order. `notes` are further remarks on a plan, by its key.

    Two plans are equal if they differ only in the names of their own stacks and projects.
    """
    found: dict[str, list[str]] = {}
    for key, plan in plans.items():
        found.setdefault(without_names(plan, notes.get(key, ())), []).append(key)
    return list(found.values())


def without_names(plan: Plan, notes: Sequence[str] = ()) -> str:
    """Return a text that is the same for equal plans with equal `notes`."""
    text = json.dumps([_without_generated(plain(plan)), *notes])
    names = [plan.stack_name, *(_tag(plan, f"{TAG_PREFIX}{key}") for key in ("project", "name"))]
    # The longest first, since the name of a stack may begin with that of its project.
    for number, name in sorted(enumerate(names), key=lambda each: -len(each[1])):
        if name:
            # JSON escapes control characters, so the text contains no other one.
            text = text.replace(name, chr(number))
    return text


def _tag(plan: Plan, key: str) -> str:
    """Return the value of a tag that the plan sets, changes or removes; empty for other tags."""
    found = next((item for item in plan.settings if item.name == f"tags.{key}"), None)
    if found is None:
        return ""
    return str(found.before if found.after is ABSENT else found.after)


def _without_generated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_generated(each) for key, each in value.items() if key not in _GENERATED}
    return [_without_generated(each) for each in value] if isinstance(value, list) else value
