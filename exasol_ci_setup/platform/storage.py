"""Storages of a workspace, and the objects in them.

A storage is an empty object below ``.storages/`` in the workspace's bucket. Its objects are below ``storages/NAME/``. The account's
credentials create, list and delete storages. The temporary credentials of one storage upload, list, download and delete its objects. These
are stored in ``~/.naas/credentials`` and renewed when they expire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import replace_aws_errors, translate_aws_errors
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.workspace import StorageAddress
from exasol_ci_setup.core.errors import StorageConflictError
from exasol_ci_setup.platform import asset, credentials, workspaces
from exasol_ci_setup.platform.folders import Folder, FolderPlan, plan_download, plan_upload
from exasol_ci_setup.platform.folders import run as transfer
from exasol_ci_setup.platform.object_copies import copy_object, move_object
from exasol_ci_setup.platform.objects import (
    StoredObject,
    delete_each,
    delete_object,
    get_object,
    iter_objects,
    list_object,
    put_object,
    put_stream,
    read_object,
)
from exasol_ci_setup.platform.storage_session import has_storage, no_storage, open_storage
from exasol_ci_setup.platform.workspace_stacks import ensure
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.platform.credentials import Credentials

__all__ = [
    "Folder",
    "FolderPlan",
    "Storage",
    "StoredObject",
    "connect",
    "copy_object",
    "create",
    "delete",
    "delete_object",
    "get_object",
    "list",
    "list_object",
    "move_object",
    "plan_download",
    "plan_upload",
    "put_object",
    "put_stream",
    "read_object",
    "transfer",
]


@dataclass(frozen=True)
class Storage:
    """A storage of a workspace."""

    workspace_id: str
    name: str
    created_at: datetime | None = None


def create(
    *, workspace_id: str, storage_name: str, tags: Mapping[str, str] | None = None, context: Context | None = None
) -> Storage:
    """Create a storage, and the workspace's stack if this is its first; `tags` are added to those of that stack and its bucket.

    Raises StorageConflictError if it already exists, InputError for an invalid name, and the errors of `context.deploy`.
    """
    address = build(StorageAddress, workspace_id=workspace_id, storage_name=storage_name)
    context = context or default_context()
    bucket = ensure(context, address.workspace_id, tags=tags)
    key = workspaces.marker(address.storage_name)
    exists = StorageConflictError(
        f"storage {address.storage_name!r} of workspace {address.workspace_id} already exists",
        hint="use it, or choose another name",
    )
    # The latter code if another process creates it at the same time.
    with replace_aws_errors({"PreconditionFailed", "ConditionalRequestConflict"}, lambda _message: exists):
        context.account.client("s3").put_object(Bucket=bucket.name, Key=key, Body=b"", IfNoneMatch="*")
    return Storage(address.workspace_id, address.storage_name)


def list(*, workspace_id: str, context: Context | None = None) -> tuple[Storage, ...]:  # noqa: A001 - the command's name
    """Return the storages of a workspace, by name; an empty tuple if the workspace does not exist."""
    context = context or default_context()
    bucket = workspaces.find(context, workspace_id)
    if bucket is None:
        return ()
    prefix = workspaces.marker("")
    return tuple(
        Storage(workspace_id, found.name, found.modified_at)
        for found in iter_objects(context.account.client("s3"), bucket.name, prefix, below=prefix)
    )


def delete(*, workspace_id: str, storage_name: str, empty: bool = False, context: Context | None = None) -> int:
    """Delete a storage with its assets, and with `empty` also its objects; return the number of objects.

    The bucket keeps deleted versions for some time. Raises StorageNotFoundError, and StorageConflictError if the storage has objects and `empty`
    is not set.
    """
    address = build(StorageAddress, workspace_id=workspace_id, storage_name=storage_name)
    context = context or default_context()
    s3 = context.account.client("s3")
    bucket = _bucket_of(context, address)
    # Fail before the deletion if the credentials file cannot be changed.
    credentials.find(address.workspace_id, address.storage_name)
    folder = workspaces.folder(address.storage_name)
    if not empty and next(iter_objects(s3, bucket.name, folder, below=folder), None) is not None:
        raise StorageConflictError(
            f"storage {address.storage_name!r} holds objects",
            hint="to delete them too, with their assets: "
            f"`exasol-ci-setup storage delete --workspace-id {workspace_id} --storage {storage_name} --empty`",
        )
    # Otherwise copies of public assets would remain after their originals.
    for handed_out in asset.of_storage(context, bucket, address.storage_name):
        asset.remove(context, bucket, handed_out)
    gone = delete_each(
        s3, bucket.name, (folder + found.name for found in iter_objects(s3, bucket.name, folder, below=folder))
    )
    with translate_aws_errors():
        s3.delete_object(Bucket=bucket.name, Key=workspaces.marker(address.storage_name))
    credentials.forget(address.workspace_id, address.storage_name)
    return gone


def plan_deletion(*, workspace_id: str, storage_name: str, context: Context) -> int:
    """Report the change of the workspace's stack, delete nothing, and return the number of objects in the storage.

    Raises as `delete`, and NotApprovedError if the stack would change.
    """
    address = build(StorageAddress, workspace_id=workspace_id, storage_name=storage_name)
    bucket = _bucket_of(context, address)
    folder = workspaces.folder(address.storage_name)
    held = sum(1 for _ in iter_objects(context.account.client("s3"), bucket.name, folder, below=folder))
    context.note(f"storage {address.storage_name} holds {held} object{'' if held == 1 else 's'}")
    asset.plan_removal(context, bucket, {each.id for each in asset.of_storage(context, bucket, address.storage_name)})
    return held


def _bucket_of(context: Context, address: StorageAddress) -> workspaces.Bucket:
    """Return the bucket of a storage. Raises StorageNotFoundError."""
    bucket = open_storage(context, address).bucket
    with translate_aws_errors():
        if not has_storage(context.account.client("s3"), bucket, address.storage_name):
            raise no_storage(context, address)
    return bucket


def connect(*, workspace_id: str, storage_name: str, context: Context | None = None) -> Credentials:
    """Write new credentials for a storage into ``~/.naas/credentials`` and return them. They are valid for an hour.

    Raises StorageNotFoundError, StorageError if the file cannot be written, and AccessDeniedError.
    """
    address = build(StorageAddress, workspace_id=workspace_id, storage_name=storage_name)
    return open_storage(context or default_context(), address).renew()
