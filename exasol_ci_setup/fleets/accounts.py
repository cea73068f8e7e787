"""Check that the credentials of each target of a fleet belong to an allowed account, before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import InputError, SetupError, WrongAccountError
from exasol_ci_setup.core.task_graph import read_all

if TYPE_CHECKING:
    from exasol_ci_setup.fleets.fleet import Fleet
    from exasol_ci_setup.programs.connections import Connections


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
