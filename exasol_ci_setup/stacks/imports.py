"""Find importable resources, mark them in the template, and keep the marks in every later one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import InputError, TemplateRejectedError
from exasol_ci_setup.core.stacks import Plan
from exasol_ci_setup.stacks import change_set_request, changeset, validation
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.render import Template, parse
from exasol_ci_setup.template.replacement import replace_values

if TYPE_CHECKING:
    from collections.abc import Collection

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.stacks.change_set_request import ChangeSetMode
    from exasol_ci_setup.stacks.request import Request

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
    The text keeps its comments if the mark is simple to insert; otherwise the marked resources are written again. Raises InputError if a resource
    has a policy that deletes it.
    """
    if not names:
        return template
    parsed = parse(template.body)
    there = resources(parsed)
    deleted = sorted(
        name for name in names if any(there[name].get(policy, "Retain") not in _RETAINING for policy in _POLICIES)
    )
    if deleted:
        raise InputError(
            f"{', '.join(deleted)} of the template {template.name} cannot be marked as imported: a policy deletes it",
            hint=f"set {' and '.join(_POLICIES)} to Retain, or omit them",
        )
    wanted = {name: _marked(there[name]) for name in names}
    text = _insert_marks(template.body, there, names)
    if not any("Metadata" in there[name] for name in names) and _has_resources(text, {**there, **wanted}):
        return replace(template, body=text)
    return replace(
        template, body=replace_values(template.body, {("Resources", name): each for name, each in wanted.items()})
    )


def _marked(resource: Mapping[str, Any]) -> dict[str, Any]:
    policies = {policy: "Retain" for policy in _POLICIES if policy not in resource}
    return {**resource, "Metadata": {**as_mapping(resource.get("Metadata")), _KEY: _VALUE}, **policies}


def _insert_marks(body: str, there: Mapping[str, Mapping[str, Any]], names: Collection[str]) -> str:
    """Return the text with a mark below each resource in `names`, if the text is indented by two spaces as all rendered templates are."""
    lines: list[str] = []
    inside = False
    for line in body.splitlines(keepends=True):
        lines.append(line)
        inside = line.startswith("Resources:") if line[:1].isalpha() else inside
        found = _LOGICAL_ID.fullmatch(line)
        if inside and found and found[1] in names:
            lines.append(_MARK)
            lines += [f"    {policy}: Retain\n" for policy in _POLICIES if policy not in there[found[1]]]
    return "".join(lines)


def _has_resources(body: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return resources(parse(body)) == wanted
    except TemplateRejectedError:
        return False


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
