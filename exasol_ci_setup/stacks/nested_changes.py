"""Read the changes of a change set in nested stacks, as far as AWS reports them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/change-sets-for-nested-stacks.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.access import review
from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.stacks import NESTED, Broadening, Change
from exasol_ci_setup.stacks import changeset, data_loss, processed, removed, state
from exasol_ci_setup.template.deployed import read
from exasol_ci_setup.template.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

# AWS plans nested stacks with placeholder texts for values that are known only later, and may reject those:
# https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1212.
_PLACEHOLDERS: Final = re.compile(r"IntrinsicFunction|TemplateURL must be a supported URL", re.IGNORECASE)
_UNSEEN: Final = "nested-stack"
_NESTED_SET: Final = re.compile(r"arn:[-\w]+:cloudformation:[-\w]+:\d+:changeSet/[-/\w]+")


@dataclass(frozen=True, slots=True)
class NestedChanges:
    """Changes with their changes in nested stacks, the broadened access in these, and notes on what could not be read."""

    changes: tuple[Change, ...]
    broadenings: tuple[Broadening, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def unseen(self) -> tuple[str, ...]:
        """The nested stacks whose changes are unknown."""
        return tuple(each.logical_id for each in self.broadenings if each.kind == _UNSEEN)


def has_nested(template: Mapping[str, Any]) -> bool:
    """Return whether a parsed template has a nested stack among its resources."""
    return _declares_stack(template.get("Resources"))


def _declares_stack(part: Any) -> bool:
    """Return whether resources, or the body of a loop (``Fn::ForEach``) among them, declare a nested stack."""
    if isinstance(part, list):
        return any(map(_declares_stack, part))
    found = as_mapping(part).values()
    return any(
        as_mapping(each).get("Type") == NESTED or (isinstance(each, list) and _declares_stack(each)) for each in found
    )


def why_failed(
    cfn: CloudFormationClient, change_set_id: str, reason: str, *, above: frozenset[str] = frozenset()
) -> tuple[str, str]:
    """Return the ARN of the change set that failed by itself, and its reason, given the ARN and the `reason` of an outer one.

    For a nested change set AWS reports only its ARN. If that cannot be read, `reason` is returned. `above` are the change sets
    that were read already: a reason may name them too.
    """
    above |= {change_set_id}
    named = next((arn for arn in _NESTED_SET.findall(reason) if arn not in above), None)
    if named is None:
        return change_set_id, reason
    try:
        with translate_aws_errors():
            inner = cfn.describe_change_set(ChangeSetName=named)
    except SetupError:
        return change_set_id, reason
    failed, why = why_failed(cfn, named, inner.get("StatusReason", ""), above=above)
    return failed, f"nested stack {inner.get('StackName', '')}: {why or reason}"


def is_only_unknown(reason: str) -> bool:
    """Return whether AWS rejects nested changes only because their inputs are unknown yet."""
    return _PLACEHOLDERS.search(reason) is not None


def look_inside(cfn: CloudFormationClient, changes: Iterable[Change], *, above: str = "") -> NestedChanges:
    """Return `changes` with the changes of each nested stack, at any depth; `above` are the names of the outer stacks.

    Changes that cannot be read become a note, and count as broadened access. They also count as data loss if the nested stack holds data.
    """
    seen: list[Change] = []
    broadenings: list[Broadening] = []
    notes: list[str] = []
    for change in changes:
        if change.type != NESTED:
            seen.append(change)
            continue
        name = f"{above}{change.logical_id}"
        if change.action == "Remove":
            seen.append(_removed(cfn, change))
            continue
        try:
            found = _read(cfn, change, name)
        except SetupError as error:
            notes.append(f"the changes in nested stack {name} are not available: {error.message}")
            found = None
        if found is None:
            unknown = f"nested stack {name} may broaden access: its changes are unknown"
            broadenings.append(Broadening(_UNSEEN, name, unknown))
            seen.append(replace(change, data_loss=change.action != "Add" and _may_hold_data(cfn, change)))
            continue
        seen.append(replace(change, nested=found.changes))
        broadenings += found.broadenings
        notes += found.notes
    return NestedChanges(tuple(seen), tuple(broadenings), tuple(notes))


def _removed(cfn: CloudFormationClient, change: Change) -> Change:
    """Return the removal of a nested stack with its resources. If they cannot be read, the stack counts as data loss."""
    if not change.physical_id or change.policy_action == "Retain":
        return change
    try:
        return replace(change, nested=removed.inside(cfn, change.physical_id))
    except SetupError:
        return replace(change, data_loss=True)


def _may_hold_data(cfn: CloudFormationClient, change: Change) -> bool:
    try:
        return bool(change.physical_id) and removed.holds_data(cfn, change.physical_id)
    except SetupError:
        return True


def _read(cfn: CloudFormationClient, change: Change, name: str) -> NestedChanges | None:
    """Return the changes in the nested stack of `change`, None if AWS created no change set for it."""
    if not change.change_set_id:
        return None
    with translate_aws_errors():
        first = cfn.describe_change_set(ChangeSetName=change.change_set_id, IncludePropertyValues=True)
    changes, said = changeset.changes(cfn, change.change_set_id, first)
    inside = look_inside(cfn, changes, above=f"{name}/")
    before, after = _templates(cfn, change)
    access = _review(cfn, change, first, before, after)
    return NestedChanges(
        data_loss.marked(inside.changes, before, after),
        (
            *(
                replace(each, logical_id=f"{name}/{each.logical_id}", message=f"{name}: {each.message}")
                for each in access
            ),
            *inside.broadenings,
        ),
        (*(f"{name}: {note}" for note in said), *inside.notes),
    )


def _templates(cfn: CloudFormationClient, change: Change) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """Return the processed template of the nested stack, None for a new one, and that of its change set."""
    sent = read(changeset.template_body(cfn, ChangeSetName=change.change_set_id)).template
    after = processed.of_change_set(cfn, sent, change.change_set_id)
    if change.action == "Add":
        return None, after
    before = read(changeset.template_body(cfn, StackName=change.physical_id)).template
    return processed.of_stack(cfn, before, change.physical_id), after


def _review(
    cfn: CloudFormationClient,
    change: Change,
    described: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
) -> tuple[Broadening, ...]:
    return review.review(
        before,
        after,
        before_parameters=None if before is None else state.get(cfn, change.physical_id).parameters,
        after_parameters={
            each["ParameterKey"]: each.get("ParameterValue", "") for each in described.get("Parameters", [])
        },
    )
