"""Plan the deletion of a stack: its changes, with the resources of nested stacks, and marks for lost data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import error_code, translate_aws_errors
from exasol_ci_setup.core.errors import AccessDeniedError, AwsUnavailableError, StackError
from exasol_ci_setup.core.stacks import NESTED, Change, Plan
from exasol_ci_setup.stacks import changeset, data_loss, processed
from exasol_ci_setup.stacks import delete as deletion
from exasol_ci_setup.stacks.data_holders import HOLDERS
from exasol_ci_setup.stacks.resources import Resource, of_id
from exasol_ci_setup.template.deployed import read
from exasol_ci_setup.template.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_logs import CloudWatchLogsClient

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Stack


def plan_of(
    cfn: CloudFormationClient,
    stack: Stack,
    found: Collection[Resource] | None = None,
    *,
    retained: Collection[str] = (),
) -> Plan:
    """Return the plan that deletes `stack`: all resources except those `retained` here or by its template. `found` are its resources, if known."""
    found = of_id(cfn, stack.id) if found is None else found
    going = _removals(each for each in found if each.logical_id not in retained)
    return Plan(stack.name, "DELETE", stack_id=stack.id, changes=_mark_changes(cfn, stack.id, going))


def resources_of(removal: Plan) -> list[Resource]:
    """Return the resources that a plan deletes, with those of its nested stacks."""
    return [
        Resource(change.logical_id, change.physical_id, change.type, status="")
        for change in removal.every_change.values()
    ]


def without_empty_log_groups(account: Account, removal: Plan) -> Plan:
    """Return `removal` without the data-loss mark on log groups that have no log stream, and so no events.

    Every cluster has a log group: without this, each deletion of an unused cluster would need confirmation. A log group that cannot
    be listed keeps its mark.
    """
    return replace(removal, changes=_without_empty_log_groups(account.client("logs"), removal.changes))


def require_empty(account: Account, removal: Plan, say: Callable[[str], None], *, hint: str = "") -> None:
    """Raise StackError if a deleted bucket or repository is not empty: AWS would refuse to delete it. Calls `say` if that is unknown."""
    if full := deletion.contents(account, resources_of(removal), say):
        raise StackError(
            f"nothing was deleted: {', '.join(full)}",
            hint=hint or f"to delete their contents too: `exasol-ci-setup delete {removal.stack_name} --empty`",
            stack_name=removal.stack_name,
        )


def inside(cfn: CloudFormationClient, stack_id: str) -> tuple[Change, ...]:
    """Return the resources that are deleted with the nested stack of this ARN, at any depth."""
    return _mark_changes(cfn, stack_id, _removals(of_id(cfn, stack_id)))


def holds_data(cfn: CloudFormationClient, stack_id: str) -> bool:
    """Return whether a resource of the stack of this ARN holds data, at any depth."""
    found = [each for each in of_id(cfn, stack_id) if each.physical_id]
    return any(each.type in HOLDERS for each in found) or any(
        holds_data(cfn, each.physical_id) for each in found if each.type == NESTED
    )


def _without_empty_log_groups(logs: CloudWatchLogsClient, changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(
        replace(change, data_loss=False)
        if change.data_loss and change.type == "AWS::Logs::LogGroup" and _has_no_stream(logs, change.physical_id)
        else replace(change, nested=_without_empty_log_groups(logs, change.nested))
        for change in changes
    )


def _has_no_stream(logs: CloudWatchLogsClient, name: str) -> bool:
    try:
        with translate_aws_errors():
            return not logs.describe_log_streams(logGroupName=name, limit=1).get("logStreams")
    except AccessDeniedError:
        return False
    except AwsUnavailableError as error:
        if error_code(error.__cause__ or error) == "ResourceNotFoundException":
            return True
        raise


def _removals(going: Iterable[Resource]) -> tuple[Change, ...]:
    return tuple(Change("Remove", each.logical_id, each.type, physical_id=each.physical_id) for each in going)


def _mark_changes(cfn: CloudFormationClient, stack_id: str, changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the removals that the deployed template does not prevent, with marks for data loss and changes of nested stacks."""
    sent = read(changeset.template_body(cfn, StackName=stack_id)).template
    deployed = processed.to_show(cfn, sent, stack_id)
    declared = as_mapping(deployed.get("Resources"))
    going = [change for change in changes if not data_loss.retains(as_mapping(declared.get(change.logical_id)))]
    with_nested = [
        replace(change, nested=inside(cfn, change.physical_id))
        if change.type == NESTED and change.physical_id
        else change
        for change in going
    ]
    # A resource without a physical ID was never created.
    there = (change for change in with_nested if change.physical_id)
    marked = {change.logical_id: change for change in data_loss.marked(there, deployed, None)}
    return tuple(marked.get(change.logical_id, change) for change in with_nested)
