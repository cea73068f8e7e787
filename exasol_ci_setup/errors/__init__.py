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
    │   ├── WrongAccount          4  the credentials lead to another account than is allowed
    │   ├── Throttled             4  to the end of all retries
    │   └── Unreachable           4  no network, or no such endpoint
    ├── StackError                1
    │   ├── StackNotFound         1
    │   ├── InUseError            1  a stack uses what is to be deleted
    │   ├── StackBusy             1  another operation is under way
    │   │   └── PlanOutdatedError 1  it came between a plan and its execution
    │   ├── StackNotUpdatableError 1  in a state that no update leaves
    │   ├── DeployFailed          1
    │   ├── DeleteFailed          1
    │   └── NotApprovedError      1  the user, or the lack of a terminal, said no
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
    ├── MissingExtraError         2  an optional part of this program is not installed
    ├── AppError                  1  an app of the hosted API could not be changed as asked
    │   ├── AppNotFound           1
    │   ├── AppConflict           1  it is in a state, or there is something else, that is in the way
    │   └── AppFailed             1  its new container does not answer
    ├── KeyRefused                1  a caller of the hosted API has not sent its key
    │   └── TooManyAttempts       1
    ├── StateError                1  the state of the hosted API cannot be used
    │   └── DiskFull              1  its disk is full
    ├── NginxError                1  nginx cannot be used
    │   └── NginxRefused          1  it does not take this configuration
    ├── CertificateError          1  there is no certificate for a domain
    ├── SSHError                  1  a machine could not be used over SSH
    │   ├── SSHUnreachable        1  nothing answers there
    │   ├── SSHRefused            1  the machine rejects the user or the key
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

from exasol_ci_setup.errors.base import (
    AccessDenied,
    AwsUnavailable,
    BuildFailed,
    CredentialsInvalid,
    DeleteFailed,
    DeployFailed,
    DifferencesFound,
    InputError,
    Interrupted,
    InUseError,
    MissingExtraError,
    NotApprovedError,
    PlanOutdatedError,
    ProfileNotFound,
    RegionMissing,
    SandboxError,
    SetupError,
    StackBusy,
    StackError,
    StackNotFound,
    StackNotUpdatableError,
    TemplateRejected,
    Throttled,
    TimedOut,
    Unreachable,
    WrongAccount,
)
from exasol_ci_setup.errors.machine import (
    AppConflict,
    AppError,
    AppFailed,
    AppNotFound,
    CertificateError,
    ContainerNotReady,
    DiskFull,
    DockerFailed,
    EngineError,
    EngineUnavailable,
    HostKeyChanged,
    ImageNotBuilt,
    KeyRefused,
    NginxError,
    NginxRefused,
    NoSuchImage,
    PortTaken,
    ShuttingDown,
    SSHError,
    SSHKeyUnusable,
    SSHRefused,
    SSHUnreachable,
    StateError,
    TooManyAttempts,
)
from exasol_ci_setup.errors.platform import (
    AssetConflictError,
    AssetError,
    AssetNotFound,
    AssetRequestError,
    ObjectNotFound,
    RegistryConflictError,
    RegistryError,
    RegistryNotFound,
    SecretConflictError,
    SecretError,
    SecretNotFound,
    SpaceConflictError,
    SpaceNotFound,
    SpaceRequestError,
    StorageConflictError,
    StorageError,
    StorageNotFound,
    TransferFailed,
)

__all__ = [
    "AccessDenied",
    "AppConflict",
    "AppError",
    "AppFailed",
    "AppNotFound",
    "AssetConflictError",
    "AssetError",
    "AssetNotFound",
    "AssetRequestError",
    "AwsUnavailable",
    "BuildFailed",
    "CertificateError",
    "ContainerNotReady",
    "CredentialsInvalid",
    "DeleteFailed",
    "DeployFailed",
    "DifferencesFound",
    "DiskFull",
    "DockerFailed",
    "EngineError",
    "EngineUnavailable",
    "HostKeyChanged",
    "ImageNotBuilt",
    "InUseError",
    "InputError",
    "Interrupted",
    "KeyRefused",
    "MissingExtraError",
    "NginxError",
    "NginxRefused",
    "NoSuchImage",
    "NotApprovedError",
    "ObjectNotFound",
    "PlanOutdatedError",
    "PortTaken",
    "ProfileNotFound",
    "RegionMissing",
    "RegistryConflictError",
    "RegistryError",
    "RegistryNotFound",
    "SSHError",
    "SSHKeyUnusable",
    "SSHRefused",
    "SSHUnreachable",
    "SandboxError",
    "SecretConflictError",
    "SecretError",
    "SecretNotFound",
    "SetupError",
    "ShuttingDown",
    "SpaceConflictError",
    "SpaceNotFound",
    "SpaceRequestError",
    "StackBusy",
    "StackError",
    "StackNotFound",
    "StackNotUpdatableError",
    "StateError",
    "StorageConflictError",
    "StorageError",
    "StorageNotFound",
    "TemplateRejected",
    "Throttled",
    "TimedOut",
    "TooManyAttempts",
    "TransferFailed",
    "Unreachable",
    "WrongAccount",
]
