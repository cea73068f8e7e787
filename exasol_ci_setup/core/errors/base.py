"""Errors of the program, of AWS, of stacks and of builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.core.errors.details import Diagnosis, Failure, Finding


class SetupError(Exception):
    """The operation failed. `message` names failure and cause, `hint` the fix (may be empty)."""

    exit_code = 1
    code = "failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InputError(SetupError):
    """An argument, an option or an input file is invalid."""

    exit_code = 2
    code = "bad-input"


class TemplateRejected(SetupError):
    """The template has errors. `findings` are those of the linter; it is empty if AWS rejected the template."""

    exit_code = 3
    code = "template-rejected"

    def __init__(self, message: str, *, hint: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


class AwsUnavailable(SetupError):
    """AWS cannot be used."""

    exit_code = 4
    code = "aws-unavailable"


class ProfileNotFound(AwsUnavailable):
    """The named AWS profile does not exist."""

    code = "profile-not-found"


class RegionMissing(AwsUnavailable):
    """Neither option, environment nor profile sets a region."""

    code = "region-missing"


class CredentialsInvalid(AwsUnavailable):
    """The credentials are missing, expired, or rejected by AWS."""

    code = "credentials-invalid"


class AccessDenied(AwsUnavailable):
    """The credentials are valid but lack a permission."""

    code = "access-denied"


class WrongAccount(AwsUnavailable):
    """The credentials are valid, but belong to an account that is not allowed."""

    code = "wrong-account"


class Throttled(AwsUnavailable):
    """AWS throttled the request until the last retry."""

    code = "throttled"


class Unreachable(AwsUnavailable):
    """The endpoint does not answer."""

    code = "unreachable"


class StackError(SetupError):
    """An operation on the stack `stack_name` failed."""

    code = "stack-failed"

    def __init__(self, message: str, *, hint: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stack_name = stack_name


class StackNotFound(StackError):
    """The stack does not exist."""

    code = "stack-not-found"


class InUseError(StackError):
    """Another stack uses the resource to be deleted. `stack_name` is the stack to delete, or empty."""

    code = "in-use"


class StackBusy(StackError):
    """Another operation on the stack is in progress."""

    code = "stack-busy"


class PlanOutdatedError(StackBusy):
    """The stack changed between plan and execution, so the plan is outdated."""


class StackNotUpdatableError(StackError):
    """The state of the stack allows no update. The hint has the way out."""

    code = "stack-stuck"


class DeployFailed(StackError):
    """A deployment failed or was rolled back. `diagnosis` has the first failed resource and its reason."""

    code = "deploy-failed"

    def __init__(self, message: str, *, diagnosis: Diagnosis, hint: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint, stack_name=stack_name)
        self.diagnosis = diagnosis


class DeleteFailed(DeployFailed):
    """A deletion failed for some resources."""

    code = "delete-failed"


class NotApprovedError(StackError):
    """The plan was not approved, so nothing was changed."""

    code = "declined"


class DifferencesFound(SetupError):
    """There are differences, and an option requests exit code 5 for them."""

    exit_code = 5
    code = "differences-found"


class BuildFailed(SetupError):
    """A batch of builds did not succeed. `failures` are the failed builds, the root cause first."""

    exit_code = 6
    code = "build-failed"

    def __init__(self, message: str, *, hint: str = "", batch_id: str = "", failures: Sequence[Failure] = ()) -> None:
        super().__init__(message, hint=hint)
        self.batch_id = batch_id
        self.failures = tuple(failures)


class TimedOut(StackError):
    """The operation exceeded its time limit. `stack_name` or `batch_id` names its subject."""

    exit_code = 7
    code = "timed-out"

    def __init__(self, message: str, *, hint: str = "", stack_name: str = "", batch_id: str = "") -> None:
        super().__init__(message, hint=hint, stack_name=stack_name)
        self.batch_id = batch_id


class MissingExtraError(SetupError):
    """An optional dependency is not installed. The hint has the command that installs it."""

    exit_code = 2
    code = "extra-missing"


class Interrupted(SetupError):
    """The user pressed Ctrl-C.

    `batch_id` is the batch that continues, `stack_name` the stack on which AWS may continue. Both may be empty.
    """

    exit_code = 130
    code = "interrupted"

    def __init__(self, message: str, *, hint: str = "", batch_id: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint)
        self.batch_id = batch_id
        self.stack_name = stack_name


class SandboxError(SetupError):
    """The local AWS endpoint cannot be started or reached."""

    code = "sandbox-failed"
