"""Command group `storage`: storages of a workspace and their objects."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.options import TAGS, YES
from exasol_ci_setup.cli.platform import (
    acting,
    change_options,
    deletion_options,
    details,
    done,
    listing,
    published_options,
    published_preview,
    require_yes,
)
from exasol_ci_setup.cli.session import common_options, together
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import InputError, OperationInterruptedError, TransferFailedError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.folders import Folder, FolderPlan
    from exasol_ci_setup.platform.objects import StoredObject

workspace_option = click.option(
    "-w",
    "--workspace-id",
    "--workspace",
    "workspace_id",
    metavar="ID",
    required=True,
    help="Workspace, such as a number or a UUID.",
)
storage_option = click.option(
    "-s", "--storage", "--name", "--storage-name", "storage_name", metavar="NAME", required=True, help="Storage."
)

_STANDARD: Final = "-"
_MOST_NAMED: Final = 10


@click.group(cls=VerbGroup)
def storage() -> None:
    """Manage files in the storages of a workspace.

    Storages are folders of one private bucket, each with its own credentials.
    """


@storage.command("create")
@workspace_option
@storage_option
@TAGS
@change_options
@published_preview
@common_options
def create(
    session: Session,
    workspace_id: str,
    storage_name: str,
    *,
    tags: dict[str, str] | None,
    plan_only: bool,
    yes: bool,
    allow_data_loss: bool,
) -> None:
    """Create a storage; for the first one, also the stack of the workspace.

    --tag sets tags of that stack, which all storages of the workspace share.
    """
    from exasol_ci_setup.platform import storage as verbs
    from exasol_ci_setup.platform.workspace_stacks import ensure

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as context:
        if plan_only:
            ensure(context, workspace_id, tags=tags)
            report_no_change(session, workspace_id)
            return
        created = verbs.create(workspace_id=workspace_id, storage_name=storage_name, tags=tags, context=context)
        session.output.say(f"created storage {created.name} in workspace {created.workspace_id}")
        session.output.record(created)
        done(session, "created", changed=True)


@storage.command("list")
@workspace_option
@published_options
@common_options
def list_(session: Session, workspace_id: str) -> None:
    """List the storages of a workspace."""
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.platform import storage as verbs

    with acting(session) as context:
        found = verbs.list(workspace_id=workspace_id, context=context)
    listing(
        session,
        ("NAME", "CREATED"),
        ((each.name, show.moment(each.created_at)) for each in found),
        none=f"no storages of workspace {workspace_id} in {session.account.region}",
    )
    session.output.record(*found)


@storage.command("delete")
@workspace_option
@storage_option
@click.option("--empty", is_flag=True, help="Also delete the objects in the storage.")
@deletion_options
@published_preview
@common_options
def delete(session: Session, workspace_id: str, storage_name: str, *, empty: bool, plan_only: bool, yes: bool) -> None:
    """Delete a storage with its assets.

    The bucket of the workspace keeps deleted objects for 30 days. The stack of the workspace is kept.
    """
    from exasol_ci_setup.platform import storage as verbs

    if plan_only:
        with acting(session, plan_only=True) as context:
            verbs.plan_deletion(workspace_id=workspace_id, storage_name=storage_name, context=context)
            report_no_change(session, workspace_id)
        return
    with_objects = " and all its objects" if empty else ""
    require_yes(session, f"Delete storage {storage_name} of workspace {workspace_id}{with_objects}?", yes=yes)
    with acting(session, yes=True) as context:
        deleted = verbs.delete(workspace_id=workspace_id, storage_name=storage_name, empty=empty, context=context)
    objects = f" with {_objects(deleted)}" if deleted else ""
    session.output.say(f"deleted storage {storage_name} of workspace {workspace_id}{objects}")
    done(session, "deleted", changed=True, objects=deleted)


@storage.command("connect")
@workspace_option
@storage_option
@published_preview
@common_options
def connect(session: Session, workspace_id: str, storage_name: str) -> None:
    """Write credentials for a storage into ~/.naas/credentials.

    The credentials are valid for one hour, and only for this storage. The other commands renew them automatically.
    """
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.platform import credentials
    from exasol_ci_setup.platform import storage as verbs

    with acting(session) as context:
        found = verbs.connect(workspace_id=workspace_id, storage_name=storage_name, context=context)
    path = str(credentials.path())
    details(session, {"credentials": path, "expires": show.moment(found.expires_at)})
    done(session, "connected", changed=True, path=path, expires_at=found.expires_at)


@storage.command("list-object")
@workspace_option
@storage_option
@click.option("-p", "--prefix", "prefix", metavar="TEXT", default="", help="Only objects whose names begin with TEXT.")
@published_options
@common_options
def list_object(session: Session, workspace_id: str, storage_name: str, prefix: str) -> None:
    """List the objects of a storage."""
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.platform import objects as verbs

    context = session.context(NullReporter())
    found = [
        *verbs.list_object(workspace_id=workspace_id, storage_name=storage_name, storage_prefix=prefix, context=context)
    ]
    listing(
        session,
        ("NAME", "BYTES", "MODIFIED"),
        ((each.name, str(each.size), show.moment(each.modified_at)) for each in found),
        none=f"no objects in storage {storage_name}" + (f" whose names begin with {prefix}" if prefix else ""),
    )
    session.output.record(*found)


@storage.command("put-object")
@workspace_option
@storage_option
@click.option("-src", "--source", "source", metavar="FILE", required=True, help="File to upload; - is standard input.")
@click.option(
    "-dst",
    "--destination",
    "object_name",
    metavar="NAME",
    default=".",
    help="Name of the object; . or a slash at the end adds the name of the file.  [default: .]",
)
@click.option("--recursive", "-r", is_flag=True, help="Upload all files of the folder --source.")
@published_preview
@common_options
def put_object(
    session: Session, workspace_id: str, storage_name: str, source: str, object_name: str, *, recursive: bool
) -> None:
    """Upload a file, or with --recursive all files of a folder, into a storage.

    Replaces an object of the same name; the bucket keeps the old version for 30 days. An interrupted upload of a file resumes.
    """
    from exasol_ci_setup.platform import folders
    from exasol_ci_setup.platform import objects as verbs

    if recursive:
        folder = folders.Folder(workspace_id, storage_name, Path(source), _as_prefix(object_name))
        _transfer_folder(session, folder, folders.plan_upload(folder, context=session.context(_Notes(session.output))))
        return
    with _transferring(session, f"uploading {source}") as context:
        put = (
            verbs.put_stream(
                workspace_id=workspace_id,
                storage_name=storage_name,
                source=sys.stdin.buffer,
                dst_file=object_name,
                context=context,
            )
            if source == _STANDARD
            else verbs.put_object(
                workspace_id=workspace_id,
                storage_name=storage_name,
                src_file=source,
                dst_file=object_name,
                context=context,
            )
        )
    session.output.data(put.name)
    session.output.record(put)
    done(session, "uploaded", changed=True)


@storage.command("get-object")
@workspace_option
@storage_option
@click.option("-src", "--source", "object_name", metavar="NAME", required=True, help="Name of the object.")
@click.option(
    "-dst",
    "--destination",
    "destination",
    metavar="PATH",
    default=".",
    help="File to write, or folder for a file with the name of the object; - is standard output.  [default: .]",
)
@click.option("--recursive", "-r", is_flag=True, help="Download all objects of the folder --source into a folder.")
@published_preview
@common_options
def get_object(
    session: Session, workspace_id: str, storage_name: str, object_name: str, destination: str, *, recursive: bool
) -> None:
    """Download an object, or with --recursive all objects of a folder, from a storage.

    A file is written atomically after the whole download. An interrupted download resumes if the object is unchanged.
    """
    from exasol_ci_setup.platform import folders
    from exasol_ci_setup.platform import objects as verbs

    if recursive:
        folder = folders.Folder(workspace_id, storage_name, Path(destination), _as_prefix(object_name))
        _transfer_folder(
            session, folder, folders.plan_download(folder, context=session.context(_Notes(session.output)))
        )
        return
    if destination == _STANDARD:
        _write_object(session, workspace_id, storage_name, object_name)
        return
    with _transferring(session, f"downloading {object_name}") as context:
        path = verbs.get_object(
            workspace_id=workspace_id,
            storage_name=storage_name,
            src_file=object_name,
            dst_file=destination,
            context=context,
        )
    session.output.data(str(path))
    done(session, "downloaded", changed=True, path=str(path))


@storage.command("sync")
@workspace_option
@storage_option
@click.option("--folder", "path", metavar="PATH", required=True, help="Folder of this machine.")
@click.option("-p", "--prefix", "prefix", metavar="NAME", default="", help="Folder of the storage.  [default: all]")
@click.option("--download", "is_download", is_flag=True, help="Download the objects, instead of uploading the files.")
@click.option("--delete", "delete_others", is_flag=True, help="Delete what exists only at the destination.")
@deletion_options
@common_options
def sync(
    session: Session,
    workspace_id: str,
    storage_name: str,
    path: str,
    prefix: str,
    *,
    is_download: bool,
    delete_others: bool,
    plan_only: bool,
    yes: bool,
) -> None:
    """Upload the new and changed files of a folder, or with --download the new and changed objects.

    Compares sizes and times: a file is transferred if its size differs, or if it is newer than at the destination. With --plan, prints what would be
    transferred and deleted. Prompts for confirmation before --delete deletes something.
    """
    from exasol_ci_setup.platform import folders

    folder = folders.Folder(workspace_id, storage_name, Path(path), _as_prefix(prefix))
    make = folders.plan_download if is_download else folders.plan_upload
    plan = make(folder, only_changed=True, delete=delete_others, context=session.context(_Notes(session.output)))
    if plan_only:
        _show_folder_plan(session, plan)
        return
    if plan.deletions and not yes:
        session.output.say(*_lines("delete", plan.deletions[:_MOST_NAMED]))
        if len(plan.deletions) > _MOST_NAMED:
            session.output.say(f"and {len(plan.deletions) - _MOST_NAMED} more; --plan lists all of them")
        where = f"folder {path}" if is_download else f"storage {storage_name}"
        require_yes(session, f"Delete {counted(len(plan.deletions), 'file')} of {where}?", yes=yes)
    _transfer_folder(session, folder, plan)


_copy_options: Final = together(
    click.option(
        "-src",
        "--source",
        "source",
        metavar="NAME",
        required=True,
        help="Name of the object; with a slash at the end, all objects in that folder.",
    ),
    click.option(
        "-dst",
        "--destination",
        "destination",
        metavar="NAME",
        default=".",
        help="Name of the copy; . or a slash at the end keeps the last part of the name.  [default: .]",
    ),
    click.option("--to-storage", metavar="NAME", help="Storage of the copy.  [default: that of the source]"),
    click.option("--to-workspace", metavar="ID", help="Workspace of the copy.  [default: that of the source]"),
)


@storage.command("copy-object")
@workspace_option
@storage_option
@_copy_options
@common_options
def copy_object(session: Session, **values: Any) -> None:
    """Copy an object, or all objects of a folder, within a storage or to another one.

    S3 copies the content. Replaces an object of the same name; the bucket keeps the old version for 30 days.
    """
    from exasol_ci_setup.platform import object_copies

    _copy(session, object_copies.copy_object, "copied", **values)


@storage.command("move-object")
@workspace_option
@storage_option
@_copy_options
@common_options
def move_object(session: Session, **values: Any) -> None:
    """Rename an object or a folder, or move it to another storage.

    Copies as copy-object, and deletes the sources after all copies are verified. The bucket keeps them for 30 days. Links of assets to a source end.
    """
    from exasol_ci_setup.platform import object_copies

    _copy(session, object_copies.move_object, "moved", **values)


def _copy(
    session: Session,
    verb: Callable[..., tuple[StoredObject, ...]],
    what: str,
    *,
    source: str,
    destination: str,
    to_storage: str | None,
    to_workspace: str | None,
    **storage: str,
) -> None:
    """Copy or move objects, and print the names of the copies."""
    try:
        copies = verb(
            **storage,
            src_file=source,
            dst_file=destination,
            dst_storage=to_storage,
            dst_workspace=to_workspace,
            context=session.context(NullReporter()),
        )
    except KeyboardInterrupt:
        raise OperationInterruptedError(
            f"interrupted: not all objects were {what}", hint="run the command again"
        ) from None
    for each in copies:
        session.output.data(each.name)
    session.output.record(*copies)
    session.output.say(f"{what} {_objects(len(copies))}")
    done(session, what, changed=True, objects=len(copies))


@storage.command("delete-object")
@workspace_option
@storage_option
@click.option(
    "-o",
    "--object",
    "--object-name",
    "object_name",
    metavar="NAME",
    required=True,
    help="Object; with a slash at the end, all objects in that folder.",
)
@YES
@published_preview
@common_options
def delete_object(session: Session, workspace_id: str, storage_name: str, object_name: str, yes: bool) -> None:
    """Delete an object from a storage.

    Prompts for confirmation before a folder is deleted. The bucket of the workspace keeps deleted objects for 30 days.
    """
    from exasol_ci_setup.platform import objects as verbs

    if object_name.endswith("/"):
        require_yes(session, f"Delete all objects in {object_name} of storage {storage_name}?", yes=yes)
    deleted = verbs.delete_object(
        workspace_id=workspace_id,
        storage_name=storage_name,
        object_name=object_name,
        context=session.context(NullReporter()),
    )
    session.output.say(f"deleted {_objects(deleted)}")
    done(session, "deleted", changed=True, objects=deleted)


def _write_object(session: Session, workspace_id: str, storage_name: str, source: str) -> None:
    """Write an object to standard output."""
    from exasol_ci_setup.platform import objects as verbs

    output = session.output
    if output.format == "json":
        raise InputError("--destination - and --output json both write to standard output", hint="omit one of them")

    def write(content: bytes) -> None:
        output.binary(content)
        if output.lost is not None:
            raise TransferFailedError(f"standard output cannot be written: {output.lost.strerror}")

    with _transferring(session, f"downloading {source}") as context:
        verbs.read_object(
            workspace_id=workspace_id, storage_name=storage_name, src_file=source, write=write, context=context
        )
    done(session, "downloaded", changed=True, path=_STANDARD)


def report_no_change(session: Session, workspace_id: str) -> None:
    """Report that a command with --plan would not change the stack."""
    session.output.say(f"plan only: the stack of workspace {workspace_id} does not change")
    done(session, "planned", changed=False)


class _Notes(NullReporter):
    """Prints notes before a transfer."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def note(self, message: str, /) -> None:
        self._output.note(message)


@contextmanager
def _transferring(session: Session, title: str) -> Iterator[Context]:
    """Yield the context of a transfer, whose reporter shows the progress. Raises OperationInterruptedError on Ctrl-C."""
    from exasol_ci_setup.cli.render.transfer import TransferView

    try:
        # Errors of the account are reported without an empty view.
        _ = session.account
        with TransferView(session.output, title) as view:
            yield session.context(view)
    except KeyboardInterrupt:
        raise OperationInterruptedError(
            "the transfer was interrupted", hint="run the command again to resume it"
        ) from None


def _as_prefix(name: str) -> str:
    """Return the prefix of the objects in a folder of a storage."""
    return "" if name in {"", "."} else name if name.endswith("/") else f"{name}/"


def _show_folder_plan(session: Session, plan: FolderPlan) -> None:
    """Print what a plan transfers, skips and deletes."""
    names = [each.name for each in plan.transfers]
    for line in (*_lines("upload" if plan.is_upload else "download", names), *_lines("delete", plan.deletions)):
        session.output.data(line)
    session.output.say(*_lines("no file can have this name:", plan.skipped))
    session.output.say(f"plan only: {_summary(plan)}")
    session.output.record(plan)
    done(session, "planned", changed=False)


def _lines(verb: str, names: Iterable[str]) -> list[str]:
    """Return a line for each name. Names of other tools may contain characters that a terminal would interpret."""
    from exasol_ci_setup.cli.render import show

    return [f"{verb} {show.clean(name)}" for name in names]


def _transfer_folder(session: Session, folder: Folder, plan: FolderPlan) -> None:
    """Transfer the files of a plan, and print their number."""
    from exasol_ci_setup.platform import folders

    title = f"{'uploading' if plan.is_upload else 'downloading'} {counted(len(plan.transfers), 'file')}"
    with _transferring(session, title) as context:
        folders.run(folder, plan, context=context)
    session.output.say(_summary(plan))
    done(
        session,
        "uploaded" if plan.is_upload else "downloaded",
        changed=bool(plan.transfers or plan.deletions),
        files=len(plan.transfers),
        unchanged=plan.unchanged,
        deleted=len(plan.deletions),
        bytes=plan.size,
    )


def _summary(plan: FolderPlan) -> str:
    """Return how many files a plan transfers, keeps and deletes."""
    verb = "uploaded" if plan.is_upload else "downloaded"
    deleted = f", {len(plan.deletions)} deleted" if plan.deletions else ""
    return f"{counted(len(plan.transfers), 'file')} {verb}, {plan.unchanged} unchanged{deleted}"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


__all__ = ["report_no_change", "storage", "storage_option", "workspace_option"]
