"""Git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# Neither the configuration of the user nor that of the machine applies.
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{key}": "test@example.com" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
}


def git(directory: Path, *arguments: str) -> str:
    """Run git, and return its output."""
    ran = subprocess.run(
        ["git", "-C", directory, *arguments],
        env={**os.environ, **_ENVIRONMENT},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def commit(directory: Path, message: str) -> str:
    """Make a commit without files, and return its ID."""
    git(directory, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(directory, "rev-parse", "HEAD")


def make_repository(directory: Path, origin: str) -> Path:
    """Make a checkout of `origin`, as after a clone: branch main with one commit that origin has, which is its default branch."""
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", directory], check=True)
    git(directory, "remote", "add", "origin", origin)
    git(directory, "update-ref", "refs/remotes/origin/main", commit(directory, "one"))
    git(directory, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    return directory
