"""Find the stack of a project's builds under another name than the default, by its tags or by the predecessor's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.core.errors import StackError
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.stacks import Stack


def find(cfn: CloudFormationClient, construct: Construct) -> Stack | None:
    """Return the stack that already builds the project of `construct`, if its name is not the construct's default.

    A name that the caller chose is used as it is. Raises the errors of `translate_aws_errors`.
    """
    if not isinstance(construct, CiBuild | ReleaseBuild) or construct.stack is not None:
        return None
    if not state.is_absent(state.find(cfn, construct.stack_name)):
        return None
    # The name that the predecessor used.
    suffix = "CIBuild" if isinstance(construct, CiBuild) else "ReleaseBuild"
    theirs = state.find(cfn, f"{construct.project}{suffix}")
    if theirs is not None and not state.is_absent(theirs) and not state.is_own(theirs):
        return theirs
    ours = (each for each in state.own(cfn) if not state.is_absent(each))
    return next((each for each in ours if not state.is_of_another(each, construct.tags)), None)


def require_only(cfn: CloudFormationClient, construct: Construct) -> None:
    """Raise StackError if another stack builds the project of `construct` already, and the errors of `translate_aws_errors`."""
    other = find(cfn, construct)
    if other is not None:
        raise StackError(
            message(other),
            hint=f"deploy it with stack_name={other.name!r}; for a second stack, which builds each push too: "
            f"stack_name={construct.stack_name!r}",
            stack_name=other.name,
        )


def message(other: Stack) -> str:
    """Return the message that the stack `other` builds the project already."""
    own = "" if state.is_own(other) else ", which was not created by this tool,"
    return f"stack {other.name}{own} builds the project already"
