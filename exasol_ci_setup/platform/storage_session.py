"""A storage with its own credentials: stored in the user's file, checked before use, and renewed when they expire or are rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.roles import Keys, holding
from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import StorageNotFoundError
from exasol_ci_setup.platform import credentials, workspaces
from exasol_ci_setup.platform.download import object_exists

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.workspace import StorageAddress
    from exasol_ci_setup.platform.credentials import Credentials
    from exasol_ci_setup.platform.workspaces import Bucket

# Codes of S3 for credentials of another bucket: of a recreated workspace, or of another account.
_WRONG_BUCKET_CODES: Final = frozenset(
    {"AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "NoSuchBucket", "SignatureDoesNotMatch"}
)


@dataclass(frozen=True)
class StorageSession:
    """A storage of a workspace that has a bucket."""

    context: Context
    address: StorageAddress
    bucket: Bucket

    def client(self) -> S3Client:
        """Return an S3 client that may use only this storage and renews its credentials.

        Raises StorageNotFoundError, StorageError if the credentials file cannot be used, and AccessDeniedError.
        """
        known = credentials.find(self.address.workspace_id, self.address.storage_name)
        if known is None or not known.are_valid or known.region != self.context.account.region:
            return self._with(self.renew())
        s3 = self._with(known)
        with translate_aws_errors():
            try:
                self._require(s3)
            except ClientError as error:
                if error_code(error) not in _WRONG_BUCKET_CODES:
                    raise
                return self._with(self.renew())
        return s3

    def renew(self) -> Credentials:
        """Write new credentials into the file and return them. Raises as `client` does."""
        fresh = workspaces.session(self.context.account, self.bucket, self.address.storage_name)
        with translate_aws_errors():
            self._require(self._with(fresh))
        credentials.save(self.address.workspace_id, self.address.storage_name, fresh)
        return fresh

    def _with(self, known: Credentials) -> S3Client:
        # A transfer may take longer than the lifetime of one set of credentials.
        return holding(self.context.account, lambda: keys(self.renew()), keys(known)).client("s3")

    def _require(self, s3: S3Client) -> None:
        if not has_storage(s3, self.bucket, self.address.storage_name):
            raise no_storage(self.context, self.address)


def open_storage(context: Context, address: StorageAddress) -> StorageSession:
    """Return a storage of a workspace that has a bucket. Raises StorageNotFoundError."""
    bucket = workspaces.find(context, address.workspace_id)
    if bucket is None:
        raise no_storage(context, address)
    return StorageSession(context, address, bucket)


def has_storage(s3: S3Client, bucket: Bucket, storage_name: str) -> bool:
    """Return whether the storage exists. Raises botocore's errors."""
    return object_exists(s3, bucket.name, workspaces.marker(storage_name))


def no_storage(context: Context, address: StorageAddress) -> StorageNotFoundError:
    """Return the error for a missing storage."""
    return StorageNotFoundError(
        f"storage {address.storage_name!r} does not exist in workspace {address.workspace_id} in {context.account.region}",
        hint=f"list the storages with `exasol-ci-setup storage list --workspace-id {address.workspace_id}`,"
        f" or create it with `exasol-ci-setup storage create --workspace-id {address.workspace_id} --storage {address.storage_name}`",
    )


def keys(found: Credentials) -> Keys:
    """Return credentials in the form that `roles.holding` takes."""
    return Keys(
        access_key=found.access_key_id,
        secret_key=found.secret_access_key,
        token=found.session_token,
        expiry_time=found.expires_at.isoformat(),
    )
