"""Assets: objects of storages that others fetch by a link.

A private link expires after an hour. A public link works while the asset is public. The record of an asset is ``.assets/ID.json`` in the
workspace's bucket. A private asset's link is signed. A public asset is a copy of the object below ``public/ID/``, which is readable by
everybody. The stack of the workspace grants this public access only while the workspace has public assets.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exasol_ci_setup.aws.session import replace_aws_errors, translate_aws_errors
from exasol_ci_setup.constructs.asset_record import AssetCreation, AssetUpdate
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.values import Value
from exasol_ci_setup.core.errors import AssetConflictError, AssetNotFound, AssetRequestError, InputError
from exasol_ci_setup.platform import links, workspaces
from exasol_ci_setup.platform.storage_session import has_storage, no_storage
from exasol_ci_setup.platform.workspace_stacks import ensure
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.platform.workspaces import Bucket

_MOST_SECONDS: Final = 3600
_FOLDER: Final = ".assets/"
_NAMESPACE: Final = uuid.UUID("6b3bd2f5-3c0b-4f0e-9a4f-2c6d5f0f8a51")
# Another process created or changed the object first, or at the same time.
_CONFLICTS: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_WRAPPERS: Final = ("asset_creation", "asset_update")
V = TypeVar("V", bound=Value)


@dataclass(frozen=True)
class Asset:
    """An asset and its link, which expires at `url_expires_at`; None means that it works while the asset is public."""

    id: str
    workspace_id: str
    storage_name: str
    object_name: str
    object_version: str
    visibility: str
    content_disposition: str
    created_at: datetime
    updated_at: datetime
    url: str = ""
    url_expires_at: datetime | None = None


def create(
    *,
    workspace_id: str,
    asset_creation: Mapping[str, Any],
    allow_broadening: bool = False,
    context: Context | None = None,
) -> Asset:
    """Create an asset of an object and return it with its link.

    `asset_creation` has ``storage_name`` and ``object_name``, and may have ``object_version``, ``visibility`` (``private`` or ``public``) and
    ``content_disposition``. Empty values count as omitted. `allow_broadening` permits a stack update that grants public access.

    Raises AssetConflictError if the object, in this version, already is an asset. Raises AssetRequestError for invalid values, and for the
    first public asset of a workspace without `allow_broadening`. Raises StorageNotFoundError and ObjectNotFoundError.
    """
    wanted = _parse_request(AssetCreation, asset_creation, workspace_id=workspace_id)
    context = context or default_context()
    bucket, asset = _new_asset(context, wanted)
    _require_new(context, asset)
    with _open_to_public(context, bucket, asset, allow_broadening=allow_broadening) as bucket:
        tag = _write(context, bucket, asset, _conflict(asset), IfNoneMatch="*")
        if asset.visibility == "public":
            try:
                _publish(context, bucket, asset, tag)
            except AssetConflictError:
                raise
            except BaseException:
                # Otherwise the asset would exist with a dead link, and could not be created again.
                remove(context, bucket, asset)
                raise
    return _with_link(context, bucket, asset)


def plan_creation(*, workspace_id: str, asset_creation: Mapping[str, Any], context: Context) -> None:
    """Report the change of the workspace's stack, and change nothing. Raises as `create`, and NotApprovedError if the stack would change."""
    bucket, asset = _new_asset(context, _parse_request(AssetCreation, asset_creation, workspace_id=workspace_id))
    _require_new(context, asset)
    _plan_visibility(context, bucket, public=asset.visibility == "public", ids={asset.id})


def _new_asset(context: Context, wanted: AssetCreation) -> tuple[Bucket, Asset]:
    """Return the bucket of a new asset, and the asset. Raises as `create`."""
    bucket = workspaces.find(context, wanted.workspace_id)
    s3 = context.account.client("s3")
    with translate_aws_errors():
        if bucket is None or not has_storage(s3, bucket, wanted.storage_name):
            raise no_storage(context, wanted)
    links.require_object(context, bucket, wanted.storage_name, wanted.object_name, wanted.object_version or "")
    now = datetime.now(timezone.utc)
    # The id is derived from the object, so that two concurrent creations have the same id.
    parts = json.dumps([bucket.name, wanted.storage_name, wanted.object_name, wanted.object_version or ""])
    return bucket, Asset(
        id=str(uuid.uuid5(_NAMESPACE, parts)),
        workspace_id=wanted.workspace_id,
        storage_name=wanted.storage_name,
        object_name=wanted.object_name,
        object_version=wanted.object_version or "",
        visibility=wanted.visibility,
        content_disposition=wanted.content_disposition,
        created_at=now,
        updated_at=now,
    )


def _require_new(context: Context, asset: Asset) -> None:
    """Raise AssetConflictError if the asset already exists, before its bucket becomes publicly readable."""
    try:
        _load(context, asset.workspace_id, asset.id)
    except AssetNotFound:
        return
    raise _conflict(asset)


def get(*, workspace_id: str, asset_id: str, expires_in: float | None = None, context: Context | None = None) -> Asset:
    """Return an asset with a new link, which expires after `expires_in` seconds, by default an hour.

    If the object of a private asset does not exist any more, the reporter gets a note.
    Raises AssetNotFound, and AssetRequestError for a time that a link cannot have, or for a public asset with a time.
    """
    if expires_in is not None and not 1 <= expires_in <= _MOST_SECONDS:
        raise AssetRequestError(
            f"a link cannot expire after {expires_in:g} seconds: it ends with the session that signs it",
            hint=f"use a time from 1s to 1h; `exasol-ci-setup asset get --workspace-id {workspace_id} --asset-id {asset_id}` prints a new link "
            "at any time",
        )
    context = context or default_context()
    bucket, asset, _ = _load(context, workspace_id, asset_id)
    if expires_in is not None and asset.visibility == "public":
        raise AssetRequestError(
            f"the link of asset {asset_id} does not expire: the asset is public",
            hint=f"make it private: `exasol-ci-setup asset update --workspace-id {workspace_id} --asset-id {asset_id} --visibility private`",
        )
    if asset.visibility == "private":
        links.report_missing(context, bucket, asset)
    return _with_link(context, bucket, asset, expires_in)


def update(
    *,
    workspace_id: str,
    asset_id: str,
    asset_update: Mapping[str, Any],
    allow_broadening: bool = False,
    context: Context | None = None,
) -> Asset:
    """Change an asset and return it with a new link; a public one is copied again from its object.

    `asset_update` may have ``visibility`` and ``content_disposition``. Raises AssetNotFound, AssetRequestError as `create` does,
    AssetConflictError after a concurrent change, and ObjectNotFoundError if a public asset's object no longer exists.
    """
    changes = _parse_request(AssetUpdate, asset_update)
    context = context or default_context()
    bucket, before, asset, tag = _load_update(context, workspace_id, asset_id, changes)
    with _open_to_public(context, bucket, asset, allow_broadening=allow_broadening) as bucket:
        if asset.visibility != "public":
            # Delete the public copy first, also one that an interrupted update left: a record must not say private while a copy is public.
            links.withdraw(context, bucket, asset.id)
        tag = _write(context, bucket, asset, _changed_meanwhile(workspace_id, asset_id), IfMatch=tag)
        if asset.visibility == "public":
            try:
                _publish(context, bucket, asset, tag)
            except AssetConflictError:
                raise
            except BaseException:
                if before.visibility != "public":
                    links.withdraw(context, bucket, asset.id)
                    _write(context, bucket, before, _changed_meanwhile(workspace_id, asset_id), IfMatch=tag)
                raise
    if asset.visibility != "public":
        bucket = _revoke_public_access_if_unused(context, bucket)
    return _with_link(context, bucket, asset)


def plan_update(*, workspace_id: str, asset_id: str, asset_update: Mapping[str, Any], context: Context) -> None:
    """Report the change of the workspace's stack, and change nothing. Raises as `update`, and NotApprovedError if the stack would change."""
    bucket, _, asset, _ = _load_update(context, workspace_id, asset_id, _parse_request(AssetUpdate, asset_update))
    _plan_visibility(context, bucket, public=asset.visibility == "public", ids={asset.id})


def plan_deletion(*, workspace_id: str, asset_id: str, context: Context) -> None:
    """Report the change of the workspace's stack, and change nothing. Raises as `delete`, and NotApprovedError if the stack would change."""
    bucket, asset, _ = _load(context, workspace_id, asset_id)
    plan_removal(context, bucket, {asset.id})


def plan_removal(context: Context, bucket: Bucket, ids: Collection[str]) -> None:
    """Report the change of the workspace's stack when these assets are deleted. Raises NotApprovedError if it would change."""
    _plan_visibility(context, bucket, public=False, ids=ids)


def _plan_visibility(context: Context, bucket: Bucket, *, public: bool, ids: Collection[str]) -> None:
    opened = public or (bucket.is_public and links.any_public(context, bucket, except_ids=ids))
    if opened != bucket.is_public:
        careful = replace(context, plan_only=True)
        ensure(careful, bucket.workspace_id, public_assets=opened)


def _load_update(
    context: Context, workspace_id: str, asset_id: str, changes: AssetUpdate
) -> tuple[Bucket, Asset, Asset, str]:
    """Return the bucket of an asset, the asset before and after an update, and the tag of its record. Raises as `update`."""
    bucket, before, tag = _load(context, workspace_id, asset_id)
    asset = replace(
        before,
        visibility=changes.visibility or before.visibility,
        content_disposition=changes.content_disposition or before.content_disposition,
        updated_at=datetime.now(timezone.utc),
    )
    if asset.visibility == "public":
        links.require_object(context, bucket, asset.storage_name, asset.object_name, asset.object_version)
    return bucket, before, asset, tag


def delete(*, workspace_id: str, asset_id: str, context: Context | None = None) -> None:
    """Delete an asset, which ends its public link; the object stays in its storage. Raises AssetNotFound."""
    context = context or default_context()
    bucket, asset, _ = _load(context, workspace_id, asset_id)
    remove(context, bucket, asset)


def remove(context: Context, bucket: Bucket, asset: Asset) -> None:
    """Delete an existing asset."""
    # The public copy goes first, and public access with the last one.
    links.withdraw(context, bucket, asset.id)
    _revoke_public_access_if_unused(context, bucket)
    with translate_aws_errors():
        context.account.client("s3").delete_object(Bucket=bucket.name, Key=_record(asset.id))


def of_storage(context: Context, bucket: Bucket, storage_name: str) -> Iterator[Asset]:
    """Yield the assets of a storage; this reads each record in the workspace."""
    s3 = context.account.client("s3")
    with translate_aws_errors():
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=_FOLDER):
            for entry in page.get("Contents", []):
                found = _parse_record(s3.get_object(Bucket=bucket.name, Key=entry["Key"])["Body"].read())
                if found.storage_name == storage_name:
                    yield found


def _parse_request(model: type[V], given: Mapping[str, Any], **more: str) -> V:
    """Return the values of a request as `model`. Raises AssetRequestError."""
    if not isinstance(given, Mapping):
        raise AssetRequestError(
            "the request is not an object with names and values", hint='such as {"storage_name": …}'
        )
    for wrapper in _WRAPPERS:
        # The API that this one is compatible with wraps the values.
        if given.keys() == {wrapper} and isinstance(given[wrapper], Mapping):
            given = given[wrapper]
    values = {name: value for name, value in given.items() if value not in (None, "")}
    for name, value in more.items():
        if values.setdefault(name, value) != value:
            raise AssetRequestError(f"{name} is {value!r} and {values[name]!r}", hint="omit one of them")
    if "password" in values:
        raise AssetRequestError(
            "an asset cannot have a password: no server could check it",
            hint="encrypt the object itself",
        )
    try:
        return build(model, **values)
    except InputError as error:
        raise AssetRequestError(error.message, hint=error.hint) from error


@contextmanager
def _open_to_public(context: Context, bucket: Bucket, asset: Asset, *, allow_broadening: bool) -> Iterator[Bucket]:
    """Grant public access to the public folder of a workspace if the asset is public; revoke it after an error."""
    if asset.visibility != "public":
        yield bucket
        return
    if not bucket.is_public:
        if not allow_broadening:
            raise AssetRequestError(
                f"workspace {bucket.workspace_id} has no public assets yet, so its bucket is private",
                hint="add --allow-broadening: it makes all objects below public/ readable by everybody, which are the copies of public assets",
            )
        bucket = ensure(context, bucket.workspace_id, public_assets=True)
    try:
        yield bucket
    except BaseException:
        _revoke_public_access_if_unused(context, bucket)
        raise


def _publish(context: Context, bucket: Bucket, asset: Asset, tag: str) -> None:
    """Copy a public asset to the public folder. Raises AssetConflictError if it has become private meanwhile.

    `tag` is the ETag of the record that makes it public.
    """
    links.publish(context, bucket, asset)
    try:
        _, now, found = _load(context, asset.workspace_id, asset.id)
    except AssetNotFound:
        now, found = None, ""
    if found != tag and (now is None or now.visibility != "public"):
        # The update that made it private may have looked for the copy before it existed.
        links.withdraw(context, bucket, asset.id)
        raise _changed_meanwhile(asset.workspace_id, asset.id)


def _revoke_public_access_if_unused(context: Context, bucket: Bucket) -> Bucket:
    if bucket.is_public and not links.any_public(context, bucket):
        return ensure(context, bucket.workspace_id, public_assets=False)
    return bucket


def _conflict(asset: Asset) -> AssetConflictError:
    return AssetConflictError(
        f"{asset.object_name} of storage {asset.storage_name} already is an asset: {asset.id}",
        hint=f"`exasol-ci-setup asset get --workspace-id {asset.workspace_id} --asset-id {asset.id}` shows its link, `asset update` changes it",
    )


def _changed_meanwhile(workspace_id: str, asset_id: str) -> AssetConflictError:
    return AssetConflictError(
        f"asset {asset_id} was changed by another process",
        hint=f"check it with `exasol-ci-setup asset get --workspace-id {workspace_id} --asset-id {asset_id}`, then retry",
    )


def _record(asset_id: str) -> str:
    return f"{_FOLDER}{asset_id}.json"


def _write(context: Context, bucket: Bucket, asset: Asset, conflict: AssetConflictError, **condition: str) -> str:
    """Write the record of an asset and return its tag. Raises `conflict` if the condition is not met."""
    values = {name: value for name, value in asdict(asset).items() if not name.startswith("url")}
    content = json.dumps(values, indent=2, default=datetime.isoformat)
    with replace_aws_errors(_CONFLICTS, lambda _message: conflict):
        answer = context.account.client("s3").put_object(
            Bucket=bucket.name,
            Key=_record(asset.id),
            Body=content.encode(),
            ContentType="application/json",
            **condition,  # type: ignore[arg-type]
        )
    return answer["ETag"]


def _load(context: Context, workspace_id: str, asset_id: str) -> tuple[Bucket, Asset, str]:
    """Return the workspace's bucket, the recorded asset, and the ETag of the record."""
    if not isinstance(asset_id, str):
        raise AssetRequestError(f"asset_id: {asset_id!r} is not text", hint="use the ID that `asset create` printed")
    bucket = workspaces.find(context, workspace_id)
    key = _record(asset_id.lower())
    # An id of another form could be the key of another object.
    if bucket is None or not re.fullmatch(r"[0-9a-f-]{36}", asset_id.lower()):
        raise _not_found(workspace_id, asset_id)
    with replace_aws_errors({"NoSuchKey"}, lambda _message: _not_found(workspace_id, asset_id)):
        answer = context.account.client("s3").get_object(Bucket=bucket.name, Key=key)
        return bucket, _parse_record(answer["Body"].read()), answer["ETag"]


def _parse_record(content: bytes) -> Asset:
    values = json.loads(content)
    times = {name: datetime.fromisoformat(values[name]) for name in ("created_at", "updated_at")}
    return Asset(**{**values, **times})


def _not_found(workspace_id: str, asset_id: str) -> AssetNotFound:
    return AssetNotFound(
        f"workspace {workspace_id} has no asset {asset_id!r}",
        hint="`asset create` printed its id; check --workspace-id",
    )


def _with_link(context: Context, bucket: Bucket, asset: Asset, expires_in: float | None = None) -> Asset:
    if asset.visibility == "public":
        return replace(asset, url=links.public_url(context, bucket, asset))
    url, expires_at = links.signed_url(context, bucket, asset, expires_in)
    return replace(asset, url=url, url_expires_at=expires_at)
