"""Find the stacks of a fleet that are no longer in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.tags import FLEET_TAG
from exasol_ci_setup.core.task_graph import read_all
from exasol_ci_setup.programs.removal import existing_stack, newest_first
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.fleets.fleet import Fleet
    from exasol_ci_setup.programs.removal import ExistingStack


def undeclared(fleet: Fleet, connect: Callable[[Scope], Account]) -> dict[str, ExistingStack]:
    """Return the stacks in the targets of the fleet that have its tag and are not in its file, the newest first.

    A target that is no longer in the file is not searched. A fleet without a name has no tag, so nothing is found.

    Raises the errors of `translate_aws_errors`.
    """
    if fleet.name is None:
        return {}
    found: dict[str, ExistingStack] = {}

    def search(target: str) -> None:
        account = connect(fleet.targets[target].scope(target))
        for stack in state.own(account.client("cloudformation")):
            name = f"{target}/{stack.name}"
            if stack.tags.get(FLEET_TAG) == fleet.name and name not in fleet.members and not state.is_absent(stack):
                found[name] = existing_stack(account, stack)

    read_all(fleet.targets, search)
    # Two targets may lead to one account and region.
    declared = {(fleet.targets[each.target].region, each.construct.stack_name) for each in fleet.members.values()}
    by_id = {each.stack.id: (name, each) for name, each in found.items()}
    return newest_first(
        {name: each for name, each in by_id.values() if (each.stack.id.split(":")[3], each.stack.name) not in declared}
    )
