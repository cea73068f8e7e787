"""All errors that this library raises on purpose, with their codes and exit codes.

A message reads ``what happened: why``; the hint has one or more lines with a way to fix the error. Neither ends
in a period, unless it has several sentences. `cli.main` prints both as text or JSON. ``docs/cli.md`` lists the codes of each
exit code.

The code of an error is its class name in kebab case without ``Error``, unless the class states another one. Users match codes
and exit codes: keep them when a class is renamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.text import kebab_case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.core.errors.details import Diagnosis, Failure, Finding


class SetupError(Exception):
    """The operation failed. `message` names failure and cause, `hint` the fix (may be empty)."""

    exit_code = 1
    code = "failed"

    def __init_subclass__(cls) -> None:
        if "code" not in vars(cls):
            cls.code = kebab_case(cls.__name__.removesuffix("Error"))

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InputError(SetupError):
    """An argument, an option or an input file is invalid. `problems` are those in the message if it lists several, each one line."""

    exit_code = 2
    code = "bad-input"
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, problems: Sequence[str], title: str, *, hint: str = "") -> InputError:
        """Return one error for all `problems`. Several are listed below the line `title`; a single one is the message."""
        message = problems[0] if len(problems) == 1 else "\n  ".join([f"{title}:", *problems])
        error = cls(message, hint=hint)
        error.problems = tuple(problems)
        return error


class TemplateRejectedError(SetupError):
    """The template has errors. `findings` are those of the linter; it is empty if AWS rejected the template."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


class AwsUnavailableError(SetupError):
    """AWS cannot be used."""

    exit_code = 4


class ProfileNotFoundError(AwsUnavailableError):
    """The named AWS profile does not exist."""


class RegionMissingError(AwsUnavailableError):
    """Neither option, environment nor profile sets a region."""


class CredentialsInvalidError(AwsUnavailableError):
    """The credentials are missing, expired, or rejected by AWS."""


class AccessDeniedError(AwsUnavailableError):
    """The credentials are valid but lack a permission."""


class WrongAccountError(AwsUnavailableError):
    """The credentials are valid, but belong to an account that is not allowed."""


class ThrottledError(AwsUnavailableError):
    """AWS throttled the request until the last retry."""


class UnreachableError(AwsUnavailableError):
    """The endpoint does not answer."""


class StackError(SetupError):
    """An operation on the stack `stack_name` failed."""

    code = "stack-failed"

    def __init__(self, message: str, *, hint: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stack_name = stack_name


class StackNotFoundError(StackError):
    """The stack does not exist."""


class InUseError(StackError):
    """Another stack uses the resource to be deleted. `stack_name` is the stack to delete, or empty."""


class StackBusyError(StackError):
    """Another operation on the stack is in progress."""


class PlanOutdatedError(StackBusyError):
    """The stack changed between plan and execution, so the plan is outdated."""

    code = StackBusyError.code


class StackNotUpdatableError(StackError):
    """The state of the stack allows no update. The hint has the way out. `diagnosis` explains the failed operation, if it is known."""

    code = "stack-stuck"
    diagnosis: Diagnosis | None = None


class DeployFailedError(StackError):
    """A deployment failed or was rolled back. `diagnosis` has the first failed resource and its reason."""

    def __init__(self, message: str, *, diagnosis: Diagnosis, hint: str = "", stack_name: str = "") -> None:
        super().__init__(message, hint=hint, stack_name=stack_name)
        self.diagnosis = diagnosis


class DeleteFailedError(DeployFailedError):
    """A deletion failed for some resources."""


class NotApprovedError(StackError):
    """The plan was not approved, so nothing was changed."""

    code = "declined"


class DifferencesFoundError(SetupError):
    """There are differences, and an option requests exit code 5 for them."""

    exit_code = 5


class BuildFailedError(SetupError):
    """A batch of builds did not succeed. `failures` are the failed builds, the root cause first."""

    exit_code = 6

    def __init__(self, message: str, *, hint: str = "", batch_id: str = "", failures: Sequence[Failure] = ()) -> None:
        super().__init__(message, hint=hint)
        self.batch_id = batch_id
        self.failures = tuple(failures)


class TaskFailedError(SetupError):
    """A task failed, or did not run; `exit_code` is the exit code of its container, or 1."""

    def __init__(self, message: str, *, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class TimedOutError(StackError):
    """The operation exceeded its time limit. `stack_name` or `batch_id` names its subject."""

    exit_code = 7

    def __init__(self, message: str, *, hint: str = "", stack_name: str = "", batch_id: str = "") -> None:
        super().__init__(message, hint=hint, stack_name=stack_name)
        self.batch_id = batch_id


class MissingExtraError(SetupError):
    """An optional dependency is not installed. The hint has the command that installs it."""

    exit_code = 2
    code = "extra-missing"


UNCHANGED: Final = "nothing was changed"
INTERRUPTED_UNCHANGED: Final = f"interrupted; {UNCHANGED}"


class OperationInterruptedError(SetupError):
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


class SpaceNotFoundError(SetupError):
    """The space does not exist in the account and region."""


class SpaceConflictError(SetupError):
    """A space of that name already exists, or another space has the host."""


class ReleaseNotFoundError(SetupError):
    """A space has no such release."""


class SpaceRequestError(InputError):
    """The request for a space is invalid."""


class SecretError(SetupError):
    """A request for a secret failed."""

    code = "secret-failed"


class SecretNotFoundError(SecretError):
    """The secret does not exist in the account and region."""


class SecretConflictError(SecretError):
    """A secret of that name already exists."""


class RegistryError(SetupError):
    """A request for a registry failed."""

    code = "registry-failed"


class RegistryNotFoundError(RegistryError):
    """The registry does not exist in the account and region."""


class RegistryConflictError(RegistryError):
    """A registry of that name already exists, or the registry still holds images."""


class StorageError(SetupError):
    """A request for a storage or an object failed, or the credentials file is invalid."""

    code = "storage-failed"


class StorageNotFoundError(StorageError):
    """The storage does not exist in the workspace."""


class StorageConflictError(StorageError):
    """The storage already exists, or it still holds objects."""


class ObjectNotFoundError(StorageError):
    """The object does not exist in the storage."""


class TransferFailedError(StorageError):
    """An upload or download failed, or its checksum does not match."""


class AssetError(SetupError):
    """A request for an asset failed."""

    code = "asset-failed"


class AssetNotFound(AssetError):  # noqa: N818 - programs of a predecessor catch it by this name
    """The asset does not exist in the workspace."""


class AssetConflictError(AssetError):
    """The object already is an asset, or a concurrent request changed the asset."""


class AssetRequestError(AssetError):
    """The request for an asset is invalid, or lacks a required field."""

    exit_code = 2


class NoSuchImageError(InputError):
    """The configuration of the container manager has no image `wanted`; it has the `available` images."""

    def __init__(self, wanted: str, available: Sequence[str]) -> None:
        super().__init__(f"the configuration has no image {wanted!r}")
        self.wanted = wanted
        self.available = tuple(available)


class EngineError(SetupError):
    """A request to the Docker engine failed; `status` is its HTTP status, or 0 without an answer."""

    code = "engine-failed"

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class EngineUnavailableError(EngineError):
    """The Docker engine does not run or cannot be used."""


class DockerFailedError(EngineError):
    """The command `docker` failed; `exit_code` is its exit code."""

    def __init__(self, message: str, *, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class ImageNotBuiltError(EngineError):
    """An image could not be built or pulled; `output` has the last lines of the build."""

    def __init__(self, message: str, *, status: int = 0, output: Sequence[str] = ()) -> None:
        super().__init__(message, status=status)
        self.output = tuple(output)


class PortTakenError(EngineError):
    """A requested port of the host is in use."""


class ContainerNotReadyError(EngineError):
    """A started container ended or missed its wait condition; `output` has its last lines."""

    def __init__(self, message: str, *, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = tuple(output)


class ShuttingDownError(SetupError):
    """The container manager is shutting down and starts no containers."""

    def __init__(self, message: str = "the container manager is shutting down") -> None:
        super().__init__(message)


class AppError(SetupError):
    """A request that changes an app of the hosted API failed."""

    code = "app-failed"


class AppNotFoundError(AppError):
    """The app, or its image, does not exist."""


class AppConflictError(AppError):
    """The request conflicts with the state of the app, with another app, or with another site of nginx."""


class AppDoesNotAnswerError(AppError):
    """The new container of an app does not run or does not answer."""


class KeyRefusedError(SetupError):
    """The request to the hosted API has no key or a wrong key."""


class TooManyAttemptsError(KeyRefusedError):
    """A caller has sent too many wrong keys; it may try again after `seconds`."""

    def __init__(self, message: str, *, hint: str = "", seconds: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class StateError(SetupError):
    """The state directory of the hosted API cannot be read or written."""

    code = "state-failed"


class DiskFullError(StateError):
    """The disk with the state directory of the hosted API is full."""


class NginxError(SetupError):
    """Nginx is not installed, does not run, or a command of nginx failed."""

    code = "nginx-failed"


class NginxRefusedError(NginxError):
    """Nginx rejected a new configuration; the previous one was restored."""


class GraphvizError(SetupError):
    """Graphviz is not installed, or drew no picture."""

    code = "graphviz-failed"


class CertificateError(SetupError):
    """A domain has no certificate, or nginx does not use it."""

    code = "certificate-failed"


class SSHError(SetupError):
    """A connection or a command over SSH failed."""

    code = "ssh-failed"


class SSHUnreachableError(SSHError):
    """No SSH server answers at the address in time."""


class SSHRefusedError(SSHError):
    """The machine rejects the user or the key."""


class SSHKeyUnusableError(SSHError):
    """The private key cannot be read, or its passphrase is missing or wrong."""


class HostKeyChangedError(SSHError):
    """The host key of the machine differs from the pinned one."""


# Names of the errors of naas-python, which programs catch.
BadCredentials = CredentialsInvalidError
ExpiredToken = CredentialsInvalidError
RegistryValidationError = InputError
SecretValidationError = InputError
SpaceNotFound = SpaceNotFoundError
SpaceValidationError = SpaceRequestError
