"""The Git checkout in which a command runs: its root, its repository, and its branch."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exasol_ci_setup.core.errors import InputError

_TIMEOUT_SECONDS: Final = 10
# The commits of a branch that are compared with those of batches.
_MOST_COMMITS: Final = 200
# user@host:path, which git accepts beside URLs: https://git-scm.com/docs/git-clone#_git_urls
_SCP: Final = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:@]+):(?P<path>(?!//).+)")
_URL: Final = re.compile(r"[a-z+]+://(?:[^@/]*@)?(?P<host>[^/:]+)(?::\d+)?/(?P<path>.+)", re.IGNORECASE)


def git(directory: Path, *arguments: str) -> str:
    """Return the output of git; empty if git fails, is missing, or exceeds its timeout."""
    try:
        ran = subprocess.run(  # noqa: S603 - constant arguments, and names of branches after an option or in a full reference
            ["git", "-C", str(directory), *arguments],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if ran.returncode else ran.stdout.strip()


def repository_key(url: str) -> str:
    """Return a text that is equal for all URLs of a repository: host and path, as in ``github.com/owner/repo``. Empty for another text.

    GitHub ignores the case of both, and accepts a path with and without ``.git``.
    """
    found = _URL.fullmatch(url) or _SCP.fullmatch(url)
    if found is None:
        return ""
    path = found["path"].strip("/").removesuffix(".git")
    # The host of GitHub for SSH over the port of HTTPS: https://docs.github.com/en/authentication/troubleshooting-ssh/using-ssh-over-the-https-port
    host = found["host"].lower().replace("ssh.github.com", "github.com")
    return f"{host}/{path.lower()}"


def project_name(url: str) -> str:
    """Return the name of the repository at `url` as that of a project: ``my-repo`` is ``MyRepo``."""
    words = re.findall(r"[A-Za-z0-9]+", url.rstrip("/").rpartition("/")[2].removesuffix(".git"))
    return "".join(word[0].upper() + word[1:] for word in words)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout of the repository `origin`. `branch` is empty if no branch is checked out."""

    directory: Path
    origin: str
    branch: str

    @property
    def key(self) -> str:
        """The repository, as `repository_key` returns it."""
        return repository_key(self.origin)

    @property
    def name(self) -> str:
        """The repository without its host, for messages."""
        return self.key.partition("/")[2]

    def unpushed_text(self) -> str:
        """Return what the branch on origin lacks, as far as the checkout knows; empty if it has all commits."""
        remote = f"refs/remotes/origin/{self.branch}"
        if not git(self.directory, "rev-parse", "--verify", "--quiet", remote):
            return f"branch {self.branch} was not pushed to origin, as far as this checkout knows"
        count = git(self.directory, "rev-list", "--count", f"{remote}..HEAD")
        if count in {"", "0"}:
            return ""
        are = "commit of branch {} is" if count == "1" else "commits of branch {} are"
        return f"{count} {are.format(self.branch)} not pushed, and not in the build"

    def has_built(self, source_version: str, commit: str) -> bool:
        """Return whether a batch with this source version, resolved to `commit`, is one of the checked-out branch.

        A push starts a batch of a commit, not of a branch.
        """
        if source_version.removeprefix("refs/heads/") == self.branch:
            return True
        return bool({source_version, commit} & self._commits())

    def _commits(self) -> frozenset[str]:
        """Return the newest commits of the branch; without those of the default branch, unless that is checked out."""
        default = git(self.directory, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
        others = [f"^{default}"] if default and default != f"refs/remotes/origin/{self.branch}" else []
        listed = git(self.directory, "rev-list", f"--max-count={_MOST_COMMITS}", "HEAD", *others)
        return frozenset(listed.split())


def require(missing: str) -> Checkout:
    """Return the checkout of the working directory. `missing` names the option that it replaces.

    Raises InputError if the working directory is in no checkout, or its origin is no repository on a host.
    """
    directory = working_directory()
    origin = git(directory, "remote", "get-url", "origin")
    if not repository_key(origin):
        why = "is in no checkout with a remote `origin`" if not origin else "is in a checkout whose origin has no host"
        raise InputError(
            f"{missing} is missing, and {directory} {why}",
            hint=f"add {missing}, or run the command in a clone of the repository",
        )
    return Checkout(directory, origin, git(directory, "symbolic-ref", "--quiet", "--short", "HEAD"))


def require_root() -> None:
    """Raise InputError if the working directory is below the root of a Git repository: CodeBuild and GitHub read files from the root."""
    root = enclosing_repository()
    if root is not None:
        raise InputError(
            f"{Path.cwd()} is below the root of its repository, {root}",
            hint=f"run `cd {shlex.quote(str(root))}`, then the same command with paths relative to it",
        )


def enclosing_repository() -> Path | None:
    """Return the root of the Git repository in which the working directory is; None for the root itself, and outside of a repository."""
    here = working_directory()
    # In a work tree or a submodule, `.git` is a file.
    if (here / ".git").exists():
        return None
    return next((each for each in here.parents if (each / ".git").exists()), None)


def working_directory() -> Path:
    """Return the working directory. Raises InputError if it was deleted, or cannot be read."""
    try:
        return Path.cwd()
    except OSError as error:
        raise InputError(
            f"the working directory cannot be read: {error.strerror}", hint="run the command in the repository's root"
        ) from None
