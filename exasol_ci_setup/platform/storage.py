"""Storages of a workspace, and the objects in them.

A storage is an empty object below ``.storages/`` in the workspace's bucket. Its objects are below ``storages/NAME/``. The account's
credentials create, list and delete storages. The temporary credentials of one storage upload, list, download and delete its objects. These
are stored in ``~/.naas/credentials`` and renewed when they expire.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from exasol_ci_setup.aws.session import replace_aws_errors, translate_aws_errors
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.workspace import NewObjectAddress, ObjectAddress, StorageAddress
from exasol_ci_setup.core.commands import LIST_OBJECTS_HINT
from exasol_ci_setup.core.errors import InputError, ObjectNotFoundError, StorageConflictError, StorageError
from exasol_ci_setup.platform import asset, credentials, transfer, workspaces
from exasol_ci_setup.platform.storage_session import has_storage, no_storage, open_storage
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.platform.credentials import Credentials

_BATCH: Final = 1000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html."""


@dataclass(frozen=True)
class Storage:
    """A storage of a workspace."""

    workspace_id: str
    name: str
    created_at: datetime | None = None


@dataclass(frozen=True)
class StoredObject:
    """An object in a storage: its name there, and its size in bytes."""

    name: str
    size: int
    modified_at: datetime | None = None


def create(*, workspace_id: str, storage_name: str, context: Context | None = None) -> Storage:
    """Create a storage, and the workspace's stack if this is its first.

    Raises StorageConflictError if it already exists, InputError for an invalid name, and the errors of `context.deploy`.
    """
    address = build(StorageAddress, workspace_id=workspace_id, storage_name=storage_name)
    context = context or default_context()
    bucket = workspaces.ensure(context, address.workspace_id)
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
        for found in _objects(context.account.client("s3"), bucket.name, prefix, below=prefix)
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
    if not empty and next(_objects(s3, bucket.name, folder, below=folder), None) is not None:
        raise StorageConflictError(
            f"storage {address.storage_name!r} holds objects",
            hint="--empty deletes them with the storage, and their assets too",
        )
    # Otherwise copies of public assets would remain after their originals.
    for handed_out in asset.of_storage(context, bucket, address.storage_name):
        asset.remove(context, bucket, handed_out)
    gone = _delete_each(
        s3, bucket.name, (folder + found.name for found in _objects(s3, bucket.name, folder, below=folder))
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
    held = sum(1 for _ in _objects(context.account.client("s3"), bucket.name, folder, below=folder))
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


def list_object(
    *, workspace_id: str, storage_name: str, storage_prefix: str | None = "", context: Context | None = None
) -> Iterator[StoredObject]:
    """Return the objects of a storage whose names begin with `storage_prefix`, by name. Raises StorageNotFoundError."""
    address = build(StorageAddress, workspace_id=workspace_id, storage_name=storage_name)
    if storage_prefix is not None and not isinstance(storage_prefix, str):
        raise InputError(f"storage_prefix: {storage_prefix!r} is not text")
    storage = open_storage(context or default_context(), address)
    folder = workspaces.folder(storage_name)
    return _objects(storage.client(), storage.bucket.name, folder + (storage_prefix or ""), below=folder)


def put_object(
    *,
    workspace_id: str,
    storage_name: str,
    src_file: str | Path,
    dst_file: str = ".",
    context: Context | None = None,
) -> StoredObject:
    """Upload the file `src_file` to the object `dst_file`; for ``.`` or a folder with a trailing slash, the object gets the file's name.

    An existing object is replaced. An interrupted upload is resumed. The reporter of `context` receives the progress in bytes. Raises
    StorageNotFoundError, InputError for an unreadable file or an invalid name, and the errors of `transfer.upload`.
    """
    source = Path(src_file)
    transfer.size_of(source)
    name = dst_file.removesuffix(".") + source.name if dst_file == "." or dst_file.endswith("/") else dst_file
    address = build(NewObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=name)
    context = context or default_context()
    storage = open_storage(context, address)
    size = transfer.upload(
        storage.client(),
        source,
        bucket=storage.bucket.name,
        key=workspaces.folder(storage_name) + address.object_name,
        reporter=context.reporter,
    )
    return StoredObject(address.object_name, size)


def put_stream(
    *, workspace_id: str, storage_name: str, source: BinaryIO, dst_file: str, context: Context | None = None
) -> StoredObject:
    """Upload what the stream `source` contains to the object `dst_file`. An interrupted upload starts again.

    Raises StorageNotFoundError, InputError for an invalid name or a stream that cannot be read, and the errors of `transfer.upload_stream`.
    """
    if dst_file == "." or dst_file.endswith("/"):
        raise InputError("an upload from standard input needs the name of the object", hint="add --destination NAME")
    address = build(NewObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=dst_file)
    context = context or default_context()
    opened = open_storage(context, address)
    key = workspaces.folder(storage_name) + address.object_name
    size = transfer.upload_stream(
        opened.client(), source, bucket=opened.bucket.name, key=key, reporter=context.reporter
    )
    return StoredObject(address.object_name, size)


def read_object(
    *,
    workspace_id: str,
    storage_name: str,
    src_file: str,
    write: Callable[[bytes], object],
    context: Context | None = None,
) -> int:
    """Pass the object `src_file` to `write` in pieces, in their order, and return its size in bytes.

    Raises StorageNotFoundError, ObjectNotFoundError, and the errors of `transfer.download_stream`, also after pieces were written.
    """
    address = build(ObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=src_file)
    context = context or default_context()
    opened = open_storage(context, address)
    return transfer.download_stream(
        opened.client(),
        write,
        bucket=opened.bucket.name,
        key=workspaces.folder(storage_name) + address.object_name,
        reporter=context.reporter,
        name=address.object_name,
    )


def get_object(
    *,
    workspace_id: str,
    storage_name: str,
    src_file: str,
    dst_file: str | Path = ".",
    context: Context | None = None,
) -> Path:
    """Download the object `src_file` into the file `dst_file`, or with its own name into that folder, and return the file.

    The name of the object is used unchanged. The file is replaced atomically; an interrupted download is resumed. The reporter of
    `context` receives the progress in bytes. Raises StorageNotFoundError, ObjectNotFoundError, InputError for a folder that does not exist, or if the
    object's name has no last part that a file can have, and the errors of `transfer.download`.
    """
    address = build(ObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=src_file)
    target = Path(dst_file)
    if target.is_dir() or str(dst_file).endswith("/"):
        name = address.object_name.rpartition("/")[2]
        if name in {"", ".", ".."}:
            raise InputError(
                f"object {src_file!r} cannot name a file in {target}: its last part is {name!r}",
                hint="use the name of a file as the destination",
            )
        target /= name
    if not target.parent.is_dir():
        raise InputError(f"{target.parent} is not a folder", hint="create it first")
    if target.is_dir():
        raise InputError(f"{target} is a folder", hint="choose another destination")
    context = context or default_context()
    storage = open_storage(context, address)
    transfer.download(
        storage.client(),
        bucket=storage.bucket.name,
        key=workspaces.folder(storage_name) + address.object_name,
        target=target,
        reporter=context.reporter,
        name=address.object_name,
    )
    return target


def delete_object(*, workspace_id: str, storage_name: str, object_name: str, context: Context | None = None) -> int:
    """Delete an object, or with a trailing slash all objects in that folder, and return their number.

    The name is used unchanged: ``a//`` is the folder of ``a//b``, not that of ``a/b``. The bucket keeps deleted versions for some time.
    Raises StorageNotFoundError, and ObjectNotFoundError if no object matches.
    """
    address = build(ObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=object_name)
    storage = open_storage(context or default_context(), address)
    s3, bucket, folder = storage.client(), storage.bucket.name, workspaces.folder(storage_name)
    found = _objects(s3, bucket, folder + address.object_name, below=folder)
    if not object_name.endswith("/"):
        # S3 lists an object before the objects whose names begin with its name.
        found = (each for each in islice(found, 1) if each.name == object_name)
    gone = _delete_each(s3, bucket, (folder + each.name for each in found))
    if not gone:
        raise ObjectNotFoundError(
            f"storage {storage_name!r} has no object {object_name!r}",
            hint=LIST_OBJECTS_HINT,
        )
    return gone


def _objects(s3: S3Client, bucket: str, prefix: str, *, below: str) -> Iterator[StoredObject]:
    """Yield the objects of a bucket; names are relative to `below`."""
    with translate_aws_errors():
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield StoredObject(entry["Key"].removeprefix(below), entry["Size"], entry["LastModified"])


def _delete_each(s3: S3Client, bucket: str, keys: Iterator[str]) -> int:
    """Delete objects in batches and return their number. Raises StorageError with the first key that S3 did not delete."""
    gone = 0
    while batch := tuple(islice(keys, _BATCH)):
        with translate_aws_errors():
            answer = s3.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
            )
        for failed in answer.get("Errors", []):
            raise StorageError(f"{failed.get('Key')} could not be deleted: {failed.get('Message')}")
        gone += len(batch)
    return gone
