"""Make ministack's change sets compare conditions, outputs and descriptions as AWS does."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import strict
from exasol_ci_setup.sandbox.private import find_change_set

if TYPE_CHECKING:
    from collections.abc import Callable

# Part of the status reason of a change set without changed resources.
_NO_CHANGES: Final = "didn't contain changes"


def make_executable(stack: dict[str, Any], change_set_name: str) -> None:
    """Make a change set executable if it changes only outputs or the description of the template.

    On AWS such a change set has an empty list of changes: https://github.com/aws/aws-cdk/pull/2029,
    https://github.com/boto/boto3/issues/1609.
    """
    change_set = find_change_set(change_set_name, stack["StackName"])
    if change_set is None or change_set["Status"] != "FAILED" or _NO_CHANGES not in change_set["StatusReason"]:
        return
    new = (change_set["_template"], change_set["_resolved_params"])
    old = (stack.get("_template") or {}, stack.get("_resolved_params") or {})
    described = [template.get("Description") for template, _ in (old, new)]
    if described[0] != described[1] or _outputs(stack, *old) != _outputs(stack, *new):
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")


def resolve_for_comparison(
    inner: Callable[..., dict[str, Any]], template: Any, values: Any, stack_name: str, stack_id: str
) -> dict[str, Any]:
    """Exclude resources whose condition is false from the comparison of change sets, and compare references as such."""
    from ministack.services.cloudformation import engine

    found = inner(strict.with_references_as_text(template or {}), values, stack_name, stack_id)
    conditions = engine._evaluate_conditions(template, values) if template else {}  # noqa: SLF001
    resources = found.get("Resources", {})
    kept = {name: each for name, each in resources.items() if conditions.get(each.get("Condition"), True)}
    return {**found, "Resources": kept} if resources else found


def _outputs(stack: dict[str, Any], template: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs whose conditions are true, resolved as far as possible before the deployment."""
    from ministack.services.cloudformation import engine

    conditions = engine._evaluate_conditions(template, values)  # noqa: SLF001
    found: dict[str, Any] = {}
    for name, output in (template.get("Outputs") or {}).items():
        if not conditions.get(output.get("Condition"), True):
            continue
        try:
            found[name] = engine._resolve_refs(  # noqa: SLF001
                *(copy.deepcopy(output), stack.get("_resources", {}), values, conditions),
                *(template.get("Mappings", {}), stack["StackName"], stack["StackId"]),
            )
        except Exception:  # noqa: BLE001 - an output that cannot be resolved yet is compared as text
            found[name] = output
    return found
