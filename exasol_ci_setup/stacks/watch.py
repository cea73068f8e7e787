"""Follow the operation in progress on a stack, or the last one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import DeployFailedError, StackError
from exasol_ci_setup.stacks import diagnose, state
from exasol_ci_setup.stacks.events import StackMonitor
from exasol_ci_setup.stacks.rollout import Rollouts

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Stack


def watch(context: Context, name: str) -> Stack:
    """Follow the operation in progress on the stack of this name or ARN, and return the stack when it has ended.

    If no operation is in progress, the reporter receives the events of the last one. Raises DeployFailedError with its diagnosis if the
    operation failed or was rolled back, StackNotFoundError, and StackError for a stack that was never deployed.
    """
    cfn = context.cfn
    stack = state.get(cfn, name)
    if stack.status == "REVIEW_IN_PROGRESS":
        raise StackError(
            f"stack {stack.name} was never deployed: it is empty, and was created for a plan",
            hint=f"deploy it, or delete it: `aws cloudformation delete-stack --stack-name {stack.name}`",
            stack_name=stack.name,
        )
    with context.operation(stack.name, "") as running:
        rollouts = Rollouts(running)
        monitor = StackMonitor(running, stack.id, after=None, rollouts=rollouts)
        ended = monitor.run()
    if ended is None:  # pragma: no cover - without a deadline it returns a stack
        return stack
    if not state.has_succeeded(ended) and ended.status != "DELETE_COMPLETE":
        found = diagnose.of_stack(context.account, ended, monitor.events)
        raise DeployFailedError(
            f"stack {ended.name} ended in {ended.status}",
            stack_name=ended.name,
            diagnosis=replace(found, details=(*found.details, *rollouts.why(found.physical_id))),
        )
    return ended
