"""The errors of spaces, secrets, registries, storages and assets."""

from __future__ import annotations

from exasol_ci_setup.errors.base import InputError, SetupError


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
