"""What a stack's deployment would change as far as templates tell it, where AWS cannot be asked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exasol_ci_setup import review, templates
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks import properties, state
from exasol_ci_setup.stacks.model import Change, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.stacks.model import Request, Stack


def from_templates(cfn: CloudFormationClient, request: Request, current: Stack | None, *, note: str) -> Plan:
    """Return the plan for `request`, with a `note` that says why AWS was not asked. Which resources it would replace is not known."""
    wanted = templates.parse(request.template.body)
    before: dict[str, Any] = {}
    parameters: Mapping[str, str] = {}
    new = state.is_absent(current)
    if current is not None and not new:
        before = planning.deployed_template(cfn, current.id)
        parameters = current.parameters
    return Plan(
        request.name,
        "CREATE" if new else "UPDATE",
        stack_id=current.id if current is not None else "",
        changes=tuple(_changes(before, parameters, wanted, request.parameters)),
        broadenings=review.review(
            None if new else before, wanted, before_parameters=parameters, after_parameters=request.parameters
        ),
        notes=(note,),
    )


def _changes(
    before: Mapping[str, Any], old: Mapping[str, str], wanted: Mapping[str, Any], new: Mapping[str, str]
) -> Iterator[Change]:
    there: Mapping[str, Any] = before.get("Resources") or {}
    resources: Mapping[str, Any] = wanted.get("Resources") or {}
    differences = properties.property_changes(before, old, wanted, new)
    for name, resource in resources.items():
        if name not in there:
            yield Change("Add", name, str(resource.get("Type", "")))
        elif name in differences:
            yield Change("Modify", name, str(resource.get("Type", "")), properties=differences[name])
    for name, resource in there.items():
        if name not in resources:
            yield Change("Remove", name, str(resource.get("Type", "")))
