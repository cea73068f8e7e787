"""The objects of a storage: list, upload, download and delete them, with the credentials of that storage."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.workspace import NewObjectAddress, ObjectAddress, StorageAddress
from exasol_ci_setup.core.commands import list_objects_hint
from exasol_ci_setup.core.errors import InputError, ObjectNotFoundError, StorageError
from exasol_ci_setup.platform import download, upload, workspaces
from exasol_ci_setup.platform.arguments import as_path, require_text
from exasol_ci_setup.platform.storage_session import open_storage
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.aws.context import Context

_BATCH: Final = 1000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html."""


@dataclass(frozen=True)
class StoredObject:
    """An object in a storage: its name there, and its size in bytes."""

    name: str
    size: int
    modified_at: datetime | None = None


def list_object(
    *, workspace_id: str, storage_name: str, storage_prefix: str | None = "", context: Context | None = None
) -> Iterator[StoredObject]:
    """Return the objects of a storage whose names begin with `storage_prefix`, by name. Raises StorageNotFoundError."""
    address = build(StorageAddress, workspace_id=workspace_id, storage_name=storage_name)
    if storage_prefix is not None:
        require_text("storage_prefix", storage_prefix)
    storage = open_storage(context or default_context(), address)
    folder = workspaces.folder(storage_name)
    return iter_objects(storage.client(), storage.bucket.name, folder + (storage_prefix or ""), below=folder)


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
    StorageNotFoundError, InputError for an unreadable file or an invalid name, and the errors of `upload.upload`.
    """
    source = as_path("src_file", src_file)
    require_text("dst_file", dst_file)
    upload.size_of(source)
    name = dst_file.removesuffix(".") + source.name if dst_file == "." or dst_file.endswith("/") else dst_file
    address = build(NewObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=name)
    context = context or default_context()
    storage = open_storage(context, address)
    size = upload.upload(
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

    Raises StorageNotFoundError, InputError for an invalid name or a stream that cannot be read, and the errors of `upload.upload_stream`.
    """
    require_text("dst_file", dst_file)
    if dst_file == "." or dst_file.endswith("/"):
        raise InputError("an upload from standard input needs the name of the object", hint="add --destination NAME")
    address = build(NewObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=dst_file)
    context = context or default_context()
    opened = open_storage(context, address)
    key = workspaces.folder(storage_name) + address.object_name
    size = upload.upload_stream(opened.client(), source, bucket=opened.bucket.name, key=key, reporter=context.reporter)
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

    Raises StorageNotFoundError, ObjectNotFoundError, and the errors of `download.download_stream`, also after pieces were written.
    """
    require_text("src_file", src_file)
    address = build(ObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=src_file)
    context = context or default_context()
    opened = open_storage(context, address)
    with hinting_at_objects(address):
        return download.download_stream(
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
    object's name has no last part that a file can have, and the errors of `download.download`.
    """
    require_text("src_file", src_file)
    address = build(ObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=src_file)
    target = as_path("dst_file", dst_file)
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
    with hinting_at_objects(address):
        download.download(
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
    require_text("object_name", object_name)
    address = build(ObjectAddress, workspace_id=workspace_id, storage_name=storage_name, object_name=object_name)
    storage = open_storage(context or default_context(), address)
    s3, bucket, folder = storage.client(), storage.bucket.name, workspaces.folder(storage_name)
    found = iter_objects(s3, bucket, folder + address.object_name, below=folder)
    if not object_name.endswith("/"):
        # S3 lists an object before the objects whose names begin with its name.
        found = (each for each in islice(found, 1) if each.name == object_name)
    gone = delete_each(s3, bucket, (folder + each.name for each in found))
    if not gone:
        raise ObjectNotFoundError(
            f"storage {storage_name!r} has no object {object_name!r}",
            hint=list_objects_hint(workspace_id, storage_name),
        )
    return gone


@contextmanager
def hinting_at_objects(address: StorageAddress) -> Iterator[None]:
    """Add the command that lists the objects of the storage to the error for a missing one."""
    try:
        yield
    except ObjectNotFoundError as error:
        error.hint = list_objects_hint(address.workspace_id, address.storage_name)
        raise


def iter_objects(s3: S3Client, bucket: str, prefix: str, *, below: str) -> Iterator[StoredObject]:
    """Yield the objects of a bucket; names are relative to `below`."""
    with translate_aws_errors():
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield StoredObject(entry["Key"].removeprefix(below), entry["Size"], entry["LastModified"])


def delete_each(s3: S3Client, bucket: str, keys: Iterator[str]) -> int:
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
