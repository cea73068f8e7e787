"""Import existing resources into a stack by their identifiers, without any other change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import (
    UNCHANGED,
    DeployFailedError,
    InputError,
    OperationInterruptedError,
    SetupError,
    StackNotUpdatableError,
)
from exasol_ci_setup.core.stacks import ABSENT, Options, Outcome, Result, Setting
from exasol_ci_setup.stacks import changeset, imports, state
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks.change_set_request import ChangeSetMode, create
from exasol_ci_setup.stacks.deploy import OpenPlan, confirm_and_apply, plan
from exasol_ci_setup.stacks.upload import template_source
from exasol_ci_setup.template import references
from exasol_ci_setup.template.render import parse, written

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Plan, Stack
    from exasol_ci_setup.stacks.request import Request
    from exasol_ci_setup.template.render import Template

# Between the values of an identifier of several properties, as in Cloud Control API:
# https://docs.aws.amazon.com/cloudcontrolapi/latest/userguide/resource-identifier.html
SEPARATOR: Final = "|"
# The parts of a template that a new stack receives besides the resources and their parameters.
_HEAD: Final = frozenset({"AWSTemplateFormatVersion", "Description"})
_DEFAULTS: Final = Options()
# CreateChangeSet rejects them: "As part of the import operation, you cannot modify or add [Tags]".
_TAGS_NOTE: Final = (
    "AWS accepts no tags in an import: an update sets them afterwards, also on the resources that take tags"
)


def import_resources(
    context: Context, request: Request, identifiers: Mapping[str, str], options: Options = _DEFAULTS
) -> Result:
    """Import resources into the stack of `request`, which is created if it does not exist, and return when AWS has finished.

    `identifiers` maps logical IDs of the request's template to identifiers, several values separated by ``|``. The
    template of the stack becomes its current one plus these resources. The other resources and outputs of the request are left for a
    deployment, because AWS creates none of them in an import: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html.
    The tags of a new stack are set by an update. Of the `options`, `adopt` applies.

    Raises InputError for what AWS cannot import or does not find, StackError for a stack of another tool, StackBusyError, StackNotUpdatableError,
    NotApprovedError, TemplateRejectedError, DeployFailedError, OperationInterruptedError, and the errors of `translate_aws_errors`.
    """
    with plan_import(context, request, identifiers, options) as planned:
        try:
            result = confirm_and_apply(planned)
        except DeployFailedError as error:
            error.hint = _next_step(error, request.name, is_new=planned.stack is None)
            raise
    if result.outcome is not Outcome.DEPLOYED or planned.stack is not None:
        return result
    return replace(result, stack=_tagged(context, planned.request))


def _tagged(context: Context, request: Request) -> Stack:
    """Set the tags of a stack that an import created, and return the stack. If that is not possible, a note says why.

    The change is part of the confirmed plan, unless it replaces a resource, as a new tag does for a few types:
    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1655.
    """
    problem = ""
    try:
        with plan(context, request, Options(adopt=True)) as update:
            replaced = [change.logical_id for change in update.plan.changes if change.may_replace]
            if replaced:
                problem = f"they would replace {', '.join(replaced)}"
            else:
                update.apply()
    except OperationInterruptedError:
        raise
    except SetupError as error:
        problem = error.message
    if problem:
        context.note(f"the resources are imported, but stack {request.name} has no tags: {problem}")
    return state.get(context.cfn, request.name)


def _next_step(error: DeployFailedError, name: str, *, is_new: bool) -> str:
    if error.diagnosis.status.endswith("_FAILED"):
        return f"AWS could not roll it back: `aws cloudformation describe-stack-resources --stack-name {name}` lists the resources of the stack"
    hint = "the resources are unchanged: correct the template, so that it describes them"
    if is_new:
        hint += f"; `aws cloudformation delete-stack --stack-name {name}` removes the empty stack"
    return hint


def plan_import(
    context: Context, request: Request, identifiers: Mapping[str, str], options: Options = _DEFAULTS
) -> OpenPlan:
    """Return the plan of an import; the arguments are as for `import_resources`. Raises as `import_resources`."""
    current = state.find(context.cfn, request.name)
    before = _importable_template(context.cfn, request, current, adopt=options.adopt)
    template = _template(request.template, before, identifiers)
    wanted = parse(template.body)
    declared = wanted.get("Parameters") or {}
    kept = tuple(current.parameters) if before is not None and current is not None else ()
    request = replace(
        request,
        template=template,
        parameters={name: value for name, value in request.parameters.items() if name in declared and name not in kept},
        kept_parameters=kept,
    )
    resources = _resources_to_import(context.account, template, identifiers, bucket=request.template_bucket)
    context.lint(template)
    found = _create_plan(context, request, wanted, ChangeSetMode(before is None, resources=resources))
    if before is None:
        tags = tuple(Setting(f"tags.{key}", ABSENT, value) for key, value in request.tags.items())
        found = replace(found, settings=tags, notes=(*found.notes, _TAGS_NOTE))
    return OpenPlan(context, request, Options(), found, current if before is not None else None)


def _importable_template(
    cfn: CloudFormationClient, request: Request, current: Stack | None, *, adopt: bool
) -> dict[str, Any] | None:
    """Return the parsed template of the stack, None if it does not exist. Raises an error if AWS can import nothing into it."""
    if current is None or state.is_absent(current):
        return None
    state.require_idle(current)
    state.require_own(current, request.tags, adopt=adopt)
    if state.is_stuck(current) or state.has_failed_without_rollback(current):
        delete = "exasol-ci-setup delete" if state.is_own(current) else "aws cloudformation delete-stack --stack-name"
        raise StackNotUpdatableError(
            f"stack {current.name} is in {current.status}, in which AWS imports nothing",
            hint=f"check its resources, then `{delete} {current.name}`, and import into a new stack"
            if state.is_stuck(current)
            else "deploy it first, so that its last operation succeeds",
            stack_name=current.name,
        )
    state.require_updatable(current)
    return planning.deployed_template(cfn, current.name)


def _template(wanted: Template, before: Mapping[str, Any] | None, identifiers: Mapping[str, str]) -> Template:
    """Return the template of the import: that of the stack, plus the marked resources."""
    # The marks need YAML that is indented by two spaces.
    source = parse(wanted.body)
    known = imports.resources(source)
    # Without a stack the result starts with the head of the wanted template.
    start = before if before is not None else {key: source[key] for key in source if key in _HEAD}
    there: dict[str, Any] = dict(start.get("Resources") or {})
    added = _added_resources(known, there, identifiers)
    used = _used_names(known, there, added)
    parameters = {
        **(start.get("Parameters") or {}),
        **{name: value for name, value in (source.get("Parameters") or {}).items() if name in used},
    }
    result = {**start, "Parameters": parameters, "Resources": {**there, **added}}
    if not parameters:
        del result["Parameters"]
    return imports.mark_imported(replace(wanted, body=written(result)), added.keys())


def _added_resources(
    known: Mapping[str, Mapping[str, Any]], there: Collection[str], names: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """Return the resources `names` of those in the template. Raises InputError for a missing one, and for one of the stack."""
    for name in names:
        if name not in known:
            named = ", ".join(f"{each} ({resource.get('Type')})" for each, resource in known.items())
            raise InputError(f"the template has no resource {name!r}", hint=f"its resources are: {named}")
        if name in there:
            raise InputError(f"{name} is already in the stack: it cannot be replaced by an import")
    return {name: known[name] for name in known if name in names}


def _used_names(known: Collection[str], there: Collection[str], added: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the names that the `added` resources refer to. Raises InputError for a resource that the stack would not have."""
    used: set[str] = set()
    for name, resource in added.items():
        for each in references.resource_references(resource):
            if each.name in known and each.name not in added and each.name not in there:
                raise InputError(
                    f"{name} refers to {each.name}, which would not be in the stack",
                    hint=f"import both, with a further --resource {each.name}=…, or deploy first and then import",
                )
            used.add(each.name)
    return used


def _resources_to_import(
    account: Account, template: Template, identifiers: Mapping[str, str], *, bucket: str | None
) -> list[dict[str, Any]]:
    """Return the ``ResourceToImport`` list. Raises InputError for an unsupported type and an invalid identifier."""
    cfn = account.client("cloudformation")
    with translate_aws_errors():
        source: Any = template_source(account, template, bucket=bucket)
        summary = cfn.get_template_summary(**source)
    keys = {
        # Each entry is an alternative identifier (https://github.com/aws/aws-cdk/issues/36268). One of several properties is separated by commas.
        name: (each["ResourceType"], [properties.split(",") for properties in each["ResourceIdentifiers"]])
        for each in summary.get("ResourceIdentifierSummaries", [])
        for name in each.get("LogicalResourceIds", [])
    }
    declared = parse(template.body)["Resources"]
    result = []
    for name, identifier in identifiers.items():
        if name not in keys:
            raise InputError(f"AWS cannot import {name}, a resource of type {declared[name]['Type']}")
        kind, alternatives = keys[name]
        values = _values(alternatives, identifier)
        if not values:
            known = ", or by ".join(" and ".join(properties) for properties in alternatives)
            raise InputError(
                f"{identifier!r} does not identify {name}: AWS identifies {kind} by {known}",
                hint="write " + " or ".join(f"{name}={SEPARATOR.join(properties)}" for properties in alternatives),
            )
        result.append({"ResourceType": kind, "LogicalResourceId": name, "ResourceIdentifier": values})
    return result


def _values(alternatives: Sequence[Sequence[str]], identifier: str) -> dict[str, str]:
    """Return the properties of the alternative that matches `identifier`, empty if none does.

    The alternative with the most properties wins; among equal ones that with an ARN, if `identifier` is one.
    """
    found: list[dict[str, str]] = []
    for properties in alternatives:
        values = identifier.split(SEPARATOR, len(properties) - 1)
        if len(values) == len(properties) and all(values):
            found.append(dict(zip(properties, values, strict=True)))

    def unlike(values: Mapping[str, str]) -> tuple[int, int]:
        return -len(values), sum(name.endswith("Arn") != value.startswith("arn:") for name, value in values.items())

    return min(found, key=unlike, default={})


def _create_plan(context: Context, request: Request, wanted: Mapping[str, Any], mode: ChangeSetMode) -> Plan:
    cfn = context.cfn
    created = create(context, request, wanted, mode)
    with changeset.delete_on_error(cfn, created, context.clock):
        described = changeset.wait(context, created)
        reason = described.get("StatusReason") or "it gave no reason"
        if described["Status"] == "FAILED" or described.get("ExecutionStatus") == "UNAVAILABLE":
            raise InputError(
                f"AWS rejected the import into stack {request.name}: {reason}",
                hint=f"check the identifiers, and that no other stack has the resources; {UNCHANGED}",
            )
        changes, notes = changeset.changes(cfn, created.change_set_id, described)
    return replace(created, changes=changes, notes=notes)
