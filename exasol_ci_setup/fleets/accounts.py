"""The accounts of the targets of a fleet, and the stacks in them that are not in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import InputError, SetupError, WrongAccountError
from exasol_ci_setup.core.tags import FLEET_TAG
from exasol_ci_setup.core.task_graph import read_all
from exasol_ci_setup.programs.removal import existing_stack, newest_first
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.fleets.fleet import Fleet
    from exasol_ci_setup.programs.connections import Connections
    from exasol_ci_setup.programs.removal import ExistingStack


def identified(fleet: Fleet, connect: Connections, *, guarded: bool = True) -> dict[str, str]:
    """Return the account ID of each target whose stacks are read, from GetCallerIdentity.

    Raises WrongAccountError for one that is not in the target's `allowed_accounts`, unless not `guarded`; InputError for two members that
    are the same stack; and the errors of `translate_aws_errors`, with the name of the target.
    """
    found: dict[str, str] = {}

    def ask(name: str) -> None:
        try:
            found[name] = connect.identity(fleet.targets[name].scope(name))
        except SetupError as error:
            error.message = f"target {name}: {error.message}"
            raise

    read_all(fleet.searched_targets, ask)
    wrong = []
    # In the order of the file, not in that of the responses.
    for name in fleet.searched_targets if guarded else ():
        account = found[name]
        allowed = fleet.targets[name].allowed_accounts
        if allowed is not None and account not in allowed:
            wrong.append(
                f"target {name} leads to account {account}, but {fleet.path} allows {', '.join(allowed) or 'none'}"
            )
    if wrong:
        raise WrongAccountError(
            "\n".join([f"{wrong[0]}: nothing was done", *wrong[1:]]),
            hint="check the target's profile and roles, or what AWS_PROFILE and AWS_ACCESS_KEY_ID are set to",
        )
    _require_apart(fleet, found)
    return found


def _require_apart(fleet: Fleet, accounts: dict[str, str]) -> None:
    taken: dict[tuple[str, str, str], str] = {}
    for name, member in fleet.members.items():
        key = (accounts[member.target], fleet.targets[member.target].region, member.construct.stack_name.lower())
        other = taken.setdefault(key, name)
        if other != name:
            raise InputError(
                f"{other} and {name} are the same stack: both targets lead to account {key[0]} in {key[1]}",
                hint="remove one of them, or merge both targets",
            )


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
