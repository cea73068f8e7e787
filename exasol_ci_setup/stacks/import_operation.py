"""Import existing resources into a stack by their identifiers, without any other change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import DeployFailedError, InputError, StackBusyError, StackNotUpdatableError
from exasol_ci_setup.stacks import changeset, imports, state
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks.change_set_request import ChangeSetMode, create
from exasol_ci_setup.stacks.deploy import Options, Outcome, Result, carry_out
from exasol_ci_setup.stacks.upload import template_source
from exasol_ci_setup.template import references
from exasol_ci_setup.template.render import parse, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Plan, Request, Stack
    from exasol_ci_setup.template.render import Template

# Between the values of an identifier of several properties, as in Cloud Control API:
# https://docs.aws.amazon.com/cloudcontrolapi/latest/userguide/resource-identifier.html
SEPARATOR: Final = "|"


def import_resources(
    account: Account,
    request: Request,
    identifiers: Mapping[str, str],
    *,
    approve: Callable[[Plan], bool],
    view: Callable[[str], View],
    clock: Clock,
    adopt: bool = False,
    check: Callable[[], None] = lambda: None,
    notice: Callable[[str], None] = lambda _message: None,
) -> Result:
    """Import resources into the stack of `request`, which is created if it does not exist, and return when AWS has finished.

    `identifiers` maps logical IDs of the request's template to identifiers, several values separated by ``|``. The
    template of the stack becomes its current one plus these resources. The other resources, outputs and tags of the request are left for a
    deployment, because AWS creates none of them in an import: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html.
    `approve`, `view`, `check` and `notice` are as for `deploy`. `adopt`: accept a stack that this tool did not create.

    Raises InputError for what AWS cannot import or does not find, StackError for a stack of another tool, StackBusyError, StackNotUpdatableError,
    TemplateRejectedError, DeployFailedError, OperationInterruptedError, and the errors of `translate_aws_errors`.
    """
    cfn = account.client("cloudformation")
    current = state.find(cfn, request.name)
    before = _importable_template(account, request, current, adopt=adopt)
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
    resources = _resources_to_import(account, template, identifiers, bucket=request.template_bucket)
    check()
    plan = _plan_import(account, request, wanted, resources, clock, notice, new=before is None)
    with changeset.delete_on_error(cfn, plan, clock):
        if not approve(plan):
            # Inside the block, so that an interruption deletes it too.
            changeset.delete_change_set(cfn, plan, clock)
            return Result(Outcome.PLANNED, plan, current)
    try:
        stack = carry_out(account, request, plan, view, clock, Options())
    except DeployFailedError as error:
        if error.diagnosis.status.endswith("_FAILED"):
            error.hint = f"AWS could not roll it back: `aws cloudformation describe-stack-resources --stack-name {request.name}` lists the resources of the stack"
            raise
        error.hint = "the resources are unchanged: correct the template, so that it describes them"
        if before is None:
            error.hint += f"; `aws cloudformation delete-stack --stack-name {request.name}` removes the empty stack"
        raise
    return Result(Outcome.DEPLOYED, plan, stack)


def _importable_template(
    account: Account, request: Request, current: Stack | None, *, adopt: bool
) -> dict[str, Any] | None:
    """Return the parsed template of the stack, None if it does not exist. Raises an error if AWS can import nothing into it."""
    if current is None or state.is_absent(current):
        return None
    if state.is_busy(current):
        raise StackBusyError(
            f"stack {current.name} is busy: {current.status}",
            hint=f"to watch it: `exasol-ci-setup watch {current.name}`",
            stack_name=current.name,
        )
    state.require_own(current, request.tags, adopt=adopt)
    if state.is_stuck(current) or state.is_unfinished(current):
        delete = "exasol-ci-setup delete" if state.is_own(current) else "aws cloudformation delete-stack --stack-name"
        raise StackNotUpdatableError(
            f"stack {current.name} is in {current.status}, in which AWS imports nothing",
            hint=f"check its resources, then `{delete} {current.name}`, and import into a new stack"
            if state.is_stuck(current)
            else "deploy it first, so that its last operation succeeds",
            stack_name=current.name,
        )
    state.require_updatable(current)
    return planning.deployed_template(account.client("cloudformation"), current.name)


def _template(wanted: Template, before: Mapping[str, Any] | None, identifiers: Mapping[str, str]) -> Template:
    """Return the template of the import: that of the stack, plus the marked resources."""
    # The marks need YAML that is indented by two spaces.
    source = parse(wanted.body)
    known = imports.resources(source)
    there: dict[str, Any] = dict((before or {}).get("Resources") or {})
    for name in identifiers:
        if name not in known:
            named = ", ".join(f"{each} ({resource.get('Type')})" for each, resource in known.items())
            raise InputError(f"the template has no resource {name!r}", hint=f"its resources are: {named}")
        if name in there:
            raise InputError(f"{name} is already in the stack: it cannot be replaced by an import")
    added = {name: known[name] for name in known if name in identifiers}
    referred = [
        (name, each.name) for name, resource in added.items() for each in references.resource_references(resource)
    ]
    for name, each in referred:
        if each in known and each not in added and each not in there:
            raise InputError(
                f"{name} refers to {each}, which would not be in the stack",
                hint=f"import both, with a further --resource {each}=…, or deploy first and then import",
            )
    used = {each for _, each in referred}
    parameters = {name: value for name, value in (source.get("Parameters") or {}).items() if name in used}
    rest = source.keys() - {"AWSTemplateFormatVersion", "Description"}
    result = dict(before) if before is not None else {key: value for key, value in source.items() if key not in rest}
    result["Parameters"] = {**(result.get("Parameters") or {}), **parameters}
    result["Resources"] = {**there, **added}
    if not result["Parameters"]:
        del result["Parameters"]
    return imports.mark_imported(replace(wanted, body=written(result)), added.keys())


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


def _plan_import(
    account: Account,
    request: Request,
    wanted: Mapping[str, Any],
    resources: list[dict[str, Any]],
    clock: Clock,
    notice: Callable[[str], None],
    *,
    new: bool,
) -> Plan:
    cfn = account.client("cloudformation")
    plan = create(account, request, wanted, clock, ChangeSetMode(new, resources=resources))
    with changeset.delete_on_error(cfn, plan, clock):
        described = changeset.wait(cfn, plan, clock, notice)
        reason = described.get("StatusReason") or "it gave no reason"
        if described["Status"] == "FAILED" or described.get("ExecutionStatus") == "UNAVAILABLE":
            raise InputError(
                f"AWS rejected the import into stack {request.name}: {reason}",
                hint="check the identifiers, and that no other stack has the resources; nothing was changed",
            )
        changes, notes = changeset.changes(cfn, plan.change_set_id, described)
    return replace(plan, changes=changes, notes=notes)
