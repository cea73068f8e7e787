"""Find importable resources, mark them in the template, and keep the marks in every later one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.stacks import Plan
from exasol_ci_setup.stacks import change_set_request, changeset, validation
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.render import Template, parse

if TYPE_CHECKING:
    from collections.abc import Collection

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.stacks.change_set_request import ChangeSetMode
    from exasol_ci_setup.stacks.model import Request

# The key and the value in a resource's metadata. CloudFormation does not report afterwards which resources were imported.
_KEY: Final = "exasol-ci-setup"
_VALUE: Final = "imported"
# CloudFormation ignores a change of these two alone, so they could not be removed later by themselves:
# https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1543
_POLICIES: Final = ("DeletionPolicy", "UpdateReplacePolicy")
# What AWS treats as retained; the second value is for DeletionPolicy only.
_RETAINING: Final = frozenset({"Retain", "RetainExceptOnCreate"})
_MARK: Final = (
    "    # It existed before this stack, so it is kept when the stack is deleted.\n"
    f"    Metadata:\n      {_KEY}: {_VALUE}\n"
)
_LOGICAL_ID: Final = re.compile(r"  ([A-Za-z0-9]+):\s*")


def imported_resources(template: Mapping[str, Any]) -> frozenset[str]:
    """Return the logical IDs of the resources that a parsed template marks as imported."""
    return frozenset(
        name
        for name, resource in resources(template).items()
        if as_mapping(as_mapping(resource).get("Metadata")).get(_KEY) == _VALUE
    )


def mark_imported(template: Template, names: Collection[str]) -> Template:
    """Return `template` with the resources `names` marked as imported, so that AWS never deletes them.

    AWS imports only resources with such a policy: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html.
    The text keeps its comments, so it must be YAML that is indented by two spaces, as all rendered templates are. Raises InputError if it is
    not, or if a resource has its own metadata, or a policy that deletes it.
    """
    if not names:
        return template
    there = resources(parse(template.body))
    lines: list[str] = []
    inside = False
    for line in template.body.splitlines(keepends=True):
        lines.append(line)
        inside = line.startswith("Resources:") if line[:1].isalpha() else inside
        found = _LOGICAL_ID.fullmatch(line)
        if inside and found and found[1] in names:
            lines.append(_MARK)
            lines += [f"    {policy}: Retain\n" for policy in _POLICIES if policy not in there[found[1]]]
    result = replace(template, body="".join(lines))
    if any("Metadata" in there[name] for name in names) or not _are_marked(parse(result.body), names):
        raise InputError(f"{', '.join(sorted(names))} of the template {template.name} cannot be marked as imported")
    return result


def _are_marked(template: Mapping[str, Any], names: Collection[str]) -> bool:
    marked_resources = resources(template)
    retained = (marked_resources[name].get(policy) in _RETAINING for name in names for policy in _POLICIES)
    return imported_resources(template) >= set(names) and all(retained)


def keep_import_marks(template: Template, before: Mapping[str, Any]) -> Template:
    """Return `template` with the import marks of `before`, the parsed template of the stack."""
    there = resources(before)
    names = imported_resources(before)
    if not names:
        return template
    wanted = resources(parse(template.body))
    return mark_imported(
        template,
        {
            name
            for name in names - imported_resources({"Resources": wanted})
            if wanted.get(name, {}).get("Type") == there[name].get("Type")
        },
    )


def find_importable(
    context: Context,
    request: Request,
    before: Mapping[str, Any] | None,
    mode: ChangeSetMode,
) -> tuple[Request, Plan]:
    """Return `request` with the existing resources marked, and the change set in which AWS reported them.

    `before` is the parsed template of the stack, None for a new one; its resources are not searched. AWS finds a resource by the name that
    the template sets. The returned plan names a change set that serves only this query. Delete it once another change set
    keeps the empty new stack alive. The plan is falsy if no query was needed. If this raises, no change set remains.

    Raises TemplateRejectedError if AWS cannot import a resource, for instance because another stack has it.
    """
    cfn = context.cfn
    candidates = resources(parse(request.template.body)).keys() - resources(before or {}).keys()
    if not candidates:
        return request, Plan(request.name, mode.kind)
    asking = replace(request, template=mark_imported(request.template, candidates))
    wanted = parse(asking.template.body)
    question = change_set_request.create(context, asking, wanted, replace(mode, nested=False))
    with changeset.delete_on_error(cfn, question, context.clock):
        described = changeset.wait(context, question)
        if described["Status"] == "FAILED":
            errors, _ = validation.remarks(cfn, question.change_set_id, described.get("StatusReason", ""))
            change_set_request.require_no_changes(request, described.get("StatusReason", ""), errors, importing=True)
        changes, _ = changeset.changes(cfn, question.change_set_id, described)
        found = {change.logical_id for change in changes if change.action == "Import"}
        return replace(request, template=mark_imported(request.template, found)), question


def resources(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the resources of a parsed template by logical ID, without loops (``Fn::ForEach``)."""
    declared = as_mapping(template.get("Resources"))
    return {name: resource for name, resource in declared.items() if isinstance(resource, Mapping)}
