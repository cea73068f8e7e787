"""Execute change sets: afterwards either the execution has started, or the change set is deleted."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import error_code, translate_aws_errors
from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.errors import OperationInterruptedError, SetupError
from exasol_ci_setup.stacks import changeset

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.stacks import Plan


def execute(cfn: CloudFormationClient, plan: Plan, clock: Clock) -> None:
    """Execute the change set of a plan. If that fails before it starts, delete the change set.

    Raises PlanOutdatedError if a concurrent operation started first, OperationInterruptedError if AWS may have started, and the errors of
    `translate_aws_errors`.
    """
    try:
        with translate_aws_errors():
            cfn.execute_change_set(ChangeSetName=plan.change_set_id, ClientRequestToken=uuid.uuid4().hex)
    except BaseException as error:
        if _may_have_started(cfn, plan):
            if error_code(error.__cause__ or error) == "InvalidChangeSetStatus":
                # The response to the first attempt was lost, the call was not.
                return
            continues = f"AWS continues with stack {plan.stack_name}; {watch_hint(plan.stack_name)}"
            if isinstance(error, SetupError):
                error.hint = f"{continues}\n{error.hint}".strip()
                raise
            raise OperationInterruptedError(
                "interrupted when AWS had just received the change", hint=continues, stack_name=plan.stack_name
            ) from None
        with changeset.delete_on_error(cfn, plan, clock):
            if _is_refusal(error):
                raise changeset.out_of_date(plan.stack_name) from error
            raise


def _is_refusal(error: BaseException) -> bool:
    """Return whether AWS rejected the execution because a concurrent operation started first."""
    cause = error.__cause__ or error
    code = error_code(cause)
    return code in {"InvalidChangeSetStatus", "ChangeSetNotFound", "ChangeSetNotFoundException"} or (
        code == "ValidationError" and "_IN_PROGRESS state" in str(cause)
    )


def _may_have_started(cfn: CloudFormationClient, plan: Plan) -> bool:
    try:
        return changeset.has_started(cfn, plan)
    except SetupError:
        # The status is unknown. To assume that it runs is safe, to delete what may be running is not.
        return True
