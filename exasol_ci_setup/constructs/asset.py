"""Source code as a content-addressed archive in a bucket, and where the source comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import PrivateAttr

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.constructs.values import between, matching

if TYPE_CHECKING:
    # What annotates a private attribute is not read by pydantic.
    from exasol_ci_setup.actions.sync import Synced  # noqa: TC004

Repository = Annotated[
    str,
    matching(
        r"(https://github\.com/)?[A-Za-z0-9][A-Za-z0-9_-]{0,38}/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}|[A-Za-z0-9._-]{1,100}",
        "use a repository on github.com, such as exasol/script-languages-release",
    ),
]

Branch = Annotated[
    str,
    matching(
        r"(?!/|-)(?!.*(\.\.|//|@\{|/\.|\.lock(/|\Z)))[^\s~^:?*\[\\]{1,255}(?<![/.])",
        "use the name of a branch, such as main",
    ),
]
"""Source: https://git-scm.com/docs/git-check-ref-format."""

FilePath = Annotated[str, matching(r".+", "use the path of a file or folder")]


class GitHubRepo(ScopedConstruct):
    """A branch of a repository on GitHub, as the source of an asset."""

    has_stack: ClassVar[bool] = False

    repo: Repository
    branch: Branch


class LocalDirectory(ScopedConstruct):
    """A folder on this machine, without what its ignore file names, as the source of an asset."""

    has_stack: ClassVar[bool] = False

    path: FilePath
    ignorefile: FilePath = ".gitignore"


class Asset(ScopedConstruct):
    """A private bucket that holds the source as archives, each under the hash of its content.

    `source` may be left out where something else puts the archives there. Archives that were replaced or deleted are kept
    for `noncurrent_retention_in_days`.
    """

    template: ClassVar[str] = "asset_bucket.yaml.j2"

    source: GitHubRepo | LocalDirectory | None = None
    noncurrent_retention_in_days: Annotated[int, between(1, 3650, "days")] = 30

    _synced: Synced | None = PrivateAttr(default=None)

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The source, if there is one."""
        return () if self.source is None else (self.source,)

    @property
    def bucket_name(self) -> str:
        """The name of the bucket, which CloudFormation makes up. Raises InputError before the stack is deployed."""
        return self.output("BucketName")

    @property
    def synced(self) -> Synced | None:
        """The archive that `sync` saw to last, None before."""
        return self._synced

    def sync(self, token: str | None = None) -> Synced:
        """Put the source into the bucket as an archive, unless it is there. Raises the errors of `actions.sync.sync`."""
        from exasol_ci_setup.actions import sync

        found = sync.sync(self, token)
        # In a program that only declares, nothing was done.
        self._synced = None if any(placeholders_in(found.sha256)) else found
        return found
