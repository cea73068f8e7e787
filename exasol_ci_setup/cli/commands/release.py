"""Commands `start-release-build` and `start-test-release-build`: builds for a release on GitHub."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli import start_builds
from exasol_ci_setup.cli.session import common_options, together
from exasol_ci_setup.cli.start_builds import FollowFlags, follow_options, project_options
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.core.interrupts import DeferredSignals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.builds.github import Api
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.cli.start_builds import Target
    from exasol_ci_setup.constructs import ReleaseBuild


_release_options: Final = together(
    click.option(
        "--config-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="JSON configuration of the repository; release.timeout_in_minutes is the default of --timeout-in-seconds.",
    ),
    click.option(
        "--github-token-secret",
        metavar="SECRET[:KEY]",
        help="Secret with the GitHub token for the builds.  [default: a temporary secret created from $GITHUB_TOKEN]",
    ),
)


@click.command("start-release-build")
@project_options("the project's name + Release")
@click.option(
    "--upload-url",
    metavar="URL",
    required=True,
    help="Upload URL of the release's assets: https://uploads.github.com/repos/OWNER/REPO/releases/ID/assets{?name,label}",
)
@click.option(
    "--dry-run/--no-dry-run", default=False, show_default=True, help="Build, but do not push or upload the results."
)
@follow_options
@_release_options
@common_options
def start_release_build(
    session: Session,
    project: str | None,
    branch: str | None,
    stack_name: str | None,
    *,
    upload_url: str,
    dry_run: bool,
    flags: FollowFlags,
    **values: Any,
) -> None:
    """Start a release build and follow it.

    Uploads its results to the GitHub release of --upload-url, with the token in the environment variable GITHUB_TOKEN. Secrets
    Manager passes the token to the builds; the secret is deleted when the batch has ended.

    The exit code is 0 if the batch succeeded, 6 if it failed, and 7 if it timed out.
    """
    from exasol_ci_setup.builds import github
    from exasol_ci_setup.constructs import ReleaseBuild

    release = github.parse_upload_url(upload_url, api_url=github.api_url_from_environment())
    flags = _with_configured_timeout(flags, values["config_file"])
    target = start_builds.target(session, ReleaseBuild, project, stack_name, branch)
    _require_repository(session, target, f"{release.owner}/{release.repository}", "--upload-url")
    request = _Request(
        target=target,
        release_id=release.release_id,
        dry_run=dry_run,
        token_secret=values["github_token_secret"],
    )
    _run(session, request, flags)


@click.command("start-test-release-build")
@project_options("the project's name + Release")
@click.option(
    "--repo-name",
    metavar="OWNER/REPO",
    required=True,
    help="Repository of the draft, such as exasol/script-languages.",
)
@click.option("--release-title", metavar="TITLE", required=True, help="Title of the draft.")
@click.option("--keep-draft", is_flag=True, help="Keep the draft even if the build cannot be started.")
@follow_options
@_release_options
@common_options
def start_test_release_build(
    session: Session,
    project: str | None,
    branch: str | None,
    stack_name: str | None,
    *,
    repo_name: str,
    release_title: str,
    flags: FollowFlags,
    **values: Any,
) -> None:
    """Start a release build for a draft release, and follow it.

    Creates a draft on GitHub with the token in the environment variable GITHUB_TOKEN; only users with write access see it. The build
    for it is a dry run. If the build cannot be started, the draft is deleted. Otherwise you can inspect the draft, and delete it yourself.

    The exit code is 0 if the batch succeeded, 6 if it failed, and 7 if it timed out.
    """
    from exasol_ci_setup.builds import github
    from exasol_ci_setup.constructs import ReleaseBuild

    github.require_repository(repo_name)
    if not release_title.strip():
        raise InputError("--release-title must not be empty")
    api = github.Api(github.api_url_from_environment(), github.token_from_environment(), session.clock)
    flags = _with_configured_timeout(flags, values["config_file"])
    target = start_builds.target(session, ReleaseBuild, project, stack_name, branch)
    _require_repository(session, target, repo_name, "--repo-name")
    with _Draft(session, api, repo_name, keep=values["keep_draft"]).create(target.branch, release_title) as draft:
        request = _Request(
            target=target,
            release_id=draft.release_id,
            dry_run=True,
            token_secret=values["github_token_secret"],
        )
        _run(session, request, flags, on_start=draft.use)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A release build to start. `token_secret` is the reference of the user's secret with the GitHub token, if any."""

    target: Target[ReleaseBuild]
    release_id: int
    dry_run: bool
    token_secret: str | None


def _require_repository(session: Session, target: Target[ReleaseBuild], name: str, option: str) -> None:
    """Raise InputError if the builds are of another repository than `name`, OWNER/REPO: a release's ID is that of one repository."""
    from exasol_ci_setup.builds import read
    from exasol_ci_setup.builds.checkout import repository_key

    built = read.repository_of(session.account.client("codebuild"), target.codebuild_project)
    if built and repository_key(built).partition("/")[2] != name.lower():
        raise InputError(
            f"{option} is of {name}, but {target.codebuild_project} builds {built}",
            hint=f"use a release of that repository, or choose the project of {name} with --project",
        )


def _run(
    session: Session, request: _Request, flags: FollowFlags, *, on_start: Callable[[str], None] = lambda _: None
) -> None:
    """Start the build and follow it. `on_start` is called as `begun` of `builds.start.start`."""
    from exasol_ci_setup.builds import start

    def on_begun(batch_id: str) -> None:
        secret.begun(batch_id)
        on_start(batch_id)

    target = request.target
    with start_builds.token_for(session, target.construct, request.token_secret) as secret:
        batch = start.start(
            session.account.client("codebuild"),
            target.codebuild_project,
            target.branch,
            {"RELEASE_ID": str(request.release_id), "DRY_RUN": "--dry-run" if request.dry_run else "--no-dry-run"},
            token_reference=secret.name,
            begun=on_begun,
        )
        ended = start_builds.follow_started(session, batch, flags)
        if ended is not None:
            secret.batch_id = ""
    if ended is not None:
        start_builds.report_result(session, ended)


def _with_configured_timeout(flags: FollowFlags, config_file: Path | None) -> FollowFlags:
    """Return the flags with the timeout of the configuration file, unless the option is set."""
    from exasol_ci_setup.builds import config

    if config_file is None:
        return flags
    # Read also if the option is set, so that errors in the file are reported.
    minutes = config.load(config_file, check_paths=False).release.timeout_in_minutes
    if flags.timeout is not None or minutes is None:
        return flags
    return replace(flags, timeout=minutes * 60.0)


class _Draft:
    """A draft release, deleted at the end unless a build was started for it or `keep` is set."""

    def __init__(self, session: Session, api: Api, repository: str, *, keep: bool) -> None:
        self.release_id = 0
        self._session = session
        self._api = api
        self._repository = repository
        self._keep = keep

    def use(self, batch_id: str) -> None:
        """Keep the draft: a build was started for it; an empty id if one may have been started."""
        if not batch_id and not self._keep:
            self._session.output.warn(
                f"kept the draft release {self.release_id} of {self._repository}: a build for it may have started"
            )
        self._keep = True

    @contextmanager
    def create(self, branch: str, title: str) -> Iterator[_Draft]:
        """Create the draft, and delete it at the end if unused. Raises the errors of `github.Api`."""
        output = self._session.output
        try:
            with DeferredSignals() as signals:
                release = self._api.create_test_release(
                    self._repository, branch=branch.removeprefix("refs/heads/"), title=title
                )
                self.release_id = release.id
                output.say(f"created draft release {title!r} of {self._repository}: {release.url or release.id}")
                output.record({"type": "release", "id": release.id, "url": release.url, "repository": self._repository})
            signals.deliver()
            yield self
        finally:
            if self.release_id and not self._keep:
                self._remove()

    def _remove(self) -> None:
        output = self._session.output
        try:
            with DeferredSignals():
                self._api.delete_release(self._repository, self.release_id)
        except (SetupError, KeyboardInterrupt) as error:
            # Not raised, because it would hide why the build was not started.
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else error
            output.warn(f"could not delete the draft release {self.release_id} of {self._repository}: {why}")
        else:
            output.say("deleted the draft release: no build was started for it")
