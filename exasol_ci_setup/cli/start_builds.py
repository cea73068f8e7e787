"""What starting and following a batch takes: options, the stack's project, the token, the view, and the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.errors import BuildFailed, InputError, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.builds.model import Batch
    from exasol_ci_setup.builds.token import Stored
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs import CiBuild, ReleaseBuild
    from exasol_ci_setup.github import Token

F = TypeVar("F", bound="Callable[..., Any]")
B = TypeVar("B", bound="CiBuild | ReleaseBuild")

DEFAULT_TIMEOUT: Final = 3 * 60 * 60
"""Seconds that a batch is followed for, unless something else is asked for."""

_LONGEST_TIMEOUT: Final = 31 * 24 * 60 * 60
_FOLLOW_OPTIONS: Final = (
    click.option(
        "--timeout-in-seconds",
        type=click.IntRange(1, _LONGEST_TIMEOUT),
        metavar="SECONDS",
        help="Look on for so long at most; the batch goes on then.  [default: 10800, which is 3 hours]",
    ),
    click.option("--no-wait", is_flag=True, help="Only start it, and print its id."),
    click.option("--follow", "show_log", is_flag=True, help="Show what the builds write to their logs, as it comes."),
)


def follow_options(command: F) -> F:
    """Add the options of a command that follows a batch."""
    for option in reversed(_FOLLOW_OPTIONS):
        command = option(command)
    return command


def project_options(default_stack: str) -> Callable[[F], F]:
    """Add the options that say what is built: the project, its stack and the branch."""

    def add(command: F) -> F:
        for option in (
            click.option(
                "--stack-name", metavar="NAME", help=f"Name of the stack with the project.  [default: {default_stack}]"
            ),
            click.option(
                "--branch",
                metavar="BRANCH",
                required=True,
                help="What is built: a branch such as refs/heads/master, a tag or a commit.",
            ),
            click.option("--project", metavar="NAME", required=True, help="The name that the stack was deployed with."),
        ):
            command = option(command)
        return command

    return add


def construct(kind: type[B], project: str, stack_name: str | None) -> B:
    """Return the construct of a deployed stack as far as its names go. Raises InputError for a name that cannot be."""
    from exasol_ci_setup.constructs.base import build

    # The repository makes no difference to names.
    return build(kind, project=project, stack_name=stack_name, project_url="https://github.com/owner/repository")


def codebuild_project(session: Session, construct: CiBuild | ReleaseBuild) -> str:
    """Return the name of the CodeBuild project in the construct's stack. Raises StackNotFound and StackError."""
    from exasol_ci_setup.builds import start
    from exasol_ci_setup.cli.constructs import NAMES
    from exasol_ci_setup.stacks import elsewhere, state

    cfn = session.account.client("cloudformation")
    deploy = f"exasol-ci-setup deploy-{NAMES[type(construct)]} --project {construct.project} --project-url URL"
    try:
        return start.find_project(
            cfn,
            construct.stack_name,
            hint=f"deploy it with `{deploy}`, or name another stack with --stack-name",
        )
    except StackError as error:
        other = elsewhere.find(cfn, construct)
        if other is None:
            raise
        if not state.is_own(other):
            error.message += f", and stack {other.name}, which builds the project, was not created by this tool"
            error.hint = f"adopt it with `{deploy} --stack-name {other.name} --adopt`"
            raise
        return start.find_project(cfn, other.name)


def check_options(branch: str, *, no_wait: bool, show_log: bool) -> None:
    """Raise InputError for options that cannot be together, or a branch that is none."""
    if no_wait and show_log:
        raise InputError("--no-wait and --follow cannot be together", hint="leave one of them out")
    if not branch.strip() or not branch.isprintable():
        raise InputError(f"--branch {branch!r} is not acceptable: it must not be empty or hold control characters")


def follow_started(
    session: Session, batch: Batch, *, timeout: float, no_wait: bool, show_log: bool, before: Batch | None = None
) -> Batch | None:
    """Tell that a batch has begun, its id being data, and return it when it has ended; with `no_wait` return None at once.

    `before` is what it was before a retry. Raises as `follow`.
    """
    from exasol_ci_setup.builds.follow import interruptible
    from exasol_ci_setup.builds.model import console_url
    from exasol_ci_setup.cli import records

    output = session.output
    with interruptible(batch.id):
        output.say(f"started a batch of {batch.project} on {batch.branch or 'its default branch'}")
        output.data(batch.id)
        output.record(batch)
        url = console_url(session.account.client("codebuild"), batch)
        if url:
            output.say(url)
        if not no_wait:
            return follow(session, batch, timeout=timeout, show_log=show_log, since=before or batch)
    way_on = f"`exasol-ci-setup logs {batch.id} --follow` looks on, `exasol-ci-setup stop {batch.id}` stops it"
    output.say(session.with_global_options(way_on))
    output.record(records.result("started", batch_id=batch.id, changed=True))
    return None


def follow(
    session: Session,
    batch: Batch,
    *,
    timeout: float | None,
    show_log: bool,
    since: Batch | None = None,
    log_only: bool = False,
    group: str = "",
) -> Batch:
    """Show a batch until its end, and return it; with `log_only` nothing but its log lines, as data, of all builds or a `group`.

    `since` is as for `Following`. Raises TimedOut, Interrupted and the errors of the AWS boundary.
    """
    from exasol_ci_setup.builds.follow import BuildMonitor, to_the_end
    from exasol_ci_setup.builds.logs import Tails
    from exasol_ci_setup.builds.read import Reader
    from exasol_ci_setup.cli.build_view import BuildView

    account = session.account
    with BuildView(session.output, clock=session.clock.now, log_only=log_only) as view:
        following = BuildMonitor(
            # It asks again by itself, and a call that hangs would hold up the time-out.
            Reader(account.client("codebuild", patient=False), batch.id),
            view=view,
            clock=session.clock,
            tails=Tails(account.client("logs", patient=False), session.clock) if show_log else None,
            group=group,
            since=since,
        )
        return to_the_end(following, batch.id, clock=session.clock, timeout=timeout)


def report_result(session: Session, batch: Batch) -> None:
    """Tell how a batch ended. Raises BuildFailed, after its log's end was shown, unless it has succeeded."""
    from exasol_ci_setup.builds import explain
    from exasol_ci_setup.cli import build_view, records, show

    output = session.output
    try:
        explain.require_success(session.account, batch, session.clock)
    except BuildFailed as error:
        if output.format == "text":
            output.say(*build_view.failures(error.failures))
        raise
    for build in batch.builds:
        if build.has_failed:
            output.warn(f"{build.group} ended in {build.status}, which its build specification lets pass")
    took = show.duration((batch.ended - batch.started).total_seconds()) if batch.started and batch.ended else ""
    output.say(f"batch {batch.id} has succeeded" + (f" in {took}" if took else ""))
    output.record(records.result("succeeded", batch_id=batch.id, changed=True))


def token_to_store(session: Session) -> Token:
    """Return the GitHub token for the builds; the sandbox, which writes what it is given to disk, gets none that is real.

    Raises InputError if there is none in the environment.
    """
    from exasol_ci_setup import github

    token = github.token_from_environment()
    return github.Token("no-token-in-the-sandbox") if session.sandbox else token


def warner(session: Session) -> Callable[[str], None]:
    """Return what writes warnings, with the options for AWS in the commands that they name."""
    return lambda text: session.output.warn(session.with_global_options(text))


@contextmanager
def token_for(session: Session, construct: ReleaseBuild, named: str | None) -> Iterator[Stored]:
    """Yield a secret with the GitHub token: the one that is `named`, or one stored for the time of the batch.

    It has a `name`, the reference for CodeBuild, and a `batch_id`, to be set while a batch needs it. Raises InputError.
    """
    from exasol_ci_setup import secretsmanager
    from exasol_ci_setup.builds.token import Stored, stored

    if named is not None and not named.partition(":")[0].strip():
        raise InputError(
            f"--github-token-secret {named!r} names no secret", hint="it reads SECRET, SECRET:KEY, or a secret's ARN"
        )
    client = session.account.client("secretsmanager")
    if named is None:
        token = token_to_store(session)
        with stored(client, construct.secrets_prefix, token, say=warner(session), clock=session.clock) as secret:
            yield secret
        return
    if not named.startswith("arn:"):
        secretsmanager.arn_of(
            client, named.partition(":")[0], option="--github-token-secret", keys="that hold the GitHub token"
        )
    if f":secret:{construct.secrets_prefix}" not in named and not named.startswith(construct.secrets_prefix):
        session.output.warn(
            f"the role of the release stack may read secrets below {construct.secrets_prefix} and the Docker one only; "
            f"the builds fail unless it was also allowed to read {named}"
        )
    yield Stored(named)
