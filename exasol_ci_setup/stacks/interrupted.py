"""Ctrl-C while AWS works on a stack: an update is canceled, a creation continues, and neither is followed for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.errors import OperationInterruptedError, SetupError
from exasol_ci_setup.stacks.recovery import ask_to_cancel

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.stacks import Stack
    from exasol_ci_setup.stacks.events import StackMonitor

_CANCELING: Final = 5.0  # seconds that a canceled update is followed


def error(monitor: StackMonitor, name: str, *, creating: bool = False) -> OperationInterruptedError:
    """Return the error that says that AWS continues with the stack, and how to follow it again."""
    hint = watch_hint(name)
    if creating:
        hint += f"; to delete what was created: `exasol-ci-setup delete {name}`"
    return OperationInterruptedError(
        f"stopped following: AWS continues with stack {name} ({monitor.status or 'just begun'})",
        hint=hint,
        stack_name=name,
    )


def cancel(cfn: CloudFormationClient, monitor: StackMonitor, name: str, clock: Clock) -> Stack | None:
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
        raise error(monitor, name)
    return stack
