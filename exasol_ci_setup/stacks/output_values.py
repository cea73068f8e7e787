"""Look up outputs of stacks as values for the parameters of other stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import suggestion
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Stack
    from exasol_ci_setup.template.input_files import StackOutput

_HINT: Final = "`exasol-ci-setup list` lists the stacks, and `exasol-ci-setup outputs STACK` their outputs"


def look_up(outputs: Iterable[StackOutput], account_of: Callable[[str], Account]) -> dict[StackOutput, str]:
    """Return the values of `outputs`, as `find_outputs`. Raises InputError that names all stacks and outputs that do not exist."""
    found, problems = find_outputs(outputs, account_of)
    if problems:
        lines = [f"{each}: {rule}" for each, rule in problems.items()]
        raise InputError.of(lines, f"{len(lines)} outputs are unknown", hint=_HINT)
    return found


def find_outputs(
    outputs: Iterable[StackOutput], account_of: Callable[[str], Account]
) -> tuple[dict[StackOutput, str], dict[StackOutput, str]]:
    """Return the values of `outputs`, and why the others have none; each stack is read once.

    `account_of` returns the account of a target, which is empty for the caller's own. Raises the errors of the AWS boundary.
    """
    stacks: dict[tuple[str, str], Stack | None] = {}
    found: dict[StackOutput, str] = {}
    problems: dict[StackOutput, str] = {}
    for each in outputs:
        key = each.target, each.stack
        if key not in stacks:
            stacks[key] = state.find(account_of(each.target).client("cloudformation"), each.stack)
        stack = stacks[key]
        if stack is None or state.is_absent(stack):
            problems[each] = f"stack {each.stack} does not exist"
        elif each.output not in stack.outputs:
            names = f"its outputs: {', '.join(stack.outputs) or 'none'}"
            near = suggestion(each.output, stack.outputs, names)
            problems[each] = f"stack {each.stack} has no output {each.output}{near}"
        else:
            found[each] = stack.outputs[each.output]
    return found, problems
