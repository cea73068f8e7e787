"""Read the state of stacks, and check whether an operation may start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.errors import StackBusyError, StackError, StackNotFoundError, StackNotUpdatableError
from exasol_ci_setup.core.stacks import Stack
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

# The tags that identify a stack: they never change for the same construct.
_IDENTITY: Final = ("construct", "project", "scope", "name")

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html#cfn-console-view-stack-data-resources
_STUCK_FOR_GOOD = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"})
# Failed and not rolled back (--on-failure keep): AWS can update it, https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html
_FAILED_WITHOUT_ROLLBACK = frozenset({"CREATE_FAILED", "UPDATE_FAILED"})
RECREATE_HINT: Final = "fix the cause, then run the same command with --recreate-failed: it shows the plan, deletes the stack and creates it again"
_SUCCEEDED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


def find(cfn: CloudFormationClient, name: str) -> Stack | None:
    """Return the stack with this name or ARN, or None if it does not exist. Raises the errors of `translate_aws_errors`."""
    with translate_aws_errors():
        try:
            answer = cfn.describe_stacks(StackName=name)
        except ClientError as error:
            # DescribeStacks has no separate error code for a missing stack.
            if error_code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    # For an empty name AWS would describe all stacks, so the answer is compared with the name.
    found = [from_description(each) for each in answer["Stacks"] if name in {each["StackName"], each.get("StackId")}]
    return found[0] if found else None


def get(cfn: CloudFormationClient, name: str) -> Stack:
    """Return the stack with this name. Raises StackNotFoundError."""
    stack = find(cfn, name)
    if stack is None:
        region = cfn.meta.region_name
        raise StackNotFoundError(
            f"stack {name!r} does not exist in {region}",
            hint="to list the stacks: `exasol-ci-setup list`; check --region and --aws-profile",
            stack_name=name,
        )
    return stack


def every(cfn: CloudFormationClient) -> Iterator[Stack]:
    """Yield all stacks of the account and region, in the order of AWS."""
    with translate_aws_errors():
        for page in cfn.get_paginator("describe_stacks").paginate():
            yield from map(from_description, page["Stacks"])


def own(cfn: CloudFormationClient) -> Iterator[Stack]:
    """Yield the stacks that this tool created, identified by their tags, in the order of AWS.

    Nested stacks are omitted: they inherit the tags of their root, and belong to its template.
    """
    return (stack for stack in every(cfn) if is_own(stack) and not stack.root_id)


def is_own(stack: Stack) -> bool:
    """Return whether this tool created the stack."""
    return any(key.startswith(TAG_PREFIX) for key in stack.tags)


def is_of_another(stack: Stack, tags: Mapping[str, str]) -> bool:
    """Return whether `tags` identify another construct, project or scope than those of the stack. False for tags without an identity."""
    wanted = _identity(tags)
    return bool(wanted) and wanted != _identity(stack.tags)


def owner(tags: Mapping[str, str]) -> str:
    """Return the identity in the tags of a stack as text, such as ``construct Registry, scope team, name images``."""
    return ", ".join(f"{key} {value}" for key, value in _identity(tags).items()) or "nothing named in its tags"


def require_own(stack: Stack, tags: Mapping[str, str], *, adopt: bool = False) -> None:
    """Raise StackError unless this tool created the stack for the construct that `tags` identify.

    `adopt`: accept a stack that this tool did not create, but never one of another construct or project.
    """
    if not is_own(stack):
        if adopt:
            return
        raise StackError(
            f"stack {stack.name} exists and was not created by this tool",
            hint="preview with --adopt --plan, or choose another stack name (stack_name)",
            stack_name=stack.name,
        )
    if is_of_another(stack, tags):
        raise StackError(
            f"stack {stack.name} belongs to {owner(stack.tags)}, not to {owner(tags)}",
            hint="choose another stack name (stack_name); "
            f"if nothing needs that stack any more: `exasol-ci-setup delete {stack.name}`",
            stack_name=stack.name,
        )


def _identity(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: tags[f"{TAG_PREFIX}{key}"] for key in _IDENTITY if f"{TAG_PREFIX}{key}" in tags}


def from_description(description: Mapping[str, Any]) -> Stack:
    """Return the Stack of one entry of DescribeStacks."""
    rollback = description.get("RollbackConfiguration") or {}
    return Stack(
        name=description["StackName"],
        id=description.get("StackId", ""),
        root_id=description.get("RootId", ""),
        status=description["StackStatus"],
        reason=description.get("StackStatusReason", ""),
        description=description.get("Description", ""),
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in description.get("Parameters", [])},
        tags={t["Key"]: t["Value"] for t in description.get("Tags", [])},
        outputs={o["OutputKey"]: o["OutputValue"] for o in description.get("Outputs", [])},
        termination_protection=bool(description.get("EnableTerminationProtection")),
        role_arn=description.get("RoleARN", ""),
        notification_arns=tuple(description.get("NotificationARNs", [])),
        rollback_alarms=tuple(each["Arn"] for each in rollback.get("RollbackTriggers", [])),
        monitoring_minutes=rollback.get("MonitoringTimeInMinutes", 0),
        created=description.get("CreationTime"),
        updated=description.get("LastUpdatedTime"),
    )


def has_construct(stack: Stack, kind: str) -> bool:
    """Return whether a command created the stack from a construct of this kind; one with a scope belongs to a program."""
    return stack.tags.get(f"{TAG_PREFIX}construct") == kind and f"{TAG_PREFIX}scope" not in stack.tags


def is_absent(stack: Stack | None) -> bool:
    """Return whether a deployment would create the stack: it does not exist, is deleted, or only holds a change set."""
    return stack is None or stack.status in {"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"}


def is_busy(stack: Stack) -> bool:
    """Return whether an operation is in progress."""
    return stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS"


def require_idle(stack: Stack) -> None:
    """Raise StackBusyError if an operation is in progress."""
    if is_busy(stack):
        raise StackBusyError(
            f"stack {stack.name} is busy: {stack.status}", hint=watch_hint(stack.name), stack_name=stack.name
        )


def is_stuck(stack: Stack) -> bool:
    """Return whether the stack can only be deleted."""
    return stack.status in _STUCK_FOR_GOOD


def has_failed_without_rollback(stack: Stack) -> bool:
    """Return whether the last operation failed and was not rolled back; AWS can update such a stack."""
    return stack.status in _FAILED_WITHOUT_ROLLBACK


def has_succeeded(stack: Stack) -> bool:
    """Return whether the stack's last operation succeeded. A completed rollback is no success."""
    return stack.status in _SUCCEEDED


def require_updatable(stack: Stack) -> None:
    """Raise StackNotUpdatableError, whose hint is the remedy, unless the stack can be updated."""
    if is_stuck(stack):
        operation = "deletion" if stack.status == "DELETE_FAILED" else "creation"
        way_out = (
            RECREATE_HINT
            if is_own(stack)
            else f"it has no tag of this tool: check its resources, then `aws cloudformation delete-stack --stack-name {stack.name}`"
        )
        raise StackNotUpdatableError(
            f"stack {stack.name} cannot be updated: its {operation} failed ({stack.status})" + _because(stack),
            hint=way_out,
            stack_name=stack.name,
        )
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise StackNotUpdatableError(
            f"stack {stack.name} cannot be updated: its rollback failed ({stack.status})" + _because(stack),
            hint=f"fix the resource named above, then run `exasol-ci-setup continue-rollback {stack.name}`",
            stack_name=stack.name,
        )
    if not stack.status.endswith("_COMPLETE") and not has_failed_without_rollback(stack):
        # Safer than an assumption about a status that AWS added later.
        raise StackError(
            f"stack {stack.name} is in {stack.status}, which this version does not support",
            hint="check it in the AWS console",
            stack_name=stack.name,
        )


def _because(stack: Stack) -> str:
    return f": {stack.reason}" if stack.reason else ""
