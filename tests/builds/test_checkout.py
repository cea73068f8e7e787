"""The Git checkout of the working directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from exasol_ci_setup.builds import checkout
from exasol_ci_setup.core.errors import InputError
from tests.repositories import commit, git, make_repository

ORIGIN = "git@github.com:Exasol/S.L.git"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A checkout of branch main, which has one commit and was pushed."""
    monkeypatch.chdir(make_repository(tmp_path / "clone", ORIGIN))
    return tmp_path / "clone"


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/exasol/s.l",
        "https://github.com/Exasol/S.L.git",
        "https://github.com/exasol/s.l/",
        "https://user:token@github.com/exasol/s.l",
        "http://github.com:80/exasol/s.l",
        "git@github.com:exasol/s.l.git",
        "github.com:exasol/s.l",
        "ssh://git@github.com/exasol/s.l.git",
        "ssh://git@ssh.github.com:443/exasol/s.l.git",
        "git://github.com/exasol/s.l",
    ],
)
def test_urls_of_one_repository_have_one_key(url):
    assert checkout.repository_key(url) == "github.com/exasol/s.l"


@pytest.mark.parametrize("url", ["", "/srv/git/x", "../x", "file:///srv/x", "https://", "x"])
def test_url_without_host_has_no_key(url):
    assert checkout.repository_key(url) == ""


@pytest.mark.parametrize("below", ["", "flavors/a"])
def test_repository_and_branch_are_known_in_every_directory(repository, monkeypatch, below):
    (repository / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(repository / below)

    found = checkout.require("--project")

    assert (found.key, found.name, found.branch) == ("github.com/exasol/s.l", "exasol/s.l", "main")


def test_detached_head_has_no_branch(repository):
    git(repository, "checkout", "--quiet", "--detach")

    assert checkout.require("--project").branch == ""


def test_branch_without_commit_has_its_name(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "--quiet", "--initial-branch=work", tmp_path], check=True)
    git(tmp_path, "remote", "add", "origin", ORIGIN)
    monkeypatch.chdir(tmp_path)

    assert checkout.require("--project").branch == "work"


@pytest.mark.parametrize(("origin", "why"), [("", "is in no checkout with a remote `origin`"), ("/srv/x", "no host")])
def test_directory_without_origin_is_rejected(tmp_path, monkeypatch, origin, why):
    monkeypatch.chdir(tmp_path)
    if origin:
        monkeypatch.chdir(make_repository(tmp_path / "clone", origin))

    with pytest.raises(InputError, match=why) as caught:
        checkout.require("--project")

    assert caught.value.message.startswith("--project is missing, and ")
    assert "add --project" in caught.value.hint


def test_missing_git_is_no_checkout(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))

    with pytest.raises(InputError, match="is in no checkout"):
        checkout.require("--project")


def test_unpushed_commits_are_counted(repository):
    here = checkout.require("--project")
    assert here.unpushed_text() == ""

    commit(repository, "two")
    assert here.unpushed_text() == "1 commit of branch main is not pushed, and not in the build"

    commit(repository, "three")
    assert here.unpushed_text() == "2 commits of branch main are not pushed, and not in the build"

    git(repository, "checkout", "--quiet", "-b", "feature/x")
    assert checkout.require("--project").unpushed_text() == (
        "branch feature/x was not pushed to origin, as far as this checkout knows"
    )


def test_batch_of_branch_is_known_by_name_and_commit(repository):
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "-b", "feature/x")
    second = commit(repository, "two")
    here = checkout.require("--project")

    assert here.has_built("refs/heads/feature/x", "")
    assert here.has_built("feature/x", "")
    assert here.has_built(second, second)
    assert here.has_built("other", second)
    assert not here.has_built("refs/heads/main", "")
    # A commit of the default branch, from which the branch begins.
    assert not here.has_built(first, first)
    git(repository, "checkout", "--quiet", "main")
    assert checkout.require("--project").has_built(first, first)


def test_root_below_repository_is_found(repository):
    assert checkout.enclosing_repository() is None
    (repository / "a").mkdir()


def test_deleted_working_directory_is_rejected(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    Path(gone).rmdir()

    with pytest.raises(InputError, match="the working directory cannot be read"):
        checkout.require("--project")
