"""Every error that this library raises on purpose, each with its exit code and a hint.

::

    SetupError                    1  the operation failed
    ├── InputError                2  bad usage or bad input
    ├── TemplateRejected          3  lint or AWS refused the template
    ├── AwsUnavailable            4  AWS could not be used at all
    │   ├── ProfileNotFound       4
    │   ├── RegionMissing         4
    │   ├── CredentialsInvalid    4  none found, expired or refused
    │   ├── AccessDenied          4
    │   ├── WrongAccount          4  the credentials lead to another account than is allowed
    │   ├── Throttled             4  to the end of all retries
    │   └── Unreachable           4  no network, or no such endpoint
    ├── StackError                1
    │   ├── StackNotFound         1
    │   ├── StackBusy             1  another operation is under way
    │   ├── StackStuck            1  in a state that no update leaves
    │   ├── DeployFailed          1
    │   ├── DeleteFailed          1
    │   └── Declined              1  the user, or the lack of a terminal, said no
    ├── DifferencesFound          5  `--exit-code` of `diff` and `drift`
    ├── BuildFailed               6  a build failed, was stopped, or timed out on AWS
    ├── TimedOut                  7
    ├── EngineError               1  the container of a build on this machine failed
    │   └── EngineUnavailable     1  no Docker engine, or none that answers
    ├── SSHError                  1  a machine could not be used over SSH
    │   ├── SSHUnreachable        1  nothing answers there
    │   ├── SSHRefused            1  it does not let this user in with this key
    │   ├── SSHKeyUnusable        1  the key's file cannot be read or opened
    │   └── HostKeyChanged        1  another machine answers than before
    ├── Interrupted             130  Ctrl-C
    └── SandboxError              1

A message reads ``what happened: why``; the hint is one or more lines that say what to do. Neither ends in a period
unless it holds several sentences. ``cli`` turns them into text or JSON in one place.
"""

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


class StackBusy(StackError):
    """Another operation on the stack is under way."""

    code = "stack-busy"


class StackStuck(StackError):
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


class Declined(StackError):
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


class EngineError(SetupError):
    """The Docker engine on this machine did not do what it should."""

    code = "engine-failed"


class EngineUnavailable(EngineError):
    """There is no Docker engine on this machine, or it cannot be used."""

    code = "engine-unavailable"


class SSHError(SetupError):
    """A machine could not be used over SSH."""

    code = "ssh-failed"


class SSHUnreachable(SSHError):
    """Nothing that speaks SSH answers there, or not in time."""

    code = "ssh-unreachable"


class SSHRefused(SSHError):
    """The machine does not let this user in with this key."""

    code = "ssh-refused"


class SSHKeyUnusable(SSHError):
    """The user's key cannot be read, or its passphrase is missing or wrong."""

    code = "ssh-key-unusable"


class HostKeyChanged(SSHError):
    """The machine shows another key than at the first connection."""

    code = "host-key-changed"


class Interrupted(SetupError):
    """The user pressed Ctrl-C; `batch_id` is of the batch that goes on, if one does."""

    exit_code = 130
    code = "interrupted"

    def __init__(self, message: str, *, hint: str = "", batch_id: str = "") -> None:
        super().__init__(message, hint=hint)
        self.batch_id = batch_id


class SandboxError(SetupError):
    """The AWS endpoint on this machine could not be started or reached."""

    code = "sandbox-failed"
