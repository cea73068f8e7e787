"""What change sets of ministack compare, brought closer to AWS: conditions, outputs and the description."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# The reason of a change set that changes no resource.
_NO_CHANGES: Final = "didn't contain changes"


def make_executable(stack: dict[str, Any], change_set_name: str) -> None:
    """Let a change set be executed that changes no resource, but an output or the description of the template.

    AWS has such change sets, with an empty list of changes: https://github.com/aws/aws-cdk/pull/2029,
    https://github.com/boto/boto3/issues/1609.
    """
    from ministack.services.cloudformation import changesets

    _, change_set = changesets._find_change_set(change_set_name, stack["StackName"])  # noqa: SLF001
    if change_set is None or change_set["Status"] != "FAILED" or _NO_CHANGES not in change_set["StatusReason"]:
        return
    new = (change_set["_template"], change_set["_resolved_params"])
    old = (stack.get("_template") or {}, stack.get("_resolved_params") or {})
    described = [template.get("Description") for template, _ in (old, new)]
    if described[0] != described[1] or _outputs(stack, *old) != _outputs(stack, *new):
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")


def without_false_conditions(inner: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Leave resources whose condition is false out of what change sets compare."""

    def resolve(template: Any, values: Any, stack_name: str, stack_id: str) -> dict[str, Any]:
        from ministack.services.cloudformation import engine

        found = inner(template, values, stack_name, stack_id)
        conditions = engine._evaluate_conditions(template, values) if template else {}  # noqa: SLF001
        resources = found.get("Resources", {})
        kept = {name: each for name, each in resources.items() if conditions.get(each.get("Condition"), True)}
        return {**found, "Resources": kept} if resources else found

    return resolve


def _outputs(stack: dict[str, Any], template: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs whose conditions hold, with everything in them that is known before the deployment."""
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
        except Exception:  # noqa: BLE001 - what cannot be resolved yet is compared as it is written
            found[name] = output
    return found
