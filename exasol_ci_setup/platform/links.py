"""The links of assets: signed links to objects, and plain links to public copies."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from botocore.config import Config

from exasol_ci_setup.aws.roles import holding
from exasol_ci_setup.aws.session import replace_aws_errors, translate_aws_errors
from exasol_ci_setup.core.commands import list_objects_hint
from exasol_ci_setup.core.errors import AccessDeniedError, ObjectNotFoundError
from exasol_ci_setup.platform import workspaces
from exasol_ci_setup.platform.storage_session import keys

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.platform.asset import Asset
    from exasol_ci_setup.platform.workspaces import Bucket

_MARGIN: Final = timedelta(seconds=5)


def require_object(context: Context, bucket: Bucket, storage_name: str, name: str, version: str) -> str:
    """Return the content type of an object. Raises ObjectNotFoundError."""
    request: dict[str, Any] = {"VersionId": version} if version else {}
    # S3 answers 400 for a version ID that never existed.
    codes = {"404", "NoSuchKey", "NoSuchVersion", *(["400"] if version else [])}
    missing = ObjectNotFoundError(
        f"storage {storage_name!r} has no object {name!r}{f' in version {version}' if version else ''}",
        hint=list_objects_hint(bucket.workspace_id, storage_name),
    )
    with replace_aws_errors(codes, lambda _message: missing):
        s3 = context.account.client("s3")
        head = s3.head_object(Bucket=bucket.name, Key=workspaces.folder(storage_name) + name, **request)
    return head["ContentType"]


def report_missing(context: Context, bucket: Bucket, asset: Asset) -> None:
    """Report that the link of a private asset does not work because its object was moved or deleted, as far as the caller may look."""
    try:
        require_object(context, bucket, asset.storage_name, asset.object_name, asset.object_version)
    except ObjectNotFoundError as error:
        context.note(f"the link does not work: {error.message}")
    except AccessDeniedError:
        pass


def signed_url(context: Context, bucket: Bucket, asset: Asset, expires_in: float | None = None) -> tuple[str, datetime]:
    """Return a link to a private asset's object, and its expiry: after `expires_in` seconds, or as late as possible.

    The signing session may use only the asset's storage. The link expires with the session, whatever the link itself says:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html.
    """
    session = workspaces.session(context.account, bucket, asset.storage_name)
    request: dict[str, Any] = {
        "Bucket": bucket.name,
        "Key": workspaces.folder(asset.storage_name) + asset.object_name,
        "ResponseContentDisposition": asset.content_disposition,
    }
    if asset.object_version:
        request["VersionId"] = asset.object_version
    now = datetime.now(timezone.utc)
    seconds = int((session.expires_at - now - _MARGIN).total_seconds())
    if expires_in is not None:
        seconds = min(seconds, int(expires_in))
    with translate_aws_errors():
        account = holding(context.account, lambda: keys(session), keys(session))
        url = _link_client(account).generate_presigned_url("get_object", Params=request, ExpiresIn=seconds)
    return url, (now + timedelta(seconds=seconds)).replace(microsecond=0)


def publish(context: Context, bucket: Bucket, asset: Asset) -> None:
    """Copy a public asset's object to the public folder, and replace an older copy."""
    key = workspaces.folder(asset.storage_name) + asset.object_name
    kind = require_object(context, bucket, asset.storage_name, asset.object_name, asset.object_version)
    source: CopySourceTypeDef = {"Bucket": bucket.name, "Key": key}
    if asset.object_version:
        source["VersionId"] = asset.object_version
    with translate_aws_errors():
        # `copy` uses parts for an object that is too large for one request.
        context.account.client("s3").copy(
            source,
            bucket.name,
            public_key(asset),
            ExtraArgs={
                "MetadataDirective": "REPLACE",
                "ContentType": kind,
                "ContentDisposition": asset.content_disposition,
                # The link stays the same when its object changes or is deleted.
                "CacheControl": "no-cache",
            },
        )


def withdraw(context: Context, bucket: Bucket, asset_id: str) -> None:
    """Delete the public copy of an asset, with all its versions."""
    s3 = context.account.client("s3")
    with translate_aws_errors():
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket.name, Prefix=f"{workspaces.PUBLIC}{asset_id}/"
        ):
            for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                s3.delete_object(Bucket=bucket.name, Key=entry["Key"], VersionId=entry["VersionId"])


def any_public(context: Context, bucket: Bucket, *, except_ids: Collection[str] = ()) -> bool:
    """Return whether the public folder of a workspace has objects of assets other than those in `except_ids`."""
    s3 = context.account.client("s3")
    with translate_aws_errors():
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=workspaces.PUBLIC)
        keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        return any(key.removeprefix(workspaces.PUBLIC).partition("/")[0] not in except_ids for key in keys)


def public_url(context: Context, bucket: Bucket, asset: Asset) -> str:
    """Return the permanent link of a public asset."""
    with translate_aws_errors():
        signed = _link_client(context.account).generate_presigned_url(
            "get_object", Params={"Bucket": bucket.name, "Key": public_key(asset)}
        )
    return urlsplit(signed)._replace(query="").geturl()


def public_key(asset: Asset) -> str:
    """Return the key of a public asset's copy, which ends in the object's own name."""
    return f"{workspaces.PUBLIC}{asset.id}/{asset.object_name.rpartition('/')[2]}"


def _link_client(account: Account) -> S3Client:
    """Return an S3 client for links: with signature version 4, and with the host of the bucket's region.

    botocore would choose an older signature in some regions, and the host without a region, which redirects for a new bucket:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html.
    """
    with translate_aws_errors():
        usual = account.client("s3").meta
        # Only endpoints of AWS have a host for each bucket.
        addressing: Literal["virtual", "path"] = "virtual" if ".amazonaws.com" in usual.endpoint_url else "path"
        config = usual.config.merge(Config(signature_version="s3v4", s3={"addressing_style": addressing}))
        client: S3Client = account.make("s3", config=config)
    return client
