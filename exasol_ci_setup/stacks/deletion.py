"""Delete a stack after checks: it is not used by another stack, and its buckets and repositories are empty or emptied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup.stacks import delete as deletion
from exasol_ci_setup.stacks import removed, state, users
from exasol_ci_setup.stacks.resources import of_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Event, Plan, Stack
    from exasol_ci_setup.stacks.resources import Resource


@dataclass(frozen=True)
class PlannedDeletion:
    """A deletion that passed the checks. `plan` has what is deleted, `resources` are all of the stack, `emptied` those that are emptied first."""

    context: Context
    stack: Stack
    resources: Sequence[Resource]
    plan: Plan
    emptied: Sequence[Resource] = ()
    retain: Sequence[str] = ()
    force: bool = False
    role_arn: str = ""

    def apply(self) -> list[Event]:
        """Delete the stack and wait. Return the last event of each resource that AWS retained because of `force`.

        Raises DeleteFailedError, whose diagnosis names what could not be deleted, and OperationInterruptedError.
        """
        deletion.empty(self.context.account, self.emptied, self.context.note)
        with self.context.operation(self.stack.name, "") as running:
            return deletion.delete(running, self.stack, role_arn=self.role_arn, retain=self.retain, force=self.force)


def find_existing(context: Context, name: str) -> Stack | None:
    """Return the stack with this name or ARN, None if it does not exist. Raises the errors of `translate_aws_errors`."""
    stack = state.find(context.cfn, name)
    return None if stack is None or stack.status == "DELETE_COMPLETE" else stack


def plan_deletion(
    context: Context,
    stack: Stack,
    *,
    empty: bool = False,
    retain: Sequence[str] = (),
    force: bool = False,
    role_arn: str = "",
    hint: str = "",
) -> PlannedDeletion:
    """Return the plan of a deletion. Nothing changes until it is applied.

    `empty`: also delete the contents of buckets and repositories. `retain`: logical IDs of resources to keep. `force`: let AWS keep what it
    cannot delete; AWS accepts both only for a stack in DELETE_FAILED. `hint` says what to do if something is not empty. Raises StackError for
    a stack of another tool, a protected one, one that another stack uses, and one with contents that are not emptied.
    """
    cfn = context.cfn
    deletion.require_deletable(stack)
    resources = of_id(cfn, stack.id)
    retained = deletion.retained(cfn, stack, resources, retain)
    if force:
        deletion.require_forcible(stack)
    removal = removed.without_empty_log_groups(
        context.account, removed.plan_of(cfn, stack, resources, retained=retained)
    )
    users.require_unused(cfn, [(stack, removed.resources_of(removal))])
    if not empty and not force:
        removed.require_empty(context.account, removal, context.note, hint=hint)
    emptied = removed.resources_of(removal) if empty else []
    return PlannedDeletion(context, stack, resources, removal, emptied, retain, force, role_arn)
