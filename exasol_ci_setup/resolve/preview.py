"""What a stack's deployment would change as far as templates tell it, where AWS cannot be asked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exasol_ci_setup import review, templates
from exasol_ci_setup.stacks import imports, properties, state
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks.model import Change, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.stacks.model import Request, Setting, Stack


def from_templates(cfn: CloudFormationClient, request: Request, current: Stack | None, *, note: str) -> Plan:
    """Return the plan for `request`, with a `note` that says why AWS was not asked. Which resources it would replace is not known."""
    before: dict[str, Any] | None = None
    parameters: Mapping[str, str] = {}
    if current is not None and not state.is_absent(current):
        before = planning.deployed_template(cfn, current.id)
        parameters = current.parameters
    return between_templates(
        request, before, parameters, stack_id=current.id if current is not None else "", notes=(note,)
    )


def between_templates(
    request: Request,
    before: Mapping[str, Any] | None,
    parameters: Mapping[str, str],
    *,
    stack_id: str,
    settings: tuple[Setting, ...] = (),
    notes: tuple[str, ...] = (),
) -> Plan:
    """Return the plan from the parsed template `before`, None if there is none, to that of `request`."""
    wanted = templates.parse(imports.kept(request.template, before or {}).body)
    return Plan(
        request.name,
        "CREATE" if before is None else "UPDATE",
        stack_id=stack_id,
        changes=tuple(_changes(before or {}, parameters, wanted, request.parameters)),
        settings=settings,
        broadenings=review.review(before, wanted, before_parameters=parameters, after_parameters=request.parameters),
        notes=notes,
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
