"""Look up the outputs of stacks that a fleet uses and does not deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.text import nearest
from exasol_ci_setup.stacks.output_values import find_outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.fleets.fleet import Fleet
    from exasol_ci_setup.fleets.problems import Place
    from exasol_ci_setup.template.input_files import StackOutput


def external_outputs(fleet: Fleet, whole: Fleet, connect: Callable[[Scope], Account]) -> dict[StackOutput, str]:
    """Return the values of the outputs that remain in the members of a linked fleet: those of stacks that it does not deploy.

    `whole` is the fleet with all stacks of the file. Raises InputError with the places of all outputs that do not exist, and the errors
    of the AWS boundary.
    """
    places: dict[StackOutput, list[Place]] = {}
    for member in fleet.members.values():
        for parameter, output in member.outputs.items():
            places.setdefault(output, []).append((*member.where, "parameters", parameter))
    found, unknown = find_outputs(places, lambda target: connect(fleet.targets[target].scope(target)))
    for output, rule in unknown.items():
        for place in places[output]:
            fleet.problems.add(place, f"{output}: {rule}{_suggestion(output, whole)}")
    if unknown:
        targets = dict.fromkeys(output.target for output in unknown)
        lists = (f"`exasol-ci-setup list --region {fleet.targets[each].region}`" for each in targets)
        raise fleet.problems.error(hint=f"to list the stacks of {', '.join(targets)}: {', '.join(lists)}")
    return found


def _suggestion(output: StackOutput, whole: Fleet) -> str:
    """Return which stack of the file may be meant: one that is not selected, one of another target, or one with a similar name."""
    if f"{output.target}/{output.stack}" in whole.members:
        return "; it is in the file, but not selected"
    by_stack = {each.construct.stack_name: name for name, each in whole.members.items()}
    near = nearest(output.stack, by_stack)
    return f"; did you mean {by_stack[near]}?" if near else ""
