"""`start-ci-build`, `builds`, `logs`, `stop` and `retry`: batches of builds on CodeBuild."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli import start_builds
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.start_builds import (
    DEFAULT_TIMEOUT,
    BatchChoice,
    FollowFlags,
    batch_options,
    follow_options,
    project_options,
)
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.builds.model import Batch, Build
    from exasol_ci_setup.builds.token import Stored
    from exasol_ci_setup.cli.session import Session


@click.command("start-ci-build")
@project_options("the project's name")
@follow_options
@common_options
def start_ci_build(
    session: Session, project: str | None, branch: str | None, stack_name: str | None, flags: FollowFlags
) -> None:
    """Start a CI build of a branch and follow it.

    The build is the one that a push to the branch starts. In a checkout of the repository, project and branch can be omitted. Exit codes: 0 if the batch succeeded, 6 if it did not, 7 if it
    exceeded the time limit.
    """
    from exasol_ci_setup.constructs import CiBuild
    from exasol_ci_setup.stacks.batches import start_branch

    target = start_builds.target(session, CiBuild, project, stack_name, branch)
    batch = start_branch(session.context(), target.codebuild_project, target.branch)
    ended = start_builds.follow_started(session, batch, flags)
    if ended is not None:
        start_builds.report_result(session, ended)


@click.command("builds")
@click.option("--project", metavar="NAME", help="Only batches of the CI and release stacks of this project.")
@click.option("--stack-name", metavar="NAME", help="Only batches of this stack.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    metavar="N",
    help="Maximum number of batches.",
)
@common_options
def builds(session: Session, project: str | None, stack_name: str | None, limit: int) -> None:
    """List batches of builds, the newest first."""
    from exasol_ci_setup.builds import read
    from exasol_ci_setup.cli.render import build_view, records

    projects = None
    if project is not None or stack_name is not None:
        projects = start_builds.codebuild_projects(session, project, stack_name)
    is_record = session.output.format == "json"
    batches = read.recent(session.account.client("codebuild"), projects, limit=limit, with_builds=is_record)
    if batches:
        session.output.data("\n".join(build_view.batches(batches, width=session.output.data_width)))
    session.output.record(*batches)
    if not batches:
        of_projects = f" of {', '.join(projects)}" if projects else ""
        session.output.say(f"no batches{of_projects} in {session.account.region}")
    session.output.record(records.result("listed", batches=len(batches), changed=False))


@click.command("logs")
@batch_options
@click.option("--group", metavar="IDENTIFIER", help="Only the build with this identifier in the batch.")
@click.option(
    "--follow",
    is_flag=True,
    help="Follow the batch until it ends; the exit code is that of the batch.",
)
@common_options
def logs(session: Session, choice: BatchChoice, group: str | None, follow: bool) -> None:
    """Print the logs of a build or a batch.

    BUILD is the ID or ARN of a batch, or of one build in it. latest is the newest batch of the branch of the checkout, and --project NAME that of a project. With --follow the command prints new lines until the batch
    ends. The exit code is then 0 if the batch succeeded and 6 if it did not.
    """
    from exasol_ci_setup.builds import read
    from exasol_ci_setup.builds.logs import Tails
    from exasol_ci_setup.builds.model import Build
    from exasol_ci_setup.cli.render import records
    from exasol_ci_setup.cli.render.build_view import BuildView

    subject = read.find(session.account.client("codebuild"), choice.id_in(session, of_any_branch=True))
    if isinstance(subject, Build):
        if subject.batch_id and follow:
            raise InputError(
                f"build {subject.id} cannot be followed alone: it belongs to a batch",
                hint=f"follow the batch with `exasol-ci-setup logs {subject.batch_id} --follow`",
            )
        if follow or group:
            raise InputError("--follow and --group need a batch, but this is a single build", hint="omit both options")
        selected: list[Build] = [subject]
    else:
        selected = _of_group(subject, group)
        if follow:
            _follow_logs(session, subject, group or "")
            return
    view = BuildView(session.output, clock=session.clock.now, log_only=True)
    tails = Tails(session.account.client("logs"), session.clock)
    lines = 0
    for line in tails.fresh(selected):
        lines += 1
        view.event(line)
    if not lines:
        session.output.say("no log lines yet" if any(not b.has_ended for b in selected) else "no log lines")
    session.output.record(records.result("logged", lines=lines, changed=False))


@click.command("stop")
@batch_options
@click.option("--no-wait", is_flag=True, help="Do not wait until the batch has stopped.")
@common_options
def stop(session: Session, choice: BatchChoice, no_wait: bool) -> None:
    """Stop a batch with all its builds.

    BUILD is the ID or ARN of the batch. latest is the newest batch of the branch of the checkout, and --project NAME that of a project. If the batch has already ended, nothing changes, and the exit code is 0.
    """
    from exasol_ci_setup.builds import follow, read, start, token
    from exasol_ci_setup.cli.render import records

    output = session.output
    codebuild = session.account.client("codebuild")
    batch = read.require_batch(codebuild, choice.id_in(session))
    changed = not batch.has_ended
    if changed:
        start.stop(codebuild, batch.id)
        output.say(f"requested to stop batch {batch.id}")
        if not no_wait:
            with start_builds.following(session, batch) as context:
                batch = follow.follow(context, batch.id, timeout=DEFAULT_TIMEOUT)
    if batch.has_ended:
        output.say(f"batch {batch.id} ended in {batch.status}" + ("" if changed else " before: no changes"))
        token.remove_after(start_builds.context_of(session), batch)
    elif token.is_own(batch.token_secret):
        start_builds.context_of(session).reporter.event(token.needed_by(batch.id, batch.token_secret))
    output.record(records.result("stopped" if changed else "unchanged", batch_id=batch.id, changed=changed))


@click.command("retry")
@batch_options
@click.option("--failed-only", is_flag=True, help="Retry only builds that did not succeed.")
@follow_options
@common_options
def retry(session: Session, choice: BatchChoice, failed_only: bool, flags: FollowFlags) -> None:
    """Retry a batch that did not succeed.

    BUILD is the ID or ARN of the batch. latest is the newest batch of the branch of the checkout, and --project NAME that of a project. A release build needs the environment variable GITHUB_TOKEN again, since the token was
    removed when the batch ended. Exit codes: 0 if the batch succeeded, 6 if it did not, 7 if it exceeded the time limit.
    """
    from exasol_ci_setup.builds import read, start

    batch = read.require_batch(session.account.client("codebuild"), choice.id_in(session))
    if not batch.has_ended:
        raise InputError(
            f"batch {batch.id} cannot be retried: it is in {batch.status}",
            hint=f"follow it with `exasol-ci-setup logs {batch.id} --follow`",
        )
    if batch.status == "SUCCEEDED":
        # CodeBuild rejects this too, but only after the token was stored:
        # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_RetryBuildBatch.html.
        raise InputError(f"batch {batch.id} cannot be retried: it has succeeded")
    codebuild = session.account.client("codebuild")
    with _stored_token(session, batch) as secret:
        retried = start.retry(codebuild, batch.id, failed_only=failed_only, begun=secret.begun)
        ended = start_builds.follow_started(session, retried, flags, before=batch)
        if ended is not None:
            secret.batch_id = ""
    if ended is not None:
        start_builds.report_result(session, ended)


@contextmanager
def _stored_token(session: Session, batch: Batch) -> Iterator[Stored]:
    """Yield the secret with the GitHub token of a batch. A secret of this tool is created again, and removed at the end."""
    from exasol_ci_setup.builds.token import Stored, is_own, stored

    if not is_own(batch.token_secret):
        yield Stored(batch.token_secret)
        return
    token = start_builds.token_to_store(session)
    with stored(start_builds.context_of(session), token, name=batch.token_secret) as secret:
        yield secret


def _follow_logs(session: Session, batch: Batch, group: str) -> None:
    from exasol_ci_setup.builds import follow, token

    with start_builds.following(session, batch, log_only=True) as context:
        ended = follow.follow(context, batch.id, with_log=True, group=group)
    token.remove_after(start_builds.context_of(session), ended)
    start_builds.report_result(session, ended)


def _of_group(batch: Batch, group: str | None) -> list[Build]:
    if group is None:
        return list(batch.builds)
    builds_of_group = [build for build in batch.builds if build.group == group]
    if not builds_of_group:
        names = ", ".join(build.group for build in batch.builds)
        raise InputError(f"batch {batch.id} has no build {group!r}", hint=f"its builds are: {names or 'none yet'}")
    return builds_of_group
