"""Express mode: AWS ends an operation when each resource is configured, and does not wait until it is ready.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-express-mode.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import UNCHANGED, InputError
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exasol_ci_setup.core.stacks import Change, Stack

_SERVICE = "AWS::ECS::Service"


def require_finished(stack: Stack) -> None:
    """Raise InputError for a stack whose failed operation was not rolled back: AWS updates it only without rollback."""
    if state.has_failed_without_rollback(stack):
        raise InputError(
            f"--express is not for stack {stack.name} in {stack.status}: AWS updates it only without rollback",
            hint=f"run the same command without --express; {UNCHANGED}",
        )


def require_harmless(stack_name: str, changes: Iterable[Change], unseen: Iterable[str] = ()) -> None:
    """Raise InputError for a change, also in nested stacks, that express mode would report as done too early.

    A replacement deletes the old resource even if the new one is not ready. A service that does not start would not be a failure.
    The changes of the nested stacks `unseen` are unknown, so they may contain either.
    """
    for change in changes:
        require_harmless(stack_name, change.nested)
        why = ""
        if change.action == "Modify" and change.may_replace:
            why = "is replaced" if change.replacement == "True" else "may be replaced"
        elif change.type == _SERVICE:
            why = "is a service, whose containers must start"
        if why:
            raise _refused(stack_name, f"{change.logical_id} ({change.type}) {why}")
    for name in unseen:
        raise _refused(stack_name, f"the changes in nested stack {name} are unknown")


def _refused(stack_name: str, why: str) -> InputError:
    return InputError(
        f"--express is not for this change to stack {stack_name}: {why}",
        hint=f"run the same command without --express; {UNCHANGED}",
    )
