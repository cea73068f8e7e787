"""Source code as a content-addressed archive in a bucket, and the origin of the source."""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PrivateAttr

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.constructs.runtime import runtime
from exasol_ci_setup.constructs.values import between, matching

if TYPE_CHECKING:
    # pydantic does not read the annotation of a private attribute.
    from exasol_ci_setup.constructs.runtime import Synced  # noqa: TC004

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


def _as_text(path: Any) -> Any:
    return fspath(path) if isinstance(path, PathLike) else path


if TYPE_CHECKING:
    FilePath = str | PathLike[str]
else:
    FilePath = Annotated[str, BeforeValidator(_as_text), matching(r".+", "use the path of a file or folder")]


class GitHubRepo(ScopedConstruct):
    """A branch of a repository on GitHub, as the source of an asset."""

    has_stack: ClassVar[bool] = False
    known_first: ClassVar[frozenset[str]] = frozenset({"name", "stack", "repo", "branch"})

    repo: Annotated[Repository, Field(description="The repository: OWNER/REPO, or its URL.")]
    branch: Annotated[Branch, Field(description="The branch whose newest commit is the source.")]


class LocalDirectory(ScopedConstruct):
    """A local folder, without the files that its ignore file excludes, as the source of an asset."""

    has_stack: ClassVar[bool] = False
    known_first: ClassVar[frozenset[str]] = frozenset({"name", "stack", "path", "ignorefile"})

    path: Annotated[FilePath, Field(description="Path of the folder.")]
    ignorefile: Annotated[
        FilePath, Field(description="File in the folder that lists excluded files, in the form of .gitignore.")
    ] = ".gitignore"


class Asset(ScopedConstruct):
    """A private bucket for archives of the source, each stored under the hash of its content.

    Omit `source` if another program uploads the archives. Replaced or deleted archives are kept for `noncurrent_retention_in_days`.
    """

    template: ClassVar[str] = "asset_bucket.yaml.j2"

    source: Annotated[
        GitHubRepo | LocalDirectory | None,
        Field(description="Where the source comes from. Default: other programs upload the archives."),
    ] = None
    noncurrent_retention_in_days: Annotated[
        int, between(1, 3650, "days"), Field(description="Days to keep replaced and deleted archives.")
    ] = 30

    _synced: Synced | None = PrivateAttr(default=None)

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The source, if one is set."""
        return () if self.source is None else (self.source,)

    @property
    def bucket_name(self) -> str:
        """The name of the bucket, which CloudFormation generates. Raises InputError before the stack is deployed."""
        return self.output("BucketName")

    @property
    def synced(self) -> Synced | None:
        """The archive of the last `sync`, or None."""
        return self._synced

    def sync(self, token: str | None = None) -> Synced:
        """Upload the source as an archive, unless the bucket has it. Raises the errors of `programs.actions.sync.sync`."""
        found = runtime().sync(self, token)
        # During a dry run nothing is uploaded.
        self._synced = None if any(placeholders_in(found.sha256)) else found
        return found
