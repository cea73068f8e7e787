"""Copy and move objects within a storage, and between storages. S3 copies the content; it does not pass through this machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import replace_aws_errors, translate_aws_errors
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.workspace import CopyName, CopySource, CopyStorage, ExactCopyName, StorageAddress
from exasol_ci_setup.core.commands import list_objects_hint
from exasol_ci_setup.core.errors import InputError, ObjectNotFoundError, StorageConflictError, TransferFailedError
from exasol_ci_setup.platform import workspaces
from exasol_ci_setup.platform.arguments import require_text
from exasol_ci_setup.platform.download import head_object
from exasol_ci_setup.platform.objects import StoredObject, delete_each, hinting_at_objects, iter_objects
from exasol_ci_setup.platform.storage_session import has_storage, no_storage, open_storage
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

    from exasol_ci_setup.aws.context import Context

_PARALLEL: Final = 10
_LARGEST_COPY: Final = 5 * 1024**3
"""The bytes that one request copies: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html."""
_KEPT: Final = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Metadata")
_CHECKSUMS: Final = tuple(f"Checksum{name}" for name in ("CRC64NVME", "CRC32", "CRC32C", "SHA256", "SHA1"))


@dataclass(frozen=True)
class _Copies:
    """The objects to copy, as keys in a bucket with the keys of their copies, and the client that may do it."""

    s3: S3Client
    bucket: str
    folder: str
    target_bucket: str
    target_folder: str
    keys: dict[str, str]


def copy_object(
    *,
    workspace_id: str,
    storage_name: str,
    src_file: str,
    dst_file: str = ".",
    dst_storage: str | None = None,
    dst_workspace: str | None = None,
    context: Context | None = None,
) -> tuple[StoredObject, ...]:
    """Copy an object, or with a trailing slash all objects in that folder, and return the copies.

    The destination is in `dst_storage` and `dst_workspace`, by default those of the source. If `dst_file` is ``.`` or ends in a slash, the
    last part of the name is kept, or for a folder the names below it. Existing objects are replaced; the bucket keeps their old versions. The size and the checksum of each
    copy are compared with those of the source.

    Raises StorageNotFoundError, ObjectNotFoundError, InputError for an invalid name and for a copy onto itself, TransferFailedError for a copy that differs or an
    object that changes meanwhile, and the errors of the AWS boundary.
    """
    context = context or default_context()
    require_text("src_file", src_file)
    source = build(CopySource, workspace_id=workspace_id, storage_name=storage_name, source=src_file)
    with hinting_at_objects(source):
        return _copy(_prepare(context, source, dst_file, dst_storage, dst_workspace))[0]


def move_object(
    *,
    workspace_id: str,
    storage_name: str,
    src_file: str,
    dst_file: str = ".",
    dst_storage: str | None = None,
    dst_workspace: str | None = None,
    context: Context | None = None,
) -> tuple[StoredObject, ...]:
    """Copy objects as `copy_object`, delete the sources after all copies are verified, and return the copies.

    Raises as `copy_object`, and StorageConflictError if a source was replaced meanwhile; then none is deleted.
    """
    context = context or default_context()
    require_text("src_file", src_file)
    source = build(CopySource, workspace_id=workspace_id, storage_name=storage_name, source=src_file)
    copies = _prepare(context, source, dst_file, dst_storage, dst_workspace)
    with hinting_at_objects(source):
        copied, tags = _copy(copies)
        _delete_sources(copies, tags)
    return copied


def _delete_sources(copies: _Copies, tags: dict[str, str]) -> None:
    """Delete the sources, unless one has another ETag than in `tags` by now."""
    for key, tag in tags.items():
        if _head(copies, copies.bucket, key)["ETag"] != tag:
            raise StorageConflictError(
                f"object {key.removeprefix(copies.folder)!r} was replaced while it was copied: no object was deleted",
                hint="run the command again",
            )
    delete_each(copies.s3, copies.bucket, iter(copies.keys))


def _prepare(
    context: Context, source: CopySource, dst_file: str, dst_storage: str | None, dst_workspace: str | None
) -> _Copies:
    require_text("dst_file", dst_file)
    given = build(
        CopyStorage,
        to_workspace=source.workspace_id if dst_workspace is None else dst_workspace,
        to_storage=source.storage_name if dst_storage is None else dst_storage,
    )
    target = StorageAddress(workspace_id=given.to_workspace, storage_name=given.to_storage)
    own = StorageAddress(workspace_id=source.workspace_id, storage_name=source.storage_name)
    opened = open_storage(context, own)
    if target == own:
        s3, target_bucket = opened.client(), opened.bucket
    else:
        # The session of a storage has access to this storage only.
        s3, target_bucket = context.account.client("s3"), open_storage(context, target).bucket
        for address, bucket in ((own, opened.bucket), (target, target_bucket)):
            with translate_aws_errors():
                exists = has_storage(s3, bucket, address.storage_name)
            if not exists:
                raise no_storage(context, address)
    folder, target_folder = workspaces.folder(own.storage_name), workspaces.folder(target.storage_name)
    names = _names(s3, opened.bucket.name, folder, source, dst_file)
    keys = {folder + name: target_folder + new for name, new in names.items()}
    if target == own:
        _require_other_names(source.source, names, dst_file)
    return _Copies(s3, opened.bucket.name, folder, target_bucket.name, target_folder, keys)


def _names(s3: S3Client, bucket: str, folder: str, source: CopySource, dst_file: str) -> dict[str, str]:
    """Return the name of each copy by that of its source. Raises ObjectNotFoundError, and InputError for an invalid destination."""
    name = source.source
    prefix = _prefix(dst_file)
    if not name.endswith("/"):
        new = dst_file if prefix is None else prefix + name.rpartition("/")[2]
        return {name: build(CopyName, destination=new).destination}
    if prefix is None:
        raise InputError(
            f"the destination of folder {name!r} is not a folder: {dst_file!r}", hint=f"use --destination {dst_file}/"
        )
    found = [each.name for each in iter_objects(s3, bucket, folder + name, below=folder)]
    if not prefix and name in found:
        # The object with which other tools mark a folder has no name outside of the folder.
        found.remove(name)
    if not found:
        raise ObjectNotFoundError(
            f"storage {source.storage_name!r} has no object {name!r}",
            hint=list_objects_hint(source.workspace_id, source.storage_name),
        )
    names = {each: prefix + each.removeprefix(name) for each in found}
    for new in names.values():
        build(ExactCopyName, destination=new)
    return names


def _prefix(dst_file: str) -> str | None:
    """Return what precedes the names of copies in the folder `dst_file`; None if it is the name of an object. Raises InputError for an invalid name."""
    if dst_file == "." or (dst_file and not dst_file.strip("/")):
        return ""
    return f"{build(CopyName, destination=dst_file).destination}/" if dst_file.endswith("/") else None


def _require_other_names(source: str, names: dict[str, str], dst_file: str) -> None:
    """Raise InputError if a copy in the same storage has the name of an object that is copied too.

    Copies are made in parallel: this one could replace that object before it is copied. A move would delete the copy with the sources.
    """
    if source.endswith("/") and (_prefix(dst_file) or "").startswith(source):
        raise InputError(f"folder {dst_file!r} is in folder {source!r}", hint="use a destination outside of the folder")
    for name, new in names.items():
        if name == new:
            raise InputError(
                f"object {name!r} is its own destination", hint="use another --destination or --to-storage"
            )
        if new in names:
            raise InputError(
                f"the copy of {name!r} would replace {new!r}, which is copied too",
                hint="use another folder as --destination, then copy its objects to this one",
            )


def _copy(copies: _Copies) -> tuple[tuple[StoredObject, ...], dict[str, str]]:
    """Copy the objects; return the copies, and the ETags of the sources by key."""
    with ThreadPoolExecutor(_PARALLEL) as threads:
        heads = list(threads.map(lambda pair: _copy_one(copies, *pair), copies.keys.items()))
    made = tuple(
        StoredObject(new.removeprefix(copies.target_folder), head["ContentLength"])
        for new, head in zip(copies.keys.values(), heads, strict=True)
    )
    return made, {key: head["ETag"] for key, head in zip(copies.keys, heads, strict=True)}


def _copy_one(copies: _Copies, key: str, new: str) -> HeadObjectOutputTypeDef:
    """Copy one object, compare the copy, and return the answer of HeadObject for the source."""
    name = key.removeprefix(copies.folder)
    source = _head(copies, copies.bucket, key)
    changed = TransferFailedError(f"object {name!r} changed while it was copied", hint="run the command again")
    with replace_aws_errors({"PreconditionFailed"}, lambda _message: changed):
        if source["ContentLength"] <= _LARGEST_COPY:
            copies.s3.copy_object(
                Bucket=copies.target_bucket,
                Key=new,
                CopySource={"Bucket": copies.bucket, "Key": key},
                CopySourceIfMatch=source["ETag"],
            )
        else:
            # In parts, which do not keep the properties of the object.
            kept: dict[str, Any] = {each: source[each] for each in _KEPT if source.get(each)}
            copies.s3.copy(
                {"Bucket": copies.bucket, "Key": key},
                copies.target_bucket,
                new,
                ExtraArgs={**kept, "CopySourceIfMatch": source["ETag"]},
            )
    copied = _head(copies, copies.target_bucket, new)
    if _differ(source, copied):
        raise TransferFailedError(
            f"the copy of object {name!r} differs from it: size or checksum", hint="run the command again"
        )
    return source


def _differ(source: Any, copied: Any) -> bool:
    """Return whether the size, or a checksum of the whole content that S3 has of both, differs."""
    if source["ContentLength"] != copied["ContentLength"]:
        return True
    if not source.get("ChecksumType") == copied.get("ChecksumType") == "FULL_OBJECT":
        return False
    return any(source[each] != copied[each] for each in _CHECKSUMS if each in source and each in copied)


def _head(copies: _Copies, bucket: str, key: str) -> HeadObjectOutputTypeDef:
    with translate_aws_errors():
        return head_object(copies.s3, bucket, key, key.removeprefix(copies.folder))
