"""`asset.sync()`: the source as an archive in the asset's bucket, under the hash of its content."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exasol_ci_setup import actions, github
from exasol_ci_setup.actions import archive
from exasol_ci_setup.aws import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.constructs.asset import GitHubRepo, LocalDirectory
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.constructs.runtime import Synced
from exasol_ci_setup.errors import InputError
from exasol_ci_setup.github import Api, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.actions import Runtime
    from exasol_ci_setup.actions.archive import Tree
    from exasol_ci_setup.constructs.asset import Asset

_SHOWN: Final = 12
_NAMES_SHOWN: Final = 5


def sync(asset: Asset, token: str | None = None) -> Synced:
    """Put the asset's source into its bucket, unless it is there, and return where it is.

    `token` lets GitHub send a private repository; None means the environment variable GITHUB_TOKEN, if that is set. In
    the sandbox none is sent, but to an API on this machine. What an archive cannot hold, such as a socket, is left out and named. Raises InputError if the asset has no source, is not deployed, or its
    source cannot be read, SetupError if GitHub does not send it, and the errors of the AWS boundary.
    """
    stage = actions.current()
    source = _source(asset)
    if not stage.acts:
        stage.say(f"asset {asset.name}: would be synced with {_origin(source)}")
        return Synced(placeholder(asset, what="archive key"), placeholder(asset, what="archive hash"), uploaded=False)
    return put(stage, asset, token)


def put(stage: Runtime, asset: Asset, token: str | None = None) -> Synced:
    """Do as `sync` does, on this stage, whether a program is acting or not. Raises the errors of `sync`."""
    source = _source(asset)
    bucket = asset.bucket_name
    with tempfile.TemporaryFile() as packed:
        with _tree(stage, asset, source, token) as tree:
            sha256 = archive.pack(tree, packed)
            _name_skipped(stage, asset, tree.skipped)
        packed.seek(0)
        key = f"{sha256}.tar.gz"
        s3 = stage.connect(asset.resolved_scope).client("s3")
        with translate_aws_errors():
            is_new = not _is_there(s3, bucket, key)
            if is_new:
                s3.upload_fileobj(packed, bucket, key, ExtraArgs={"ContentType": "application/gzip"})
    how = "uploaded" if is_new else "there already"
    stage.say(f"asset {asset.name}: {_origin(source)} is {sha256[:_SHOWN]}, {how}")
    return Synced(key, sha256, uploaded=is_new)


def fingerprint(stage: Runtime, asset: Asset) -> str:
    """Return the hash that `put` would find, and upload nothing. A private repository takes the token in GITHUB_TOKEN.

    Raises the errors of `sync`.
    """
    with Path(os.devnull).open("wb") as nowhere, _tree(stage, asset, _source(asset), None) as tree:
        return archive.pack(tree, nowhere)


def _source(asset: Asset) -> GitHubRepo | LocalDirectory:
    if asset.source is None:
        raise InputError(f"Asset {asset.name!r} has no source to sync", hint="give it one with source=")
    return asset.source


def _origin(source: GitHubRepo | LocalDirectory) -> str:
    if isinstance(source, GitHubRepo):
        return f"branch {source.branch} of {_repository(source)}"
    return f"folder {source.path}"


def _repository(source: GitHubRepo) -> str:
    name = source.repo.removeprefix("https://github.com/")
    if "/" not in name:
        raise InputError(
            f"GitHubRepo {source.name!r} does not say whose repository {name} is", hint=f"use repo='OWNER/{name}'"
        )
    return name.removesuffix(".git")


@contextmanager
def _tree(stage: Runtime, asset: Asset, source: GitHubRepo | LocalDirectory, token: str | None) -> Iterator[Tree]:
    if isinstance(source, LocalDirectory):
        yield archive.of_folder(Path(source.path), source.ignorefile)
        return
    with tempfile.TemporaryFile() as downloaded:
        _download(stage, asset, source, token, downloaded)
        with archive.of_download(downloaded) as tree:
            yield tree


def _download(stage: Runtime, asset: Asset, source: GitHubRepo, token: str | None, into: IO[bytes]) -> None:
    url, usable = github.api_url_from_environment(), _token(token)
    if usable is not None and not stage.may_log_in_to(urlsplit(url).hostname, asset.resolved_scope):
        stage.say(f"asset {asset.name}: GitHub is asked without the token, as this is the sandbox")
        usable = None
    api = Api(url, usable)
    repository = _repository(source)
    api.download(repository, api.branch_commit(repository, source.branch), into)


def _token(given: str | None) -> Token | None:
    """Return the token to use, None for none. Raises InputError for one that is none, without showing it."""
    environment = None if given is None else {github.TOKEN_VARIABLE: given}
    return github.optional_token_from_environment(environment)


def _name_skipped(stage: Runtime, asset: Asset, skipped: list[str]) -> None:
    if not skipped:
        return
    more = f" and {len(skipped) - _NAMES_SHOWN} more" if len(skipped) > _NAMES_SHOWN else ""
    names = ", ".join(skipped[:_NAMES_SHOWN])
    stage.say(f"asset {asset.name}: left out, as neither files nor links: {names}{more}")


def _is_there(s3: S3Client, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # An answer without a body has no other code than its status.
        if error_code(error) in {"404", "NoSuchKey", "NotFound"}:
            return False
        raise
    return True
