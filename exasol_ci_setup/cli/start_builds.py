"""Start and follow batch builds: options, CodeBuild project, GitHub token, progress and result."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.core.errors import BuildFailedError, InputError
from exasol_ci_setup.core.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.builds.github import Token
    from exasol_ci_setup.builds.model import Batch
    from exasol_ci_setup.builds.token import Stored
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs import CiBuild, ReleaseBuild

F = TypeVar("F", bound="Callable[..., Any]")
B = TypeVar("B", bound="CiBuild | ReleaseBuild")

DEFAULT_TIMEOUT: Final = 3 * 60 * 60
"""Default of --timeout-in-seconds."""

_MAX_TIMEOUT_SECONDS: Final = 31 * 24 * 60 * 60
_FOLLOW_OPTIONS: Final = (
    click.option(
        "--timeout-in-seconds",
        type=click.IntRange(1, _MAX_TIMEOUT_SECONDS),
        metavar="SECONDS",
        help="Stop watching after this time; the batch continues.  [default: 10800 (3 hours)]",
    ),
    click.option("--no-wait", is_flag=True, help="Only start the batch, and print its ID."),
    click.option("--follow", "show_log", is_flag=True, help="Follow the logs of the builds."),
)


@dataclass(frozen=True, kw_only=True)
class FollowFlags:
    """The options of a command that follows a batch, as the user gave them. `timeout` is in seconds."""

    timeout: float | None
    no_wait: bool
    show_log: bool

    def __post_init__(self) -> None:
        """Raise InputError for options that exclude each other."""
        if self.no_wait and self.show_log:
            raise InputError("--no-wait and --follow contradict each other", hint="omit one of them")


def follow_options(command: F) -> F:
    """Add the options of a command that follows a batch, as `flags`."""

    @functools.wraps(command)
    def with_flags(*args: Any, timeout_in_seconds: int | None, no_wait: bool, show_log: bool, **kwargs: Any) -> Any:
        flags = FollowFlags(timeout=timeout_in_seconds, no_wait=no_wait, show_log=show_log)
        return command(*args, flags=flags, **kwargs)

    for option in reversed(_FOLLOW_OPTIONS):
        with_flags = option(with_flags)
    return with_flags  # type: ignore[return-value] # the same function, other arguments


def project_options(default_stack: str) -> Callable[[F], F]:
    """Add the options for project, stack and branch."""

    def add(command: F) -> F:
        for option in (
            click.option(
                "--stack-name", metavar="NAME", help=f"Name of the stack with the project.  [default: {default_stack}]"
            ),
            click.option(
                "--branch",
                metavar="BRANCH",
                required=True,
                help="Branch (such as refs/heads/master), tag or commit to build.",
            ),
            click.option(
                "--project", metavar="NAME", required=True, help="Project name, as in the deployment of the stack."
            ),
        ):
            command = option(command)
        return command

    return add


def construct(kind: type[B], project: str, stack_name: str | None) -> B:
    """Return a construct for the names of a deployed stack. Raises InputError for an invalid name."""
    from exasol_ci_setup.constructs.base import build

    # Names do not depend on the repository.
    return build(kind, project=project, stack_name=stack_name, project_url="https://github.com/owner/repository")


def codebuild_project(session: Session, construct: CiBuild | ReleaseBuild) -> str:
    """Return the name of the CodeBuild project in the construct's stack. Raises StackNotFoundError and StackError."""
    from exasol_ci_setup.cli.constructs import NAMES
    from exasol_ci_setup.stacks.batches import find_codebuild_project

    deploy = f"exasol-ci-setup deploy-{NAMES[type(construct)]} --project {construct.project} --project-url URL"
    return find_codebuild_project(
        session.context(),
        construct,
        hint=f"deploy it with `{deploy}`, or name another stack with --stack-name",
        adopt=f"adopt it with `{deploy} --stack-name STACK --adopt`",
    )


def require_branch(branch: str) -> None:
    """Raise InputError if the branch is invalid."""
    if not branch.strip() or not branch.isprintable():
        raise InputError(f"--branch {branch!r} is invalid: it must not be empty or contain control characters")


def follow_started(session: Session, batch: Batch, flags: FollowFlags, *, before: Batch | None = None) -> Batch | None:
    """Print the ID of a started batch, follow the batch, and return it when it has ended.

    With `--no-wait`, return None without following. `before` is the batch before a retry. Raises as `builds.follow.follow`.
    """
    from exasol_ci_setup.builds.follow import follow, interruptible
    from exasol_ci_setup.builds.model import console_url
    from exasol_ci_setup.cli.render import records

    output = session.output
    with interruptible(batch.id):
        output.say(f"started a batch of {batch.project} on {batch.branch or 'its default branch'}")
        output.data(batch.id)
        output.record(batch)
        url = console_url(session.account.client("codebuild"), batch)
        if url:
            output.say(url)
        if not flags.no_wait:
            timeout = float(DEFAULT_TIMEOUT) if flags.timeout is None else flags.timeout
            with following(session, batch) as context:
                return follow(context, batch.id, timeout=timeout, with_log=flags.show_log, since=before or batch)
    commands = f"to watch it: `exasol-ci-setup logs {batch.id} --follow`; to stop it: `exasol-ci-setup stop {batch.id}`"
    output.say(session.with_global_options(commands))
    output.record(records.result("started", batch_id=batch.id, changed=True))
    return None


def context_of(session: Session, *, log_only: bool = False) -> Context:
    """Return the context of functions of `builds`. With `log_only`, its reporter prints only log lines of a batch, on stdout."""
    from exasol_ci_setup.cli.render.build_reporter import BuildReporter

    return session.context(BuildReporter(session, log_only=log_only))


@contextmanager
def following(session: Session, batch: Batch, *, log_only: bool = False) -> Iterator[Context]:
    """Yield a context whose reporter shows a batch in a view. `log_only` is as for `context_of`."""
    with context_of(session, log_only=log_only).operation(batch.id, "") as context:
        yield context


def report_result(session: Session, batch: Batch) -> None:
    """Print the result of a batch. Raises BuildFailedError, after the end of the log, unless it succeeded."""
    from exasol_ci_setup.builds import explain
    from exasol_ci_setup.cli.render import build_view, records

    output = session.output
    try:
        explain.require_success(context_of(session), batch)
    except BuildFailedError as error:
        if output.format == "text":
            output.say(*build_view.failures(error.failures))
        raise
    for build in batch.builds:
        if build.has_failed:
            output.warn(f"{build.group} ended in {build.status}, which its buildspec ignores")
    took = duration((batch.ended - batch.started).total_seconds()) if batch.started and batch.ended else ""
    output.say(f"batch {batch.id} succeeded" + (f" in {took}" if took else ""))
    output.record(records.result("succeeded", batch_id=batch.id, changed=True))


def token_to_store(session: Session) -> Token:
    """Return the GitHub token for the builds; for the sandbox, which stores data on disk, a placeholder.

    Raises InputError if the environment has no token.
    """
    from exasol_ci_setup.builds import github

    token = github.token_from_environment()
    return github.Token("no-token-in-the-sandbox") if session.sandbox else token


@contextmanager
def token_for(session: Session, construct: ReleaseBuild, reference: str | None) -> Iterator[Stored]:
    """Yield a secret with the GitHub token: the one of `reference`, or a temporary one for the batch.

    Its `name` is the reference for CodeBuild. Set its `batch_id` while a batch needs the secret. Raises InputError.
    """
    from exasol_ci_setup.aws import secretsmanager
    from exasol_ci_setup.builds.token import Stored, stored

    if reference is not None and not reference.partition(":")[0].strip():
        raise InputError(
            f"--github-token-secret {reference!r} does not name a secret",
            hint="use SECRET, SECRET:KEY, or the ARN of a secret",
        )
    if reference is None:
        with stored(context_of(session), token_to_store(session), prefix=construct.secrets_prefix) as secret:
            yield secret
        return
    if not reference.startswith("arn:"):
        secretsmanager.arn_of(
            session.account.client("secretsmanager"),
            reference.partition(":")[0],
            option="--github-token-secret",
            keys="that hold the GitHub token",
        )
    if f":secret:{construct.secrets_prefix}" not in reference and not reference.startswith(construct.secrets_prefix):
        session.output.warn(
            f"the role of the release stack can only read secrets below {construct.secrets_prefix} and the Docker secret; "
            f"the builds fail unless the role can also read {reference}"
        )
    yield Stored(reference)
