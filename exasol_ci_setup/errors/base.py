"""The errors of the program itself, of AWS, of stacks and of builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.builds.explain import Failure
    from exasol_ci_setup.lint import Finding
    from exasol_ci_setup.stacks.model import Diagnosis


class SetupError(Exception):
    """The operation failed: `message` says what and why, `hint` what to do (empty if nothing is known)."""

    exit_code = 1
    code = "failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InputError(SetupError):
    """What the user typed, or a file of theirs, is not acceptable."""

    exit_code = 2
    code = "bad-input"


class TemplateRejected(SetupError):
    """The template has errors; `findings` holds those of the linter, or is empty if AWS itself refused it."""

    exit_code = 3
    code = "template-rejected"

    def __init__(self, message: str, *, hint: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


class AwsUnavailable(SetupError):
    """AWS could not be used."""

    exit_code = 4
    code = "aws-unavailable"


class ProfileNotFound(AwsUnavailable):
    """The named AWS profile does not exist."""

    code = "profile-not-found"


class RegionMissing(AwsUnavailable):
    """No region was given, by option, environment or profile."""

    code = "region-missing"


class CredentialsInvalid(AwsUnavailable):
    """There are no credentials, or AWS does not accept them any more."""

    code = "credentials-invalid"


class AccessDenied(AwsUnavailable):
    """The credentials work but may not do this."""

    code = "access-denied"


class WrongAccount(AwsUnavailable):
    """The credentials work, and lead to an account that was not to be touched."""

    code = "wrong-account"


class Throttled(AwsUnavailable):
    """AWS refused for too many requests until the retries were used up."""

    code = "throttled"


class Unreachable(AwsUnavailable):
    """The endpoint did not answer."""

    code = "unreachable"


class StackError(SetupError):
    """An operation on a stack failed; `stack_name` is the stack's."""

    code = "stack-failed"

    def __init__(self, message: str, *, hint: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stack_name = stack_name


class StackNotFound(StackError):
    """There is no stack of that name."""

    code = "stack-not-found"


class InUseError(StackError):
    """A stack uses what is to be deleted; `stack_name` is that of the stack to delete, if it is one."""

    code = "in-use"


class StackBusy(StackError):
    """Another operation on the stack is under way."""

    code = "stack-busy"


class PlanOutdatedError(StackBusy):
    """Another operation on the stack came between a plan and its execution, so that the plan is not valid any more."""


class StackNotUpdatableError(StackError):
    """The stack is in a state that no update leaves; the hint is the way out."""

    code = "stack-stuck"


class DeployFailed(StackError):
    """A deployment ended in a failed or rolled-back state; `diagnosis` says which resource was first and why."""

    code = "deploy-failed"

    def __init__(self, message: str, *, diagnosis: Diagnosis, hint: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint, stack_name=stack_name)
        self.diagnosis = diagnosis


class DeleteFailed(DeployFailed):
    """A deletion ended with resources left."""

    code = "delete-failed"


class NotApprovedError(StackError):
    """The plan was not approved, so nothing was changed."""

    code = "declined"


class DifferencesFound(SetupError):
    """There are differences, and the user asked to be told by the exit code."""

    exit_code = 5
    code = "differences-found"


class BuildFailed(SetupError):
    """A batch of builds ended in something else than success; `failures` says which builds failed and why, the cause first."""

    exit_code = 6
    code = "build-failed"

    def __init__(self, message: str, *, hint: str = "", batch_id: str = "", failures: Sequence[Failure] = ()) -> None:
        super().__init__(message, hint=hint)
        self.batch_id = batch_id
        self.failures = tuple(failures)


class TimedOut(StackError):
    """The operation took longer than the user allowed; `stack_name` or `batch_id` is what it was on."""

    exit_code = 7
    code = "timed-out"

    def __init__(self, message: str, *, hint: str = "", stack_name: str = "", batch_id: str = "") -> None:
        super().__init__(message, hint=hint, stack_name=stack_name)
        self.batch_id = batch_id


class MissingExtraError(SetupError):
    """An optional part of this program is not installed; the hint says how to get it."""

    exit_code = 2
    code = "extra-missing"


class Interrupted(SetupError):
    """The user pressed Ctrl-C; `batch_id` is of the batch that continues, `stack_name` of the stack on which AWS may continue, if any."""

    exit_code = 130
    code = "interrupted"

    def __init__(self, message: str, *, hint: str = "", batch_id: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint)
        self.batch_id = batch_id
        self.stack_name = stack_name


class SandboxError(SetupError):
    """The AWS endpoint on this machine could not be started or reached."""

    code = "sandbox-failed"
