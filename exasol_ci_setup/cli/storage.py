"""The group `storage`: storages of a workspace, and the objects in them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli import show
from exasol_ci_setup.cli.platform import (
    acting,
    change_options,
    details,
    done,
    listing,
    plan_option,
    require_yes,
    yes_option,
)
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.cli.session import Session

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


@click.group()
def storage() -> None:
    """Manage files in the storages of a workspace.

    They are folders of one private bucket, each with credentials of its own.
    """


@storage.command("create")
@workspace_option
@storage_option
@change_options
@common_options
def create(
    session: Session, workspace_id: str, storage_name: str, *, plan_only: bool, yes: bool, allow_data_loss: bool
) -> None:
    """Make a storage, and the workspace's stack if this is its first."""
    from exasol_ci_setup.platform import storage as verbs
    from exasol_ci_setup.platform import workspaces

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as place:
        if plan_only:
            workspaces.ensure(place, workspace_id)
            no_change_planned(session, workspace_id)
            return
        made = verbs.create(workspace_id=workspace_id, storage_name=storage_name, place=place)
        session.output.say(f"workspace {made.workspace_id} has a new storage: {made.name}")
        session.output.record(made)
        done(session, "created", changed=True)


@storage.command("list")
@workspace_option
@common_options
def list_(session: Session, workspace_id: str) -> None:
    """List the storages of a workspace."""
    from exasol_ci_setup.platform import storage as verbs

    with acting(session) as place:
        found = verbs.list(workspace_id=workspace_id, place=place)
    listing(
        session,
        ("NAME", "CREATED"),
        ((each.name, show.moment(each.created_at)) for each in found),
        none=f"workspace {workspace_id} has no storages in {session.account.region}",
    )
    for each in found:
        session.output.record(each)


@storage.command("delete")
@workspace_option
@storage_option
@click.option("--empty", is_flag=True, help="Delete the objects in the storage too.")
@plan_option
@yes_option
@common_options
def delete(session: Session, workspace_id: str, storage_name: str, *, empty: bool, plan_only: bool, yes: bool) -> None:
    """Delete a storage with its assets.

    The workspace's bucket keeps objects that were deleted for 30 days. The workspace's stack stays.
    """
    from exasol_ci_setup.platform import storage as verbs

    if plan_only:
        with acting(session, plan_only=True) as place:
            verbs.plan_deletion(workspace_id=workspace_id, storage_name=storage_name, place=place)
            no_change_planned(session, workspace_id)
        return
    with_objects = " and all objects in it" if empty else ""
    require_yes(session, f"Delete storage {storage_name} of workspace {workspace_id}{with_objects}?", yes=yes)
    with acting(session, yes=True) as place:
        gone = verbs.delete(workspace_id=workspace_id, storage_name=storage_name, empty=empty, place=place)
    objects = f" with {_objects(gone)}" if gone else ""
    session.output.say(f"storage {storage_name} of workspace {workspace_id} is deleted{objects}")
    done(session, "deleted", changed=True, objects=gone)


@storage.command("connect")
@workspace_option
@storage_option
@common_options
def connect(session: Session, workspace_id: str, storage_name: str) -> None:
    """Write credentials for a storage into ~/.naas/credentials.

    They are good for an hour, and for nothing but this storage. The other commands renew them by themselves.
    """
    from exasol_ci_setup.platform import credentials
    from exasol_ci_setup.platform import storage as verbs

    with acting(session) as place:
        found = verbs.connect(workspace_id=workspace_id, storage_name=storage_name, place=place)
    path = str(credentials.path())
    details(session, {"credentials": path, "expires": show.moment(found.expires_at)})
    done(session, "connected", changed=True, path=path, expires_at=found.expires_at)


@storage.command("list-object")
@workspace_option
@storage_option
@click.option("-p", "--prefix", "prefix", metavar="TEXT", default="", help="Only objects whose names begin so.")
@common_options
def list_object(session: Session, workspace_id: str, storage_name: str, prefix: str) -> None:
    """List the objects of a storage."""
    from exasol_ci_setup.platform import storage as verbs

    with acting(session) as place:
        found = [
            *verbs.list_object(workspace_id=workspace_id, storage_name=storage_name, storage_prefix=prefix, place=place)
        ]
    listing(
        session,
        ("NAME", "BYTES", "MODIFIED"),
        ((each.name, str(each.size), show.moment(each.modified_at)) for each in found),
        none=f"storage {storage_name} holds no objects" + (f" whose names begin with {prefix}" if prefix else ""),
    )
    for each in found:
        session.output.record(each)


@storage.command("put-object")
@workspace_option
@storage_option
@click.option("-src", "--source", "source", metavar="FILE", required=True, help="File to upload.")
@click.option(
    "-dst",
    "--destination",
    "destination",
    metavar="NAME",
    default=".",
    help="Name of the object; with . or a slash at its end the file's own name is added.  [default: .]",
)
@common_options
def put_object(session: Session, workspace_id: str, storage_name: str, source: str, destination: str) -> None:
    """Upload a file into a storage.

    An object of this name is replaced; its bucket keeps the old one for 30 days. An upload that broke off goes on where it was.
    """
    from exasol_ci_setup.cli.transfer import TransferView
    from exasol_ci_setup.platform import storage as verbs

    with _resumable(), acting(session) as place, TransferView(session.output, f"uploading {source}") as view:
        put = verbs.put_object(
            workspace_id=workspace_id,
            storage_name=storage_name,
            src_file=source,
            dst_file=destination,
            progress=view,
            place=place,
        )
    session.output.data(put.name)
    session.output.record(put)
    done(session, "uploaded", changed=True)


@storage.command("get-object")
@workspace_option
@storage_option
@click.option("-src", "--source", "source", metavar="NAME", required=True, help="Name of the object.")
@click.option(
    "-dst",
    "--destination",
    "destination",
    metavar="PATH",
    default=".",
    help="File to write, or the folder that gets a file of the object's name.  [default: .]",
)
@common_options
def get_object(session: Session, workspace_id: str, storage_name: str, source: str, destination: str) -> None:
    """Download an object from a storage.

    The file is there when all of it has arrived. A download that broke off goes on where it was.
    """
    from exasol_ci_setup.cli.transfer import TransferView
    from exasol_ci_setup.platform import storage as verbs

    with _resumable(), acting(session) as place, TransferView(session.output, f"downloading {source}") as view:
        path = verbs.get_object(
            workspace_id=workspace_id,
            storage_name=storage_name,
            src_file=source,
            dst_file=destination,
            progress=view,
            place=place,
        )
    session.output.data(str(path))
    done(session, "downloaded", changed=True, path=str(path))


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
    help="Object; with a slash at its end all objects in that folder.",
)
@yes_option
@common_options
def delete_object(session: Session, workspace_id: str, storage_name: str, object_name: str, yes: bool) -> None:
    """Delete an object from a storage.

    A whole folder is asked about. The workspace's bucket keeps what was deleted for 30 days.
    """
    from exasol_ci_setup.platform import storage as verbs

    if object_name.endswith("/"):
        require_yes(session, f"Delete all objects in {object_name} of storage {storage_name}?", yes=yes)
    with acting(session) as place:
        gone = verbs.delete_object(
            workspace_id=workspace_id, storage_name=storage_name, object_name=object_name, place=place
        )
    session.output.say(f"deleted {_objects(gone)}")
    done(session, "deleted", changed=True, objects=gone)


def no_change_planned(session: Session, workspace_id: str) -> None:
    """Say that a verb of which only the plan was asked for changes no stack."""
    session.output.say(f"plan only: the stack of workspace {workspace_id} does not change")
    done(session, "planned", changed=False)


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "the transfer is interrupted", hint="run the same command again: it goes on where this one stopped"
        ) from None


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


__all__ = ["no_change_planned", "storage", "storage_option", "workspace_option"]
