"""The group `asset`: share objects of storages by links."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.commands.storage import report_no_change, workspace_option
from exasol_ci_setup.cli.options import Duration
from exasol_ci_setup.cli.platform import (
    acting,
    change_options,
    deletion_options,
    details,
    done,
    published_preview,
    require_yes,
)
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import AssetRequestError, InputError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.asset import Asset

_id_option = click.option(
    "-id", "--asset-id", "--id", "asset_id", metavar="ID", required=True, help="ID that `asset create` printed."
)
_data_option = click.option(
    "--data",
    "data",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON file with the values of these options; options override it.",
)
_visibility_option = click.option(
    "-vis",
    "--visibility",
    "visibility",
    type=click.Choice(["private", "public"]),
    help="private: by a link that expires after an hour; public: for everyone.",
)
_disposition_option = click.option(
    "-cd",
    "--content-disposition",
    "content_disposition",
    metavar="TEXT",
    help="HTTP header Content-Disposition: inline or attachment, optionally with a file name.",
)
# Rejected with the same reason as in the JSON file.
_password_option = click.option("-p", "--password", "password", hidden=True, metavar="TEXT", help="Rejected.")
_broadening_option = click.option(
    "--allow-broadening",
    is_flag=True,
    help="Allow public access to the folder public/ of the workspace's bucket, if it is not public yet.",
)


@click.group(cls=VerbGroup)
def asset() -> None:
    """Share objects of storages by links.

    The link of a private asset expires after an hour; `asset get` prints a new one. A public asset is a copy that everyone can
    read.
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
@_password_option
@_broadening_option
@change_options
@published_preview
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
    """Create an asset from an object, and print its ID and link.

    The asset is private by default.
    """
    from exasol_ci_setup.platform import asset as verbs

    request = _read_request(data, values)
    with acting(
        session, plan_only=plan_only, yes=yes, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss
    ) as context:
        if plan_only:
            verbs.plan_creation(workspace_id=workspace_id, asset_creation=request, context=context)
            report_no_change(session, workspace_id)
            return
        created = verbs.create(
            workspace_id=workspace_id, asset_creation=request, allow_broadening=allow_broadening, context=context
        )
        _show(session, created, "created", changed=True)


@asset.command("get")
@workspace_option
@_id_option
@click.option(
    "--expires-in",
    type=Duration(),
    metavar="TIME",
    help="Lifetime of a private link, such as 90s or 30m, at most 1h.  [default: 1h]",
)
@published_preview
@common_options
def get(session: Session, workspace_id: str, asset_id: str, *, expires_in: float | None) -> None:
    """Show an asset with a new link."""
    from exasol_ci_setup.platform import asset as verbs

    with acting(session) as context:
        asset = verbs.get(workspace_id=workspace_id, asset_id=asset_id, expires_in=expires_in, context=context)
    _show(session, asset, "found", changed=False)


@asset.command("update")
@workspace_option
@_id_option
@_data_option
@_visibility_option
@_disposition_option
@_password_option
@_broadening_option
@change_options
@published_preview
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

    A public asset is copied again from its object.
    """
    from exasol_ci_setup.platform import asset as verbs

    request = _read_request(data, values)
    with acting(
        session, plan_only=plan_only, yes=yes, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss
    ) as context:
        if plan_only:
            verbs.plan_update(workspace_id=workspace_id, asset_id=asset_id, asset_update=request, context=context)
            report_no_change(session, workspace_id)
            return
        updated = verbs.update(
            workspace_id=workspace_id,
            asset_id=asset_id,
            asset_update=request,
            allow_broadening=allow_broadening,
            context=context,
        )
        _show(session, updated, "updated", changed=True)


@asset.command("delete")
@workspace_option
@_id_option
@deletion_options
@published_preview
@common_options
def delete(session: Session, workspace_id: str, asset_id: str, *, plan_only: bool, yes: bool) -> None:
    """Delete an asset and its public link.

    The object stays in its storage. Existing private links expire after an hour.
    """
    from exasol_ci_setup.platform import asset as verbs

    if plan_only:
        with acting(session, plan_only=True) as context:
            verbs.plan_deletion(workspace_id=workspace_id, asset_id=asset_id, context=context)
            report_no_change(session, workspace_id)
        return
    require_yes(session, f"Delete asset {asset_id} of workspace {workspace_id}?", yes=yes)
    with acting(session, yes=True) as context:
        verbs.delete(workspace_id=workspace_id, asset_id=asset_id, context=context)
    session.output.say(f"deleted asset {asset_id} of workspace {workspace_id}")
    done(session, "deleted", changed=True)


def _read_request(data: Path | None, values: dict[str, str | None]) -> dict[str, Any]:
    """Return the values of the file, overridden by those of options. Raises InputError and AssetRequestError."""
    values_of_file: dict[str, Any] = {}
    if data is not None:
        try:
            values_of_file = json.loads(data.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{data} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise AssetRequestError(f"{data} is not JSON: {error}", hint="correct the file") from error
        if not isinstance(values_of_file, dict):
            raise AssetRequestError(
                f"{data} is not a JSON object", hint='use an object such as {"storage_name": …, "object_name": …}'
            )
    return {**values_of_file, **{name: value for name, value in values.items() if value is not None}}


def _show(session: Session, asset: Asset, status: str, *, changed: bool) -> None:
    from exasol_ci_setup.cli.render import show

    expires = "never, as the asset is public" if asset.visibility == "public" else show.moment(asset.url_expires_at)
    details(
        session,
        {
            "id": asset.id,
            "url": asset.url,
            "expires": expires,
            "visibility": asset.visibility,
            "storage": asset.storage_name,
            "object": asset.object_name,
            "version": asset.object_version,
            "content disposition": asset.content_disposition,
            "created": show.moment(asset.created_at),
            "updated": show.moment(asset.updated_at),
        },
    )
    session.output.record(asset)
    done(session, status, changed=changed)


__all__ = ["asset"]
