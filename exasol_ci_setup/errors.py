"""Every error that this library raises on purpose, each with its exit code and a hint.

::

    SetupError                    1  the operation failed
    ├── InputError                2  bad usage or bad input
    │   ├── SpaceRequestError     2  a space cannot be what is asked for
    │   └── NoSuchImage           2  the configuration of the container manager has no image of that name
    ├── TemplateRejected          3  lint or AWS refused the template
    ├── AwsUnavailable            4  AWS could not be used at all
    │   ├── ProfileNotFound       4
    │   ├── RegionMissing         4
    │   ├── CredentialsInvalid    4  none found, expired or refused
    │   ├── AccessDenied          4
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
    ├── EngineError               1  the Docker engine on this machine did not do what it should
    │   ├── EngineUnavailable     1  no Docker engine, or none that answers
    │   ├── DockerFailed          -  `docker` ended in an error: with its own exit code
    │   ├── ImageNotBuilt         1  a command of its Dockerfile failed, or what it is built from cannot be had
    │   ├── PortTaken             1  something else has the host's port
    │   └── ContainerNotReady     1  it ended, or did not get ready in time
    ├── ShuttingDown              1  the container manager starts nothing any more
    ├── ExtraMissing              2  an optional part of this program is not installed
    ├── AppError                  1  an app of the hosted API could not be changed as asked
    │   ├── AppNotFound           1
    │   ├── AppConflict           1  it is in a state, or there is something else, that is in the way
    │   └── AppFailed             1  its new container does not answer
    ├── KeyRefused                1  a caller of the hosted API has not sent its key
    │   └── TooManyAttempts       1
    ├── NginxError                1  nginx cannot be used
    │   └── NginxRefused          1  it does not take this configuration
    ├── CertificateError          1  there is no certificate for a domain
    ├── SSHError                  1  a machine could not be used over SSH
    │   ├── SSHUnreachable        1  nothing answers there
    │   ├── SSHRefused            1  it does not let this user in with this key
    │   ├── SSHKeyUnusable        1  the key's file cannot be read or opened
    │   └── HostKeyChanged        1  another machine answers than before
    ├── SpaceNotFound             1  there is no space of that name
    ├── SpaceConflictError        1  there is one already
    ├── SecretError               1  a secret could not be used
    │   ├── SecretNotFound        1  there is no secret of that name
    │   └── SecretConflictError   1  there is one already
    ├── RegistryError             1  a registry could not be used
    │   ├── RegistryNotFound      1  there is no registry of that name
    │   └── RegistryConflictError 1  there is one already, or it still holds images
    ├── StorageError              1  a storage, or an object in it, could not be used
    │   ├── StorageNotFound       1
    │   ├── StorageConflictError  1  it is there already, or objects are still in it
    │   ├── ObjectNotFound        1
    │   └── TransferFailed        1  an up- or download did not come to its end
    ├── AssetError                1
    │   ├── AssetNotFound         1
    │   ├── AssetConflictError    1  the object is an asset already, or somebody else changed it meanwhile
    │   └── AssetRequestError     2  what is asked for cannot be an asset
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


class NoSuchImage(InputError):
    """The container manager was asked for `wanted`, which is not among the `available` images of its configuration."""

    code = "no-such-image"

    def __init__(self, wanted: str, available: Sequence[str]) -> None:
        super().__init__(f"there is no image {wanted!r} in the configuration")
        self.wanted = wanted
        self.available = tuple(available)


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
    """The Docker engine on this machine did not do what it should; `status` is its HTTP status, or 0 if it gave none."""

    code = "engine-failed"

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class EngineUnavailable(EngineError):
    """There is no Docker engine on this machine, or it cannot be used."""

    code = "engine-unavailable"


class DockerFailed(EngineError):
    """The `docker` command ended in an error; `exit_code` is docker's own."""

    code = "docker-failed"

    def __init__(self, message: str, *, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class ImageNotBuilt(EngineError):
    """An image could not be built, or what it is built from could not be had; `output` has the last that the build said."""

    code = "image-not-built"

    def __init__(self, message: str, *, status: int = 0, output: Sequence[str] = ()) -> None:
        super().__init__(message, status=status)
        self.output = tuple(output)


class PortTaken(EngineError):
    """A port of the host that was asked for is somebody else's."""

    code = "port-taken"


class ContainerNotReady(EngineError):
    """A container was started, but it ended, or what was waited for did not come; `output` has the last that it said."""

    code = "container-not-ready"

    def __init__(self, message: str, *, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = tuple(output)


class ShuttingDown(SetupError):
    """The container manager is stopping its containers, and starts nothing any more."""

    code = "shutting-down"


class ExtraMissing(SetupError):
    """An optional part of this program is not installed; the hint says how to get it."""

    exit_code = 2
    code = "extra-missing"


class AppError(SetupError):
    """An app of the hosted API could not be changed as it was asked for."""

    code = "app-failed"


class AppNotFound(AppError):
    """There is no app of that name."""

    code = "app-not-found"


class AppConflict(AppError):
    """The app's state, or something else that is there, is in the way."""

    code = "app-conflict"


class AppFailed(AppError):
    """The container that an app was to get does not run, or does not answer."""

    code = "app-does-not-answer"


class KeyRefused(SetupError):
    """A caller of the hosted API has sent no key, or a wrong one."""

    code = "key-refused"


class TooManyAttempts(KeyRefused):
    """A caller has sent wrong keys too often; `seconds` is how long it is not listened to."""

    code = "too-many-attempts"

    def __init__(self, message: str, *, hint: str = "", seconds: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class NginxError(SetupError):
    """Nginx is not there, does not run, or does not do what it is told."""

    code = "nginx-failed"


class NginxRefused(NginxError):
    """Nginx does not take a configuration that was made for it; the one before is in place again."""

    code = "nginx-refused"


class CertificateError(SetupError):
    """A domain has no certificate, or nginx does not show it."""

    code = "certificate-failed"


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


class SpaceNotFound(SetupError):
    """There is no space of that name in the account and region."""

    code = "space-not-found"


class SpaceConflictError(SetupError):
    """There is a space of that name already."""

    code = "space-conflict"


class SpaceRequestError(InputError):
    """A space cannot be what is asked for."""

    code = "space-request"


class SecretError(SetupError):
    """A secret could not be used."""

    code = "secret-failed"


class SecretNotFound(SecretError):
    """There is no secret of that name in the account and region."""

    code = "secret-not-found"


class SecretConflictError(SecretError):
    """There is a secret of that name already."""

    code = "secret-conflict"


class RegistryError(SetupError):
    """A registry could not be used."""

    code = "registry-failed"


class RegistryNotFound(RegistryError):
    """There is no registry of that name in the account and region."""

    code = "registry-not-found"


class RegistryConflictError(RegistryError):
    """There is a registry of that name already, or it still holds images."""

    code = "registry-conflict"


class StorageError(SetupError):
    """A storage, an object in it, or the file with its credentials could not be used."""

    code = "storage-failed"


class StorageNotFound(StorageError):
    """There is no storage of that name in the workspace."""

    code = "storage-not-found"


class StorageConflictError(StorageError):
    """The storage is there already, or it still holds objects."""

    code = "storage-conflict"


class ObjectNotFound(StorageError):
    """There is no object of that name in the storage."""

    code = "object-not-found"


class TransferFailed(StorageError):
    """An up- or download did not come to its end, or not to the right one."""

    code = "transfer-failed"


class AssetError(SetupError):
    """Something went wrong with an asset."""

    code = "asset-failed"


class AssetNotFound(AssetError):
    """There is no asset with that id in the workspace."""

    code = "asset-not-found"


class AssetConflictError(AssetError):
    """The object is an asset already, or somebody else changed the asset meanwhile."""

    code = "asset-conflict"


class AssetRequestError(AssetError):
    """What is asked for cannot be an asset, or not without a word more."""

    exit_code = 2
    code = "asset-request"


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
