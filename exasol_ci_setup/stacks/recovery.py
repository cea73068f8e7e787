"""Cancel an update, also after Ctrl-C, and continue a rollback that failed."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import (
    ignore_aws_errors,
    replace_aws_errors,
)
from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.errors import (
    AwsUnavailableError,
    DeployFailedError,
    InputError,
    OperationInterruptedError,
    SetupError,
    StackError,
)
from exasol_ci_setup.stacks import diagnose, state
from exasol_ci_setup.stacks.events import StackMonitor, latest_id, of_last_operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.errors.details import Diagnosis
    from exasol_ci_setup.core.stacks import Stack

_LONG_AGO: Final = datetime.min.replace(tzinfo=timezone.utc)
_CANCELING: Final = 5.0  # seconds that a canceled update is followed


def ask_to_cancel(cfn: CloudFormationClient, name: str) -> bool:
    """Cancel the update in progress on the stack `name`; return False if it is too late.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CancelUpdateStack.html. Raises the errors of
    `translate_aws_errors`.
    """
    with ignore_aws_errors("ValidationError"):
        cfn.cancel_update_stack(StackName=name, ClientRequestToken=uuid.uuid4().hex)
        return True
    return False


def cancel(context: Context, stack: Stack) -> Stack:
    """Cancel the update in progress on `stack`, and return the stack after the rollback.

    Raises StackError if no update can be canceled, or if it ended before; DeployFailedError if the rollback
    failed, and OperationInterruptedError.
    """
    cfn = context.cfn
    _require_own(stack)
    if stack.status == "CREATE_IN_PROGRESS":
        raise StackError(
            f"the creation of stack {stack.name} cannot be canceled: AWS cancels updates only",
            hint=f"to stop it and delete what was created: `exasol-ci-setup delete {stack.name}`",
            stack_name=stack.name,
        )
    if stack.status != "UPDATE_IN_PROGRESS":
        raise StackError(f"stack {stack.name} has no update to cancel: it is in {stack.status}", stack_name=stack.name)
    if not ask_to_cancel(cfn, stack.name):
        raise _too_late(state.get(cfn, stack.id))
    ended = _follow(context, stack, StackMonitor(context, stack.id, after=None))
    if state.has_succeeded(ended):
        raise _too_late(ended)
    return ended


def continue_rollback(
    context: Context,
    stack: Stack,
    *,
    skip: Sequence[str] = (),
    role_arn: str = "",
) -> Stack:
    """Continue a failed rollback, and return the stack when it has ended.

    `skip` are the logical IDs of resources to skip. AWS accepts only those whose rollback failed. Afterwards the template of the stack
    may differ from its resources: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html.
    Raises StackError for another status of the stack, InputError if AWS does not accept `skip`, DeployFailedError
    with its diagnosis if the rollback fails again, and OperationInterruptedError.
    """
    cfn = context.cfn
    _require_own(stack)
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        raise StackError(
            f"stack {stack.name} has no rollback to continue: it is in {stack.status}", stack_name=stack.name
        )
    arguments: dict[str, Any] = {"StackName": stack.id, "ClientRequestToken": uuid.uuid4().hex}
    if skip:
        arguments["ResourcesToSkip"] = list(skip)
    if role_arn:
        arguments["RoleARN"] = role_arn
    after = latest_id(cfn, stack.id)

    def rejection(reason: str) -> InputError:
        return InputError(
            f"AWS did not continue the rollback of stack {stack.name}: {reason}",
            hint=f"to see which resources failed: `exasol-ci-setup diagnose {stack.name}`",
        )

    with replace_aws_errors({"ValidationError"}, rejection):
        cfn.continue_update_rollback(**arguments)
    return _follow(context, stack, StackMonitor(context, stack.id, after=after))


def _follow(context: Context, stack: Stack, monitor: StackMonitor) -> Stack:
    try:
        ended = monitor.run()
    except KeyboardInterrupt:
        raise interruption(monitor, stack.name) from None
    except AwsUnavailableError as error:
        error.hint = f"AWS continues with stack {stack.name}\n{error.hint}".rstrip()
        raise
    assert ended is not None, "without a deadline it returns a stack"  # noqa: S101 - for the type checker
    if ended.status.endswith("_FAILED"):
        raise DeployFailedError(
            f"stack {ended.name} ended in {ended.status}",
            hint=way_out(ended),
            stack_name=ended.name,
            diagnosis=diagnose.of_stack(context.account, ended, monitor.events),
        )
    return ended


def explain(account: Account, stack: Stack) -> Diagnosis | None:
    """Return why the last operation on `stack` failed, or is failing; None if it did not. Raises the errors of `translate_aws_errors`."""
    found = diagnose.of_stack(account, stack, of_last_operation(account.client("cloudformation"), stack.id))
    # A rollback that was completed by skipping resources is still a failed update.
    failed = found.logical_id or not (state.has_succeeded(stack) or state.is_busy(stack) or state.is_absent(stack))
    return found if failed else None


def last_failure(cfn: CloudFormationClient) -> Stack | None:
    """Return the stack of this tool whose failed operation began last; None if no last operation failed.

    Raises the errors of `translate_aws_errors`.
    """
    failed = [each for each in state.own(cfn) if "FAILED" in each.status or "ROLLBACK" in each.status]
    return max(failed, key=lambda each: each.updated or each.created or _LONG_AGO, default=None)


def way_out(stack: Stack) -> str:
    """Return the remedy for a stack whose rollback failed, empty for any other."""
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        return ""
    return f"fix the resource named above, then run `exasol-ci-setup continue-rollback {stack.name}`; --skip LOGICAL_ID skips a resource"


def _require_own(stack: Stack) -> None:
    if not state.is_own(stack):
        raise StackError(
            f"stack {stack.name} was not created by this tool: it has none of its tags", stack_name=stack.name
        )


def _too_late(stack: Stack) -> StackError:
    return StackError(
        f"too late to cancel the update of stack {stack.name}: it is in {stack.status}",
        hint="deploy its previous version again",
        stack_name=stack.name,
    )


def interruption(monitor: StackMonitor, name: str, *, creating: bool = False) -> OperationInterruptedError:
    """Return the interruption that says that AWS continues with the stack, and how to follow it again."""
    hint = watch_hint(name)
    if creating:
        hint += f"; to delete what was created: `exasol-ci-setup delete {name}`"
    return OperationInterruptedError(
        f"stopped following: AWS continues with stack {name} ({monitor.status or 'just begun'})",
        hint=hint,
        stack_name=name,
    )


def cancel_interrupted(cfn: CloudFormationClient, monitor: StackMonitor, name: str, clock: Clock) -> Stack | None:
    """Request AWS to cancel the update and return the stack as it ended; None if it could not be canceled.

    Raises OperationInterruptedError if that takes long, or after another Ctrl-C.
    """
    try:
        if not ask_to_cancel(cfn, name):
            return None
    except SetupError as failed:
        monitor.note(f"the update could not be canceled: {failed}")
        return None
    except KeyboardInterrupt:
        return None
    monitor.note("requested AWS to cancel the update; Ctrl-C again stops following")
    return finish(monitor, name, clock.now() + _CANCELING)


def finish(monitor: StackMonitor, name: str, deadline: float | None = None) -> Stack:
    """Follow the operation until it ends. Raises OperationInterruptedError after Ctrl-C, and at the `deadline`."""
    try:
        stack = monitor.run(deadline)
    except KeyboardInterrupt:
        stack = None
    if stack is None:
        raise interruption(monitor, name)
    return stack
