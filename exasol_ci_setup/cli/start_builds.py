"""Start and follow batch builds: options, CodeBuild project, GitHub token, progress and result."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import click

from exasol_ci_setup.cli.session import together
from exasol_ci_setup.core.errors import BuildFailedError, InputError, StackNotFoundError
from exasol_ci_setup.core.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.builds.checkout import Checkout
    from exasol_ci_setup.builds.github import Token
    from exasol_ci_setup.builds.model import Batch
    from exasol_ci_setup.builds.token import Stored
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs import CiBuild, ReleaseBuild

F = TypeVar("F", bound="Callable[..., Any]")
B = TypeVar("B", bound="CiBuild | ReleaseBuild")

DEFAULT_TIMEOUT: Final = 3 * 60 * 60
"""Default of --timeout-in-seconds."""

LATEST: Final = "latest"
"""BUILD for the newest batch."""

_MOST_SEARCHED: Final = 100
"""Batches in which those of a branch are searched; AWS describes as many in one call."""
_MAX_TIMEOUT_SECONDS: Final = 31 * 24 * 60 * 60
_follow_options: Final = together(
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

    return _follow_options(with_flags)  # type: ignore[return-value] # the same function, other arguments


def project_options(default_stack: str) -> Callable[[F], F]:
    """Add the options for project, stack and branch."""
    return together(
        click.option(
            "--project",
            metavar="NAME",
            help="Project name, as in the deployment of the stack.  [default: the one that builds the origin of the checkout]",
        ),
        click.option(
            "--branch",
            metavar="BRANCH",
            help="Branch (such as refs/heads/master), tag or commit to build.  [default: the branch of the checkout]",
        ),
        click.option(
            "--stack-name", metavar="NAME", help=f"Name of the stack with the project.  [default: {default_stack}]"
        ),
    )


@dataclass(frozen=True)
class Target(Generic[B]):
    """What a build is started for: the names of the stack, the CodeBuild project, and the branch."""

    construct: B
    codebuild_project: str
    branch: str


def target(
    session: Session, kind: type[B], project: str | None, stack_name: str | None, branch: str | None
) -> Target[B]:
    """Return the target that the options name; those of the checkout in the working directory replace missing ones.

    Raises InputError for invalid and missing options, StackNotFoundError and StackError.
    """
    if branch is not None:
        require_branch(branch)
    has_project = project is not None or stack_name is not None
    # Before the first request, as for all errors in options.
    checkout = None if has_project and branch is not None else _checkout("--branch" if has_project else "--project")
    if checkout is not None and not has_project:
        project = _project_of(session, kind, checkout)
    found = construct(kind, project or _project_in(session, kind, str(stack_name)), stack_name)
    codebuild_project = _codebuild_project(session, found)
    if branch is None and checkout is not None:
        branch = _branch_of(session, checkout, codebuild_project)
    return Target(found, codebuild_project, str(branch))


def _checkout(missing: str) -> Checkout:
    from exasol_ci_setup.builds import checkout

    return checkout.require(missing)


def _project_of(session: Session, kind: type[B], checkout: Checkout) -> str:
    """Return the project that builds the repository of the checkout. Raises StackNotFoundError, and InputError for several."""
    from exasol_ci_setup.cli.constructs import NAMES
    from exasol_ci_setup.stacks.batches import building

    found = [each for each in building(session.context(), checkout) if each.kind is kind]
    word = NAMES[kind].removesuffix("-build")
    if not found:
        raise StackNotFoundError(
            f"no stack in {session.account.region} has the {word} build of {checkout.name}, the origin of this checkout",
            hint=f"deploy one with `exasol-ci-setup deploy-{NAMES[kind]} --project NAME --project-url https://{checkout.key}`, "
            "or name a project with --project",
            stack_name="",
        )
    projects = sorted({each.project for each in found})
    if len(projects) > 1:
        raise InputError(
            f"{len(projects)} projects have the {word} build of {checkout.name}: {', '.join(projects)}",
            hint="choose one with --project",
        )
    return projects[0]


def _project_in(session: Session, kind: type[B], stack_name: str) -> str:
    """Return the project of the stack. Raises InputError if its tags and its name do not say that."""
    from exasol_ci_setup.stacks import build_stacks, state

    found = build_stacks.of_stack(state.get(session.account.client("cloudformation"), stack_name))
    if found is None or found.kind is not kind:
        raise InputError(f"stack {stack_name} does not name its project in a tag", hint="add --project")
    return found.project


def _branch_of(session: Session, checkout: Checkout, codebuild_project: str) -> str:
    """Return the branch of the checkout. Raises InputError if it has none, or is of another repository than the CodeBuild project."""
    from exasol_ci_setup.builds import read
    from exasol_ci_setup.builds.checkout import repository_key

    repository = read.repository_of(session.account.client("codebuild"), codebuild_project)
    if repository_key(repository) != checkout.key:
        raise InputError(
            f"--branch is missing: this checkout is of {checkout.name}, and {codebuild_project} builds {repository or 'an unknown repository'}",
            hint="add --branch",
        )
    if not checkout.branch:
        raise InputError(
            "--branch is missing, and this checkout has no branch", hint="add --branch, or check a branch out"
        )
    if text := checkout.unpushed_text():
        session.output.warn(text)
    return f"refs/heads/{checkout.branch}"


def construct(kind: type[B], project: str, stack_name: str | None) -> B:
    """Return a construct for the names of a deployed stack. Raises InputError for an invalid name."""
    from exasol_ci_setup.constructs.base import build

    # Names do not depend on the repository.
    return build(kind, project=project, stack_name=stack_name, project_url="https://github.com/owner/repository")


def _codebuild_project(session: Session, construct: CiBuild | ReleaseBuild) -> str:
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


def batch_options(command: F) -> F:
    """Add the argument BUILD, and the options that replace it, as `choice`."""

    @functools.wraps(command)
    def with_choice(
        *args: Any, name: str | None, latest: bool, project: str | None, stack_name: str | None, **kwargs: Any
    ) -> Any:
        is_latest = latest or name == LATEST or (name is None and bool(project or stack_name))
        return command(
            *args, choice=BatchChoice(None if name == LATEST else name, is_latest, project, stack_name), **kwargs
        )

    add_options = together(
        click.argument("name", metavar="[BUILD]", required=False),
        click.option(
            "--latest", is_flag=True, help="The newest batch of the branch of the checkout, as with BUILD latest."
        ),
        click.option("--project", metavar="NAME", help="The newest batch of this project, in place of BUILD."),
        click.option("--stack-name", metavar="NAME", help="The newest batch of this stack, in place of BUILD."),
    )
    return add_options(with_choice)  # type: ignore[return-value] # the same function, other arguments


@dataclass(frozen=True)
class BatchChoice:
    """How the user names a batch: by its ID, or as the newest one of a project, a stack, or the checkout."""

    name: str | None
    latest: bool
    project: str | None
    stack_name: str | None

    def __post_init__(self) -> None:
        """Raise InputError for options that exclude each other."""
        if self.name is not None and (self.latest or self.project or self.stack_name):
            raise InputError("BUILD excludes --latest, --project and --stack-name", hint="omit BUILD, or these options")
        if self.name is None and not self.latest:
            raise InputError(
                "BUILD is missing",
                hint="pass the ID of a batch, latest, or --project; `exasol-ci-setup builds` lists batches",
            )

    def id_in(self, session: Session, *, of_any_branch: bool = False) -> str:
        """Return the ID, after a message that names the newest batch. Raises InputError if no batch exists.

        `of_any_branch`: without a batch of the branch of the checkout, the newest one of its repository.
        """
        from exasol_ci_setup.builds import read

        if self.name is not None:
            return self.name
        codebuild = session.account.client("codebuild")
        if self.project is not None or self.stack_name is not None:
            where, batches = (
                "of the project",
                read.recent(codebuild, codebuild_projects(session, self.project, self.stack_name), limit=1),
            )
        else:
            where, batches = _of_checkout(session, _checkout("--project"), of_any_branch=of_any_branch)
        if not batches:
            raise InputError(
                f"no batch {where} was found in {session.account.region}",
                hint="--project names a project, for the newest batch of all its branches; `exasol-ci-setup builds` lists batches",
            )
        session.output.say(f"batch {batches[0].id} on {batches[0].branch or 'its default branch'}")
        return batches[0].id


def _of_checkout(session: Session, checkout: Checkout, *, of_any_branch: bool) -> tuple[str, list[Batch]]:
    """Return words for the batches of the branch of a checkout, and these, the newest first."""
    from exasol_ci_setup.builds import read
    from exasol_ci_setup.stacks.batches import building

    projects = [each.codebuild_name for each in building(session.context(), checkout)]
    batches = read.recent(session.account.client("codebuild"), projects, limit=_MOST_SEARCHED)
    if not checkout.branch:
        return f"of {checkout.name}", batches
    own = [each for each in batches if checkout.has_built(each.branch, each.commit)]
    if batches and not own and of_any_branch:
        session.output.say(f"branch {checkout.branch} has no batch: this is the newest one of {checkout.name}")
        return "", batches
    return f"of branch {checkout.branch} of {checkout.name}", own


def codebuild_projects(session: Session, project: str | None, stack_name: str | None) -> list[str]:
    """Return the CodeBuild projects of a project's CI and release stacks, or of one stack. Raises StackNotFoundError."""
    from exasol_ci_setup.builds import start
    from exasol_ci_setup.constructs import CiBuild, ReleaseBuild
    from exasol_ci_setup.stacks import build_stacks

    if project is not None and stack_name is not None:
        raise InputError("--project and --stack-name contradict each other", hint="omit one of them")
    cfn = session.account.client("cloudformation")
    if stack_name is not None:
        return [start.find_project(cfn, stack_name, hint="`exasol-ci-setup list` lists all stacks")]
    constructs = [construct(kind, str(project), None) for kind in (CiBuild, ReleaseBuild)]
    projects = [
        start.find_project(cfn, stack.name)
        for each in constructs
        if (stack := build_stacks.find(cfn, each)) is not None
    ]
    if not projects:
        raise StackNotFoundError(
            f"project {project!r} has neither a CI nor a release stack in {session.account.region}",
            hint="`exasol-ci-setup list` lists all stacks; --stack-name selects one of another name",
            stack_name=str(project),
        )
    return projects


def require_branch(branch: str) -> None:
    """Raise InputError if the branch is invalid."""
    if not branch.strip() or not branch.isprintable():
        raise InputError(f"--branch {branch!r} is invalid: it must not be empty or contain control characters")


def follow_started(session: Session, batch: Batch, flags: FollowFlags, *, before: Batch | None = None) -> Batch | None:
    """Print the ID of a started batch, follow the batch, and return it when it has ended.

    With `--no-wait`, return None without following. `before` is the batch before a retry. Raises as `builds.follow.follow`.
    """
    from exasol_ci_setup.aws import console
    from exasol_ci_setup.builds.follow import follow, interruptible
    from exasol_ci_setup.cli.render import records

    output = session.output
    with interruptible(batch.id):
        output.say(f"started a batch of {batch.project} on {batch.branch or 'its default branch'}")
        output.data(batch.id)
        output.record(batch)
        url = console.of_batch(session.account.client("codebuild"), batch.arn, batch.project, batch.id)
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
    from exasol_ci_setup.cli.render.build_view import BuildReporter

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
