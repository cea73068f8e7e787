"""A change set given to AWS to be executed: either that has begun, or nothing is left of it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from exasol_ci_setup.aws import error_code, translate_aws_errors
from exasol_ci_setup.errors import Interrupted, SetupError
from exasol_ci_setup.stacks import changeset

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.model import Plan


def execute(cfn: CloudFormationClient, plan: Plan, clock: Clock) -> None:
    """Execute the change set of a plan. Whatever comes between, either it has started, or it is taken back.

    Raises PlanOutdatedError if another operation came first, Interrupted if AWS may have begun, and the errors of the AWS boundary.
    """
    try:
        with translate_aws_errors():
            cfn.execute_change_set(ChangeSetName=plan.change_set_id, ClientRequestToken=uuid.uuid4().hex)
    except BaseException as error:
        if _may_have_started(cfn, plan):
            if error_code(error.__cause__ or error) == "InvalidChangeSetStatus":
                # The answer to the first try was lost on its way, the call was not.
                return
            goes_on = (
                f"AWS continues with stack {plan.stack_name}; to follow it: `exasol-ci-setup watch {plan.stack_name}`"
            )
            if isinstance(error, SetupError):
                error.hint = f"{goes_on}\n{error.hint}".strip()
                raise
            raise Interrupted(
                "interrupted just when the change had been given to AWS", hint=goes_on, stack_name=plan.stack_name
            ) from None
        with changeset.delete_on_error(cfn, plan, clock):
            if _is_refusal(error):
                raise changeset.out_of_date(plan.stack_name) from error
            raise


def _is_refusal(error: BaseException) -> bool:
    """Return whether AWS refused to execute a change set because another operation came first."""
    cause = error.__cause__ or error
    code = error_code(cause)
    return code in {"InvalidChangeSetStatus", "ChangeSetNotFound", "ChangeSetNotFoundException"} or (
        code == "ValidationError" and "_IN_PROGRESS state" in str(cause)
    )


def _may_have_started(cfn: CloudFormationClient, plan: Plan) -> bool:
    try:
        return changeset.has_started(cfn, plan)
    except SetupError:
        # It cannot be asked. To say that it may go on is safe, to delete what may be running is not.
        return True
