"""Whole folders: upload, download and synchronize the files of a folder and the objects of a storage."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.workspace import NewObjectAddress, StorageAddress
from exasol_ci_setup.core.errors import InputError, ObjectNotFoundError, TransferFailedError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.text import counted
from exasol_ci_setup.platform import download, objects, part_file, upload, workspaces
from exasol_ci_setup.platform.storage_session import open_storage
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.errors import SetupError
    from exasol_ci_setup.core.reporter import Reporter
    from exasol_ci_setup.platform.objects import StoredObject
    from exasol_ci_setup.platform.storage_session import StorageSession

_PARALLEL_FILES: Final = 10
_MOST_NAMED: Final = 10
# Errors of one file; all others end the transfer.
_OF_ONE_FILE: Final = (InputError, ObjectNotFoundError, TransferFailedError)


@dataclass(frozen=True)
class Transfer:
    """One file to transfer: its path on this machine, the name of its object, and its size in bytes.

    A downloaded file gets the time `modified_at` of its object.
    """

    path: Path
    name: str
    size: int
    modified_at: datetime | None = None


@dataclass(frozen=True)
class FolderPlan:
    """What a transfer of a folder does: the files to transfer, the number of unchanged ones, and what it deletes.

    `deletions` are names of objects if the plan uploads, otherwise paths. `skipped` are names of objects that no file can have.
    """

    is_upload: bool
    transfers: tuple[Transfer, ...]
    unchanged: int = 0
    deletions: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of bytes to transfer."""
        return sum(each.size for each in self.transfers)


@dataclass(frozen=True)
class Folder:
    """A folder of this machine and the objects of a storage whose names begin with `prefix`."""

    workspace_id: str
    storage_name: str
    path: Path
    prefix: str = ""

    @property
    def address(self) -> StorageAddress:
        """The storage. Raises InputError."""
        return build(StorageAddress, workspace_id=self.workspace_id, storage_name=self.storage_name)


def plan_upload(
    folder: Folder, *, only_changed: bool = False, delete: bool = False, context: Context | None = None
) -> FolderPlan:
    """Return what an upload of all files of a folder does. Nothing is transferred.

    With `only_changed`, files are omitted whose object has the same size and is not older. With `delete`, objects without a file are deleted. Links to
    files are followed; links to folders, devices and pipes are ignored, with a note. Raises InputError if the folder or one below it cannot be
    read, or if the name of a file is invalid, and StorageNotFoundError.
    """
    if not folder.path.is_dir():
        hint = "upload a file without --recursive" if folder.path.exists() else ""
        raise InputError(f"{folder.path} is not a folder", hint=hint)
    _require_new_prefix(folder)
    context = context or default_context()
    files = _files(context, folder)
    known = {each.name: each for each in _listed(context, folder)} if only_changed or delete else {}
    wanted = [each for each in files if not only_changed or _is_newer(each, known.get(each.name))]
    names = {each.name for each in files}
    gone = tuple(name for name in known if name not in names) if delete else ()
    return FolderPlan(True, tuple(wanted), len(files) - len(wanted), gone)


def plan_download(
    folder: Folder, *, only_changed: bool = False, delete: bool = False, context: Context | None = None
) -> FolderPlan:
    """Return what a download of all objects does whose names begin with the prefix. Nothing is transferred.

    With `only_changed`, objects are omitted whose file has the same size and is not older. With `delete`, files without an object are deleted. Objects
    with names that no file below the folder can have are skipped. Raises InputError if `delete` needs a folder that cannot be read,
    StorageNotFoundError, and ObjectNotFoundError without objects.
    """
    context = context or default_context()
    found = list(_listed(context, folder))
    if not found:
        raise ObjectNotFoundError(f"storage {folder.storage_name!r} has no objects below {folder.prefix!r}")
    # An empty object with a slash at the end is a folder in the console of AWS and in other tools.
    found = [each for each in found if not (each.name.endswith("/") and not each.size)]
    usable = [each for each in found if _is_path(each.name.removeprefix(folder.prefix))]
    skipped = tuple(each.name for each in found if not _is_path(each.name.removeprefix(folder.prefix)))
    everything = {folder.path / each.name.removeprefix(folder.prefix): each for each in usable}
    wanted = [
        Transfer(path, each.name, each.size, each.modified_at)
        for path, each in everything.items()
        if not only_changed or _is_outdated(path, each)
    ]
    gone: tuple[str, ...] = ()
    if delete and folder.path.is_dir():
        gone = tuple(sorted(str(path) for path, _ in _walk(context, folder.path) if path not in everything))
    return FolderPlan(False, tuple(wanted), len(usable) - len(wanted), gone, skipped)


def run(folder: Folder, plan: FolderPlan, *, context: Context | None = None) -> None:
    """Transfer the files of a plan in parallel, then delete what it deletes. The reporter receives the number of bytes.

    A file that fails does not stop the others: the error at the end names the first ones, and then nothing is deleted. Raises TransferFailedError,
    and the errors of `storage.put_object` and `storage.get_object` that concern more than one file.
    """
    context = context or default_context()
    storage = open_storage(context, folder.address)
    send = _upload if plan.is_upload else _download
    s3 = storage.client()
    failed = _transfer(context, plan, lambda each, reporter: send(s3, storage, folder, each, reporter))
    failed += [(name, InputError("no file can have this name")) for name in plan.skipped]
    if failed:
        named = "; ".join(f"{name}: {error.message}" for name, error in failed[:_MOST_NAMED])
        more = f"; and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        raise TransferFailedError(
            f"{counted(len(failed), 'file')} of {len(plan.transfers) + len(plan.skipped)} failed: {named}{more}",
            hint="run the same command again"
            if len(failed) > len(plan.skipped)
            else "download these objects one by one with `exasol-ci-setup storage get-object --destination FILE`",
        )
    if plan.is_upload:
        base = workspaces.folder(folder.storage_name)
        objects.delete_each(s3, storage.bucket.name, (base + name for name in plan.deletions))
    else:
        _delete_files(plan.deletions)


def _upload(s3: S3Client, storage: StorageSession, folder: Folder, each: Transfer, reporter: Reporter) -> None:
    key = workspaces.folder(folder.storage_name) + each.name
    upload.upload(s3, each.path, bucket=storage.bucket.name, key=key, reporter=reporter)


def _download(s3: S3Client, storage: StorageSession, folder: Folder, each: Transfer, reporter: Reporter) -> None:
    key = workspaces.folder(folder.storage_name) + each.name
    try:
        each.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{each.path.parent} cannot be created: {error.strerror}") from error
    if each.path.is_dir():
        raise InputError(f"{each.path} is a folder")
    download.download(s3, bucket=storage.bucket.name, key=key, target=each.path, reporter=reporter, name=each.name)
    if each.modified_at is not None:
        seconds = each.modified_at.timestamp()
        os.utime(each.path, (seconds, seconds))


def _transfer(
    context: Context, plan: FolderPlan, send: Callable[[Transfer, Reporter], None]
) -> list[tuple[str, SetupError]]:
    """Transfer all files, and return the names and errors of those that failed. The reporter is called in this thread only."""
    reporter, total = context.reporter, plan.size
    done = 0
    failed: list[tuple[str, SetupError]] = []
    reporter.progress(0, total)
    # A large file uses all connections itself.
    small = [each for each in plan.transfers if each.size <= upload.PART]
    large = [each for each in plan.transfers if each.size > upload.PART]
    workers = ThreadPoolExecutor(_PARALLEL_FILES, thread_name_prefix="files")
    try:
        running = {workers.submit(send, each, NullReporter()): each for each in small}
        for future in as_completed(running):
            done += running[future].size
            try:
                future.result()
            except _OF_ONE_FILE as error:
                failed.append((running[future].name, error))
            reporter.progress(done, total)
    finally:
        workers.shutdown(wait=False, cancel_futures=True)
    for each in large:
        try:
            send(each, _Part(reporter, done, total))
        except _OF_ONE_FILE as error:
            failed.append((each.name, error))
        done += each.size
    return failed


class _Part(NullReporter):
    """Reports the progress of one file as that of all files."""

    def __init__(self, reporter: Reporter, before: int, total: int) -> None:
        self._reporter = reporter
        self._before = before
        self._total = total

    def note(self, message: str, /) -> None:
        self._reporter.note(message)

    def progress(self, done: int = 0, total: int | None = None, /) -> None:
        if total is not None:
            self._reporter.progress(self._before + done, self._total)


def _listed(context: Context, folder: Folder) -> Iterable[StoredObject]:
    return objects.list_object(
        workspace_id=folder.workspace_id,
        storage_name=folder.storage_name,
        storage_prefix=folder.prefix,
        context=context,
    )


def _files(context: Context, folder: Folder) -> list[Transfer]:
    """Return the files below the folder with the names of their objects, by name. Raises InputError for an invalid name."""
    found: list[Transfer] = []
    for path, size in _walk(context, folder.path):
        address = build(
            NewObjectAddress,
            workspace_id=folder.workspace_id,
            storage_name=folder.storage_name,
            object_name=folder.prefix + path.relative_to(folder.path).as_posix(),
        )
        found.append(Transfer(path, address.object_name, size))
    return sorted(found, key=lambda each: each.name)


def _walk(context: Context, root: Path) -> list[tuple[Path, int]]:
    """Return the files below a folder with their sizes, without the part files of downloads. A note names what is ignored.

    Raises InputError if a folder cannot be read: if it were omitted, its files would look deleted.
    """
    found: list[tuple[Path, int]] = []
    ignored: list[str] = []
    try:
        for place, folders, files in os.walk(root, onerror=_raise):
            ignored += [str(Path(place, name)) for name in folders if Path(place, name).is_symlink()]
            for path in (Path(place, name) for name in files):
                if not path.is_file():
                    ignored.append(str(path))
                elif not part_file.is_part_file(path.name):
                    found.append((path, path.stat().st_size))
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read: {error.strerror}", hint="nothing was transferred or deleted"
        ) from error
    if ignored:
        more = " and others" if len(ignored) > _MOST_NAMED else ""
        context.note(f"ignored, because they are no files: {', '.join(sorted(ignored)[:_MOST_NAMED])}{more}")
    return found


def _raise(error: OSError) -> None:
    raise error


def _require_new_prefix(folder: Folder) -> None:
    """Raise InputError for a prefix that `put_object` would normalize: files and existing objects would have different names."""
    sample = f"{folder.prefix}name"
    address = folder.address
    new = build(
        NewObjectAddress,
        workspace_id=address.workspace_id,
        storage_name=address.storage_name,
        object_name=sample,
    )
    if new.object_name != sample:
        raise InputError(f"new objects cannot be below {folder.prefix!r}", hint="omit empty parts of the name")


def _is_newer(file: Transfer, known: StoredObject | None) -> bool:
    """Return whether a file differs from its object, as far as size and time show."""
    if known is None or known.modified_at is None or known.size != file.size:
        return True
    return datetime.fromtimestamp(file.path.stat().st_mtime, timezone.utc) > known.modified_at


def _is_outdated(path: Path, known: StoredObject) -> bool:
    """Return whether an object differs from its file, as far as size and time show."""
    try:
        found = path.stat()
    except OSError:
        return True
    if known.modified_at is None or found.st_size != known.size:
        return True
    return known.modified_at > datetime.fromtimestamp(found.st_mtime, timezone.utc)


def _is_path(name: str) -> bool:
    """Return whether a file below a folder can have the name of an object: exactly one object has its path."""
    return not {"", ".", ".."} & {*name.split("/")} and "\0" not in name


def _delete_files(paths: Iterable[str]) -> None:
    path = ""
    try:
        for path in paths:
            Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be deleted: {error.strerror}") from error
