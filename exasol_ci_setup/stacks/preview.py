"""Plan from templates alone, when AWS cannot create a change set yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.access import review
from exasol_ci_setup.core.stacks import Change, Plan
from exasol_ci_setup.stacks import data_loss, imports, properties, replacements, state, unique
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.template import intrinsics
from exasol_ci_setup.template.render import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.stacks import Setting, Stack
    from exasol_ci_setup.stacks.request import Request


def from_templates(cfn: CloudFormationClient, request: Request, current: Stack | None, *, note: str) -> Plan:
    """Return the plan for `request`, with a `note` with the reason why AWS was not called."""
    before: dict[str, Any] | None = None
    existing = None if current is None or state.is_absent(current) else current
    if existing is not None:
        before = planning.deployed_template(cfn, existing.id)
    settings = properties.setting_changes(
        tags_before=existing.user_tags if existing is not None else None,
        tags_after=request.tags,
        protected_before=existing.termination_protection if existing is not None else None,
        protected_after=request.termination_protection,
    )
    return between_templates(
        request,
        before,
        existing.parameters if existing is not None else {},
        stack_id=current.id if current is not None else "",
        settings=settings,
        notes=(note,),
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
    """Return the plan from the parsed template `before`, None for a new stack, to that of `request`.

    The resource schemas determine which resources are replaced.
    """
    if before is None:
        wanted: Mapping[str, Any] = parse(request.template.body)
    else:
        _, wanted = planning.parsed_as_deployed(request, before, parameters)
    changes = replacements.marked(
        _changes(before or {}, parameters, wanted, request.parameters), intrinsics.resolve(wanted, request.parameters)
    )
    names = (
        ()
        if before is None
        else unique.replacement_notes(
            changes, before, wanted, before_parameters=parameters, parameters=request.parameters
        )
    )
    return Plan(
        request.name,
        "CREATE" if before is None else "UPDATE",
        stack_id=stack_id,
        changes=data_loss.marked(changes, before, wanted),
        settings=settings,
        broadenings=review.review(before, wanted, before_parameters=parameters, after_parameters=request.parameters),
        notes=(*request.notes, *notes, *names),
    )


def recreated(plan: Plan, removal: Plan) -> Plan:
    """Return `plan`, which creates a stack, merged with its deletion before: a resource in both is replaced."""
    gone = {change.logical_id: change for change in removal.changes}
    created = {change.logical_id: change for change in plan.changes}
    replaced = {
        name: replace(change, action="Modify", replacement="True", policy_action="ReplaceAndDelete")
        for name, change in gone.items()
        if name in created
    }
    return replace(plan, changes=tuple({**created, **gone, **replaced}.values()), is_recreation=True)


def _changes(
    before: Mapping[str, Any], old: Mapping[str, str], wanted: Mapping[str, Any], new: Mapping[str, str]
) -> Iterator[Change]:
    there, resources = imports.resources(before), imports.resources(wanted)
    differences = properties.property_changes(before, old, wanted, new)
    for name, resource in resources.items():
        if name not in there:
            yield Change("Add", name, str(resource.get("Type", "")))
        elif name in differences:
            yield Change("Modify", name, str(resource.get("Type", "")), properties=differences[name])
    for name, resource in there.items():
        if name not in resources:
            yield Change("Remove", name, str(resource.get("Type", "")))
