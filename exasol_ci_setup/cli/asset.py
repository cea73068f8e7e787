"""The group `asset`: objects of storages that others fetch by a link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli import show
from exasol_ci_setup.cli.platform import acting, change_options, details, done, plan_option, require_yes, yes_option
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.storage import no_change_planned, workspace_option
from exasol_ci_setup.errors import AssetRequestError, InputError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.asset import Asset

_id_option = click.option(
    "-id", "--asset-id", "--id", "asset_id", metavar="ID", required=True, help="Asset, as `asset create` told it."
)
_data_option = click.option(
    "--data", "data", metavar="FILE", type=click.Path(path_type=Path), help="JSON file with what the options say."
)
_visibility_option = click.option(
    "-vis",
    "--visibility",
    "visibility",
    type=click.Choice(["private", "public"]),
    help="private: by a link that ends after an hour; public: for everybody.",
)
_disposition_option = click.option(
    "-cd",
    "--content-disposition",
    "content_disposition",
    metavar="TEXT",
    help="What browsers do with it: inline, or attachment, also with a file name as in HTTP.",
)
_broadening_option = click.option(
    "--allow-broadening",
    is_flag=True,
    help="Let everybody read the folder public/ of the workspace's bucket, if nothing is public yet.",
)


@click.group()
def asset() -> None:
    """Share objects of storages by links.

    A private asset has a link that ends after an hour, and a new one whenever it is asked for. A public asset is a copy that everybody may read.
    """


@asset.command("create")
@workspace_option
@_data_option
@click.option("-s", "--storage", "--storage-name", "storage_name", metavar="NAME", help="Storage of the object.")
@click.option("-o", "--object", "--object-name", "object_name", metavar="NAME", help="Object in the storage.")
@click.option(
    "-ov", "--object-version", "object_version", metavar="ID", help="Version of the object.  [default: the latest]"
)
@_visibility_option
@_disposition_option
@_broadening_option
@change_options
@common_options
def create(
    session: Session,
    workspace_id: str,
    data: Path | None,
    *,
    allow_broadening: bool,
    allow_data_loss: bool,
    plan_only: bool,
    yes: bool,
    **values: str | None,
) -> None:
    """Make an asset of an object, and print its id and link.

    The asset is private, unless something else is said.
    """
    from exasol_ci_setup.platform import asset as verbs

    wanted = _wanted(data, values)
    with acting(
        session, plan_only=plan_only, yes=yes, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss
    ) as place:
        if plan_only:
            verbs.plan_creation(workspace_id=workspace_id, asset_creation=wanted, place=place)
            no_change_planned(session, workspace_id)
            return
        made = verbs.create(
            workspace_id=workspace_id, asset_creation=wanted, allow_broadening=allow_broadening, place=place
        )
        _show(session, made, "created", changed=True)


@asset.command("get")
@workspace_option
@_id_option
@common_options
def get(session: Session, workspace_id: str, asset_id: str) -> None:
    """Show an asset with a new link."""
    from exasol_ci_setup.platform import asset as verbs

    with acting(session) as place:
        found = verbs.get(workspace_id=workspace_id, asset_id=asset_id, place=place)
    _show(session, found, "found", changed=False)


@asset.command("update")
@workspace_option
@_id_option
@_data_option
@_visibility_option
@_disposition_option
@_broadening_option
@change_options
@common_options
def update(
    session: Session,
    workspace_id: str,
    asset_id: str,
    data: Path | None,
    *,
    allow_broadening: bool,
    allow_data_loss: bool,
    plan_only: bool,
    yes: bool,
    **values: str | None,
) -> None:
    """Change an asset, and show it with a new link.

    A public one is copied again from its object.
    """
    from exasol_ci_setup.platform import asset as verbs

    wanted = _wanted(data, values)
    with acting(
        session, plan_only=plan_only, yes=yes, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss
    ) as place:
        if plan_only:
            verbs.plan_update(workspace_id=workspace_id, asset_id=asset_id, asset_update=wanted, place=place)
            no_change_planned(session, workspace_id)
            return
        changed = verbs.update(
            workspace_id=workspace_id,
            asset_id=asset_id,
            asset_update=wanted,
            allow_broadening=allow_broadening,
            place=place,
        )
        _show(session, changed, "updated", changed=True)


@asset.command("delete")
@workspace_option
@_id_option
@plan_option
@yes_option
@common_options
def delete(session: Session, workspace_id: str, asset_id: str, *, plan_only: bool, yes: bool) -> None:
    """Delete an asset, so that its public link ends.

    The object stays in its storage. Private links that were told before end by themselves.
    """
    from exasol_ci_setup.platform import asset as verbs

    if plan_only:
        with acting(session, plan_only=True) as place:
            verbs.plan_deletion(workspace_id=workspace_id, asset_id=asset_id, place=place)
            no_change_planned(session, workspace_id)
        return
    require_yes(session, f"Delete asset {asset_id} of workspace {workspace_id}?", yes=yes)
    with acting(session, yes=True) as place:
        verbs.delete(workspace_id=workspace_id, asset_id=asset_id, place=place)
    session.output.say(f"asset {asset_id} of workspace {workspace_id} is deleted")
    done(session, "deleted", changed=True)


def _wanted(data: Path | None, values: dict[str, str | None]) -> dict[str, Any]:
    """Return what the file says, and what the options say in its place. Raises InputError and AssetRequestError."""
    found: dict[str, Any] = {}
    if data is not None:
        try:
            found = json.loads(data.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{data} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise AssetRequestError(f"{data} is no JSON: {error}", hint="correct it") from error
        if not isinstance(found, dict):
            raise AssetRequestError(f"{data} is no JSON object", hint='such as {"storage_name": …, "object_name": …}')
    return {**found, **{name: value for name, value in values.items() if value is not None}}


def _show(session: Session, found: Asset, status: str, *, changed: bool) -> None:
    expires = "not while the asset is public" if found.visibility == "public" else show.moment(found.url_expires_at)
    details(
        session,
        {
            "id": found.id,
            "url": found.url,
            "expires": expires,
            "visibility": found.visibility,
            "storage": found.storage_name,
            "object": found.object_name,
            "version": found.object_version,
            "content disposition": found.content_disposition,
            "created": show.moment(found.created_at),
            "updated": show.moment(found.updated_at),
        },
    )
    session.output.record(found)
    done(session, status, changed=changed)


__all__ = ["asset"]
