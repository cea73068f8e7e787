"""`Asset.sync()`: upload the source as an archive to the asset's bucket, with the hash of its content as the key."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from os import fspath
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exasol_ci_setup.aws.session import ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.builds import github
from exasol_ci_setup.builds.github import Api, Token
from exasol_ci_setup.constructs.asset import GitHubRepo, LocalDirectory
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.constructs.runtime import Synced
from exasol_ci_setup.core import archive
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.programs import actions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.constructs.asset import Asset
    from exasol_ci_setup.core.archive import Tree
    from exasol_ci_setup.programs.actions import Runtime

_HASH_LENGTH: Final = 12
_MAX_NAMES: Final = 5


def sync(asset: Asset, token: str | None = None) -> Synced:
    """Upload the asset's source to its bucket, unless the bucket already contains it, and return the archive.

    `token` gives access to a private repository on GitHub; None means the environment variable GITHUB_TOKEN, if it is set. With the
    sandbox, the token is sent only to an API on this machine. Files that an archive cannot contain, such as sockets, are skipped
    and named.

    Raises InputError if the asset has no source, is not deployed, or its source cannot be read. Raises SetupError if the download from
    GitHub fails, and the errors of the AWS boundary.
    """
    runtime = actions.current()
    source = _source(asset)
    if runtime.is_dry_run:
        runtime.say(f"asset {asset.name}: would be synced with {_origin(source)}")
        runtime.recorded.tokens[id(asset)] = token
        return Synced(placeholder(asset, what="archive key"), placeholder(asset, what="archive hash"), uploaded=False)
    return put(runtime, asset, token)


def put(runtime: Runtime, asset: Asset, token: str | None = None) -> Synced:
    """Do what `sync` does, on this runtime, also in a dry run. Raises the errors of `sync`."""
    source = _source(asset)
    bucket = asset.bucket_name
    with tempfile.TemporaryFile() as packed:
        with _tree(runtime, asset, source, token) as tree:
            sha256 = archive.pack(tree, packed)
            _report_skipped(runtime, asset, tree.skipped)
        packed.seek(0)
        key = f"{sha256}.tar.gz"
        s3 = runtime.connect(asset.resolved_scope).client("s3")
        with translate_aws_errors():
            is_new = not _exists(s3, bucket, key)
            if is_new:
                s3.upload_fileobj(packed, bucket, key, ExtraArgs={"ContentType": "application/gzip"})
    how = "uploaded" if is_new else "already uploaded"
    runtime.say(f"asset {asset.name}: {_origin(source)} is {sha256[:_HASH_LENGTH]}, {how}")
    return Synced(key, sha256, uploaded=is_new)


def fingerprint(runtime: Runtime, asset: Asset) -> str:
    """Return the hash of the source without an upload.

    A private repository needs a token in GITHUB_TOKEN. Raises the errors of `sync`.
    """
    with Path(os.devnull).open("wb") as sink, _tree(runtime, asset, _source(asset), None) as tree:
        return archive.pack(tree, sink)


def _source(asset: Asset) -> GitHubRepo | LocalDirectory:
    if asset.source is None:
        raise InputError(
            f"Asset {asset.name!r} has no source to sync",
            hint="set its source, such as `source=LocalDirectory(scope=…, name=…, path=…)`",
        )
    return asset.source


def _origin(source: GitHubRepo | LocalDirectory) -> str:
    if isinstance(source, GitHubRepo):
        return f"branch {source.branch} of {_repository(source)}"
    return f"folder {source.path}"


def _repository(source: GitHubRepo) -> str:
    name = source.repo.removeprefix("https://github.com/")
    if "/" not in name:
        raise InputError(f"GitHubRepo {source.name!r} has no owner: repo is {name!r}", hint=f"use repo='OWNER/{name}'")
    return name.removesuffix(".git")


@contextmanager
def _tree(runtime: Runtime, asset: Asset, source: GitHubRepo | LocalDirectory, token: str | None) -> Iterator[Tree]:
    if isinstance(source, LocalDirectory):
        yield archive.of_folder(Path(source.path), fspath(source.ignorefile))
        return
    with tempfile.TemporaryFile() as downloaded:
        _download(runtime, asset, source, token, downloaded)
        with archive.of_download(downloaded) as tree:
            yield tree


def _download(runtime: Runtime, asset: Asset, source: GitHubRepo, token: str | None, into: IO[bytes]) -> None:
    url, usable = github.api_url_from_environment(), _token(token)
    if usable is not None and not runtime.may_log_in_to(urlsplit(url).hostname, asset.resolved_scope):
        runtime.say(f"asset {asset.name}: the token is not sent to GitHub, because this is the sandbox")
        usable = None
    api = Api(url, usable)
    repository = _repository(source)
    api.download(repository, api.branch_commit(repository, source.branch), into)


def _token(token: str | None) -> Token | None:
    """Return the token to use, if any. Raises InputError for an invalid token, without its value."""
    environment = None if token is None else {github.TOKEN_VARIABLE: token}
    return github.optional_token_from_environment(environment)


def _report_skipped(runtime: Runtime, asset: Asset, skipped: list[str]) -> None:
    if not skipped:
        return
    more = f" and {len(skipped) - _MAX_NAMES} more" if len(skipped) > _MAX_NAMES else ""
    names = ", ".join(skipped[:_MAX_NAMES])
    runtime.say(f"asset {asset.name}: skipped, neither files nor links: {names}{more}")


def _exists(s3: S3Client, bucket: str, key: str) -> bool:
    # A response without a body has no error code other than its status.
    with ignore_aws_errors("404", "NoSuchKey", "NotFound"):
        s3.head_object(Bucket=bucket, Key=key)
        return True
    return False
