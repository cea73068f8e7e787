"""All errors that this library raises on purpose, with their exit codes.

::

    SetupError                    1  the operation failed
    ├── InputError                2  bad usage or bad input
    │   ├── SpaceRequestError     2  the request for a space is invalid
    │   └── NoSuchImage           2  the configuration of the container manager lacks this image
    ├── TemplateRejected          3  the linter or AWS rejected the template
    ├── AwsUnavailable            4  AWS cannot be used
    │   ├── ProfileNotFound       4
    │   ├── RegionMissing         4
    │   ├── CredentialsInvalid    4  credentials are missing, expired or rejected
    │   ├── AccessDenied          4
    │   ├── WrongAccount          4  the credentials belong to an account that is not allowed
    │   ├── Throttled             4  after the last retry
    │   └── Unreachable           4  no network, or a wrong endpoint
    ├── StackError                1
    │   ├── StackNotFound         1
    │   ├── InUseError            1  another stack uses the resource to be deleted
    │   ├── StackBusy             1  another operation is in progress
    │   │   └── PlanOutdatedError 1  the stack changed between plan and execution
    │   ├── StackNotUpdatableError 1  the state of the stack allows no update
    │   ├── DeployFailed          1
    │   ├── DeleteFailed          1
    │   └── NotApprovedError      1  the plan was rejected, or could not be confirmed
    ├── DifferencesFound          5  `--exit-code` of `diff` and `drift`
    ├── BuildFailed               6  a build failed, was stopped, or timed out on AWS
    ├── TimedOut                  7
    ├── EngineError               1  a request to the local Docker engine failed
    │   ├── EngineUnavailable     1  the Docker engine does not run or answer
    │   ├── DockerFailed          -  `docker` failed; the exit code is that of `docker`
    │   ├── ImageNotBuilt         1  the build failed, or a base image is unavailable
    │   ├── PortTaken             1  a port of the host is in use
    │   └── ContainerNotReady     1  the container ended, or was not ready in time
    ├── ShuttingDown              1  the container manager is shutting down
    ├── MissingExtraError         2  an optional dependency is not installed
    ├── AppError                  1  a change to an app of the hosted API failed
    │   ├── AppNotFound           1
    │   ├── AppConflict           1  the request conflicts with the state or with another app
    │   └── AppFailed             1  the new container does not answer
    ├── KeyRefused                1  a request to the hosted API has no valid key
    │   └── TooManyAttempts       1
    ├── StateError                1  the state directory of the hosted API cannot be used
    │   └── DiskFull              1  the disk is full
    ├── NginxError                1  nginx cannot be used
    │   └── NginxRefused          1  nginx rejects the configuration
    ├── CertificateError          1  a domain has no certificate
    ├── SSHError                  1  a connection or command over SSH failed
    │   ├── SSHUnreachable        1  no SSH server answers
    │   ├── SSHRefused            1  the machine rejects the user or the key
    │   ├── SSHKeyUnusable        1  the private key cannot be read
    │   └── HostKeyChanged        1  the host key differs from the pinned one
    ├── SpaceNotFound             1  the space does not exist
    ├── SpaceConflictError        1  the space already exists
    ├── SecretError               1  a request for a secret failed
    │   ├── SecretNotFound        1  the secret does not exist
    │   └── SecretConflictError   1  the secret already exists
    ├── RegistryError             1  a request for a registry failed
    │   ├── RegistryNotFound      1  the registry does not exist
    │   └── RegistryConflictError 1  the registry already exists, or holds images
    ├── StorageError              1  a request for a storage or an object failed
    │   ├── StorageNotFound       1
    │   ├── StorageConflictError  1  the storage already exists, or holds objects
    │   ├── ObjectNotFound        1
    │   └── TransferFailed        1  an upload or download failed
    ├── AssetError                1
    │   ├── AssetNotFound         1
    │   ├── AssetConflictError    1  the asset already exists, or changed concurrently
    │   └── AssetRequestError     2  the request for an asset is invalid
    ├── Interrupted             130  Ctrl-C
    └── SandboxError              1

A message reads ``what happened: why``; the hint has one or more lines with a way to fix the error. Neither ends
in a period, unless it has several sentences. `cli.main` prints both as text or JSON.
"""

from __future__ import annotations

from exasol_ci_setup.core.errors.base import (
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
from exasol_ci_setup.core.errors.machine import (
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
from exasol_ci_setup.core.errors.platform import (
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
