"""Start CI builds of a deployed stack, follow them, and read their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.builds import explain, follow, logs, read, start
from exasol_ci_setup.builds.checkout import repository_key
from exasol_ci_setup.builds.model import Batch, Build
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.ci import CiBuild
from exasol_ci_setup.core.errors import InputError, StackError, StackNotFoundError
from exasol_ci_setup.stacks import build_stacks, state
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.builds.checkout import Checkout
    from exasol_ci_setup.builds.logs import LogLine
    from exasol_ci_setup.constructs.ci import ReleaseBuild
    from exasol_ci_setup.stacks.build_stacks import BuildStack

_HINT: Final = "deploy it, or name another stack with stack_name="
_ADOPT: Final = "deploy the construct with stack_name='STACK' and Options(adopt=True)"


def find_codebuild_project(
    context: Context, construct: CiBuild | ReleaseBuild, *, hint: str = _HINT, adopt: str = _ADOPT
) -> str:
    """Return the name of the CodeBuild project with the builds of the project of `construct`.

    `hint` says what to do if no stack has them, and `adopt` how to adopt a stack of the predecessor: ``STACK`` in it becomes the name, ``URL`` the
    repository. Such a stack is used only for CI builds, and only if the caller chose its name: the role of its release builds cannot read the
    GitHub token. Raises StackNotFoundError and StackError.
    """
    cfn = context.cfn
    stack = build_stacks.find(cfn, construct)
    if stack is None:
        name, region = construct.stack_name, cfn.meta.region_name
        is_other = not state.is_absent(state.find(cfn, name))
        raise StackNotFoundError(
            f"stack {name!r} is of another project, and no stack in {region} has this build of project {construct.project}"
            if is_other
            else f"stack {name!r} does not exist in {region}",
            hint=hint,
            stack_name=name,
        )
    project = start.find_project(cfn, stack.name)
    is_usable = isinstance(construct, CiBuild) and stack.name == construct.stack_name
    if not state.is_own(stack) and not is_usable:
        url = read.repository_of(context.account.client("codebuild"), project) or "URL"
        raise StackError(
            f"stack {stack.name}, which builds project {construct.project}, was not created by this tool",
            hint=adopt.replace("STACK", stack.name).replace("URL", url),
            stack_name=stack.name,
        )
    return project


def building(context: Context, checkout: Checkout) -> list[BuildStack]:
    """Return the deployed stacks with builds of the repository of `checkout`."""
    key = checkout.key
    stacks = [each for each in build_stacks.existing(context.cfn) if each.codebuild_name]
    codebuild = context.account.client("codebuild")
    repositories = read.repositories_of(codebuild, [each.codebuild_name for each in stacks])
    return [each for each in stacks if repository_key(repositories.get(each.codebuild_name, "")) == key]


def start_ci_build(
    project: str, branch: str, *, stack_name: str | None = None, context: Context | None = None
) -> Batch:
    """Start the build that a push to `branch` starts, and return its batch, which runs. `branch` may be a tag or commit.

    `stack_name` is that of the deployed stack, by default the project's name. Raises InputError for an invalid name, StackNotFoundError,
    and OperationInterruptedError on Ctrl-C.
    """
    context = context or default_context()
    # Names do not depend on the repository.
    construct = build(
        CiBuild, project=project, stack_name=stack_name, project_url="https://github.com/owner/repository"
    )
    return start_branch(context, find_codebuild_project(context, construct), branch)


def start_branch(context: Context, codebuild_project: str, branch: str) -> Batch:
    """Start a batch of a CodeBuild project as a push to `branch` does. Raises InputError for an invalid branch, and as `builds.start.start`."""
    if not branch.strip() or not branch.isprintable():
        raise InputError(f"branch {branch!r} is invalid: it must not be empty or contain control characters")
    return start.start(context.account.client("codebuild"), codebuild_project, branch, {"CUSTOM_BRANCH": branch})


def follow_batch(
    batch: Batch | str, *, timeout: float | None = None, with_log: bool = False, context: Context | None = None
) -> Batch:
    """Follow a batch, given or by its ID, and return it when it has succeeded. `timeout` is in seconds.

    The reporter of `context` receives a `Batch` for each change, and with `with_log` a `LogLine` for each line. Raises BuildFailedError with
    the failed builds, TimedOutError (the batch continues), and OperationInterruptedError.
    """
    context = context or default_context()
    since = batch if isinstance(batch, Batch) else None
    name = batch.id if isinstance(batch, Batch) else read.require_batch(context.account.client("codebuild"), batch).id
    with context.operation(name, "") as running:
        ended = follow.follow(running, name, timeout=timeout, with_log=with_log, since=since)
    explain.require_success(context, ended)
    return ended


def read_log(name: str, *, context: Context | None = None) -> list[LogLine]:
    """Return the log lines so far of a batch or a build, by its ID or ARN. Raises InputError if it does not exist."""
    context = context or default_context()
    found = read.find(context.account.client("codebuild"), name)
    builds = [found] if isinstance(found, Build) else found.builds
    return list(logs.Tails(context.account.client("logs"), context.clock).fresh(builds))


def list_batches(project: str | None = None, *, limit: int = 20, context: Context | None = None) -> list[Batch]:
    """Return the newest batches of a CodeBuild project, or of all in the region, the newest first."""
    context = context or default_context()
    return read.recent(context.account.client("codebuild"), None if project is None else [project], limit=limit)
