"""Errors of spaces, secrets, registries, storages and assets."""

from __future__ import annotations

from exasol_ci_setup.core.errors.base import InputError, SetupError


class SpaceNotFound(SetupError):
    """The space does not exist in the account and region."""

    code = "space-not-found"


class SpaceConflictError(SetupError):
    """A space of that name already exists."""

    code = "space-conflict"


class SpaceRequestError(InputError):
    """The request for a space is invalid."""

    code = "space-request"


class SecretError(SetupError):
    """A request for a secret failed."""

    code = "secret-failed"


class SecretNotFound(SecretError):
    """The secret does not exist in the account and region."""

    code = "secret-not-found"


class SecretConflictError(SecretError):
    """A secret of that name already exists."""

    code = "secret-conflict"


class RegistryError(SetupError):
    """A request for a registry failed."""

    code = "registry-failed"


class RegistryNotFound(RegistryError):
    """The registry does not exist in the account and region."""

    code = "registry-not-found"


class RegistryConflictError(RegistryError):
    """A registry of that name already exists, or the registry still holds images."""

    code = "registry-conflict"


class StorageError(SetupError):
    """A request for a storage or an object failed, or the credentials file is invalid."""

    code = "storage-failed"


class StorageNotFound(StorageError):
    """The storage does not exist in the workspace."""

    code = "storage-not-found"


class StorageConflictError(StorageError):
    """The storage already exists, or it still holds objects."""

    code = "storage-conflict"


class ObjectNotFound(StorageError):
    """The object does not exist in the storage."""

    code = "object-not-found"


class TransferFailed(StorageError):
    """An upload or download failed, or its checksum does not match."""

    code = "transfer-failed"


class AssetError(SetupError):
    """A request for an asset failed."""

    code = "asset-failed"


class AssetNotFound(AssetError):
    """The asset does not exist in the workspace."""

    code = "asset-not-found"


class AssetConflictError(AssetError):
    """The object already is an asset, or a concurrent request changed the asset."""

    code = "asset-conflict"


class AssetRequestError(AssetError):
    """The request for an asset is invalid, or lacks a required field."""

    exit_code = 2
    code = "asset-request"
