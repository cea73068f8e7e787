"""Commands of builds in a checkout of the repository, without the names of project and branch."""

from __future__ import annotations

import pytest

from exasol_ci_setup.sandbox import switches
from tests.repositories import commit, git, make_repository
from tests.stacks import predecessor

pytestmark = pytest.mark.live

URL = "https://github.com/exasol/slc"
OTHER = "https://github.com/exasol/other"
SECRET = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")
UPLOAD = "https://uploads.github.com/repos/exasol/slc/releases/1/assets"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A checkout of the repository of project Slc, which is the working directory."""
    path = make_repository(tmp_path / "clone", "git@github.com:Exasol/slc.git")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def ready(here, account_id, repository):
    """The program, with CI stacks of two repositories, where builds take no time."""
    assert repository
    assert here("deploy-source-credentials", *SECRET, "--no-lint", "--yes").code == 0
    for project, url in (("Slc", URL), ("Other", OTHER)):
        assert here("deploy-ci-build", "--project", project, "--project-url", url, "--no-lint", "--yes").code == 0
    switches.BUILD_SECONDS[account_id] = 0.05
    yield here
    del switches.BUILD_SECONDS[account_id]


def test_build_of_current_branch_is_started(ready):
    ran = ready("start-ci-build")

    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("SlcCodeBuild:")
    assert "started a batch of SlcCodeBuild on refs/heads/main" in ran.stderr
    assert "warning" not in ran.stderr


def test_unpushed_commit_is_warned_of(ready, repository):
    commit(repository, "two")

    ran = ready("start-ci-build", "--no-wait")

    assert ran.code == 0
    assert "warning: 1 commit of branch main is not pushed, and not in the build" in ran.stderr


def test_branch_option_is_used_without_project(ready):
    ran = ready("start-ci-build", "--branch", "refs/heads/sandbox-fail/build_one")

    assert ran.code == 6
    assert ran.stdout.startswith("SlcCodeBuild:")


def test_project_is_that_of_named_stack(ready):
    deploy = ("deploy-ci-build", "--project-url", URL, "--no-lint", "--yes")
    assert ready(*deploy, "--project", "Second", "--stack-name", "Tests").code == 0

    ran = ready("start-ci-build", "--stack-name", "Tests", "--no-wait")

    assert ran.stdout.startswith("SecondCodeBuild:")


def test_branch_of_other_repository_is_not_used(ready):
    ran = ready("start-ci-build", "--project", "Other")

    assert ran.code == 2
    assert (
        "--branch is missing: this checkout is of exasol/slc, and OtherCodeBuild builds https://github.com/exasol/other"
        in ran.stderr
    )


def test_detached_head_needs_branch(ready, repository):
    git(repository, "checkout", "--quiet", "--detach")

    ran = ready("start-ci-build")

    assert ran.code == 2
    assert "--branch is missing, and this checkout has no branch" in ran.stderr


def test_several_projects_of_repository_are_named(ready):
    deploy = ("deploy-ci-build", "--project", "Second", "--project-url", f"{URL}.git", "--no-lint", "--yes")
    assert ready(*deploy).code == 0

    ran = ready("start-ci-build")

    assert ran.code == 2
    assert "2 projects have the ci build of exasol/slc: Second, Slc" in ran.stderr
    assert "--project" in ran.stderr


def test_repository_without_stack_has_command_that_deploys_it(ready, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "x")

    ran = ready("start-release-build", "--upload-url", UPLOAD)

    assert ran.code == 1
    assert "no stack in eu-central-1 has the release build of exasol/slc, the origin of this checkout" in ran.stderr
    assert (
        "`exasol-ci-setup deploy-release-build --project NAME --project-url https://github.com/exasol/slc`"
        in ran.stderr
    )


def test_release_build_of_checkout_is_started(ready, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    deploy = ("deploy-release-build", "--project", "Slc", "--project-url", URL, "--no-lint", "--yes")
    assert ready(*deploy).code == 0

    ran = ready("start-release-build", "--upload-url", UPLOAD)

    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("SlcReleaseCodeBuild:")


def test_predecessors_stack_of_checkout_has_exact_command(ready, live, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    predecessor.create(
        live, "SlcReleaseBuild", predecessor.RELEASE.replace("exasol/script-languages-release", "exasol/slc")
    )

    ran = ready("start-release-build", "--upload-url", UPLOAD)

    assert ran.code == 1
    assert f"deploy-release-build --project Slc --project-url {URL} --stack-name SlcReleaseBuild --adopt`" in ran.stderr


def test_latest_is_newest_batch_of_branch(ready, repository):
    of_main = ready("start-ci-build").stdout.strip()
    of_feature = ready("start-ci-build", "--branch", "refs/heads/feature/x").stdout.strip()
    of_other = ready("start-ci-build", "--project", "Other", "--branch", "refs/heads/main").stdout.strip()

    assert f"batch {of_main} on refs/heads/main" in ready("logs", "--latest").stderr
    assert f"batch {of_main} on refs/heads/main" in ready("logs", "latest").stderr
    assert f"batch {of_feature} on" in ready("logs", "--latest", "--project", "Slc").stderr
    assert f"batch {of_feature} on" in ready("logs", "--project", "Slc").stderr
    assert f"batch {of_other} on" in ready("logs", "--latest", "--stack-name", "Other").stderr
    git(repository, "checkout", "--quiet", "-b", "feature/x")
    assert f"batch {of_feature} on" in ready("logs", "--latest").stderr
    git(repository, "checkout", "--quiet", "--detach")
    assert f"batch {of_feature} on" in ready("logs", "--latest").stderr


def test_branch_without_batch_stops_and_retries_none(ready, repository):
    batch = ready("start-ci-build", "--branch", "refs/heads/sandbox-fail/build_one").stdout.strip()

    logged = ready("logs", "--latest")
    stopped, retried = ready("stop", "--latest"), ready("retry", "--latest")

    assert logged.code == 0
    assert f"branch main has no batch: this is the newest one of exasol/slc\nbatch {batch} on" in logged.stderr
    assert (stopped.code, retried.code) == (2, 2)
    assert "no batch of branch main of exasol/slc was found in eu-central-1" in stopped.stderr
    assert "--project" in retried.stderr
    assert repository


def test_latest_batch_is_stopped_and_retried(ready, account_id):
    switches.BUILD_SECONDS[account_id] = 60
    batch = ready("start-ci-build", "--no-wait").stdout.strip()

    stopped = ready("stop", "--latest")
    switches.BUILD_SECONDS[account_id] = 0.05
    retried = ready("retry", "--latest")

    assert stopped.code == 0, stopped.stderr
    assert f"batch {batch} ended in STOPPED" in stopped.stderr
    assert retried.code == 0, retried.stderr
    assert retried.stdout.strip() == batch


def test_project_without_batch_has_no_latest(ready):
    ran = ready("logs", "--latest", "--project", "Other")

    assert ran.code == 2
    assert "no batch of the project was found in eu-central-1" in ran.stderr
