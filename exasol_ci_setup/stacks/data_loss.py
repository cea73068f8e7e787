"""Mark the changes of a plan that delete a resource with its data, as the policies of the templates determine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.stacks import NESTED
from exasol_ci_setup.stacks.data_holders import HOLDERS, SNAPSHOTS
from exasol_ci_setup.template.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.core.stacks import Change

_RETAINS: Final = frozenset({"Retain", "RetainExceptOnCreate"})


def marked(
    changes: Iterable[Change], before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[Change, ...]:
    """Return `changes` with those marked that delete data; `before` and `after` are the parsed templates, None if missing.

    CloudFormation applies the DeletionPolicy of the deployed template when it removes a resource, and the UpdateReplacePolicy of the new
    one when it replaces it. What a change set says of the policy has precedence. A possible replacement counts as one. The
    changes inside nested stacks keep their marks, unless the nested stack itself is retained.

    Sources: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html and
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatereplacepolicy.html.
    """
    old, new = (as_mapping((template or {}).get("Resources")) for template in (before, after))
    return tuple(
        _mark(change, as_mapping(old.get(change.logical_id)), as_mapping(new.get(change.logical_id)))
        for change in changes
    )


def retains(resource: Mapping[str, Any]) -> bool:
    """Return whether the DeletionPolicy of a resource of a parsed template retains it."""
    return _policy(resource, "DeletionPolicy") in _RETAINS


def _mark(change: Change, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    if not _is_deleted(change):
        return change
    policy = change.policy_action.removeprefix("ReplaceAnd") or _declared_policy(change, old, new)
    if policy in _RETAINS:
        return replace(change, nested=(), data_loss=False) if change.type == NESTED else change
    snapshot = policy == "Snapshot" and change.type in SNAPSHOTS
    return replace(change, data_loss=change.data_loss or (change.type in HOLDERS and not snapshot))


def _is_deleted(change: Change) -> bool:
    """Return whether the change deletes the physical resource, or may do so."""
    if change.action == "Modify":
        return change.may_replace
    # AWS decides on a dynamic change while it executes the change set.
    return change.action in {"Remove", "Dynamic"}


def _declared_policy(change: Change, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the policy that the templates declare. An expression counts as none, because its value is unknown."""
    if change.action == "Modify":
        return _policy(new, "UpdateReplacePolicy")
    return _policy(old, "DeletionPolicy") or ("Snapshot" if old and _has_snapshot_by_default(change.type, old) else "")


def _policy(resource: Mapping[str, Any], name: str) -> str:
    policy = resource.get(name)
    return policy if isinstance(policy, str) else ""


def _has_snapshot_by_default(kind: str, resource: Mapping[str, Any]) -> bool:
    if "DeletionPolicy" in resource:
        return False
    properties = as_mapping(resource.get("Properties"))
    return kind == "AWS::RDS::DBCluster" or (kind == "AWS::RDS::DBInstance" and "DBClusterIdentifier" not in properties)
