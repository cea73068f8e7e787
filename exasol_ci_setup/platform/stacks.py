"""Deploy, preview and delete the stacks of the platform."""

from __future__ import annotations

import random
import unicodedata
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from pydantic import AfterValidator

from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.values import Tags, Value, malformed
from exasol_ci_setup.core.commands import status_hint
from exasol_ci_setup.core.errors import NotApprovedError, PlanOutdatedError, StackBusyError, StackNotUpdatableError
from exasol_ci_setup.core.stacks import Options, Outcome
from exasol_ci_setup.core.tags import tag_problem
from exasol_ci_setup.programs.templates import placeholders
from exasol_ci_setup.stacks import delete as deletion
from exasol_ci_setup.stacks import deploy as deployment
from exasol_ci_setup.stacks import state, users
from exasol_ci_setup.stacks.construct_parameters import parameters_of
from exasol_ci_setup.stacks.preview import from_templates
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.stacks.resources import of_id
from exasol_ci_setup.template.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.stacks import Plan, Stack

# Attempts of one command to plan what other processes keep changing, and the longest pause between two, in seconds.
_ATTEMPTS: Final = 5
_LONGEST_PAUSE: Final = 2.0
_OPTIONS: Final = Options(wait=True)

T = TypeVar("T")


def retry(context: Context, stack_name: str, attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns. If another process changes the stack meanwhile, try again, up to five times in all.

    Raises StackBusyError if the last attempt fails for this reason too, and the other errors of `attempt`.
    """
    for remaining in reversed(range(_ATTEMPTS)):
        try:
            return attempt()
        except (PlanOutdatedError, StackBusyError) as error:  # noqa: PERF203 - each attempt takes seconds
            if not remaining:
                raise StackBusyError(
                    f"stack {stack_name} keeps being changed by other processes",
                    hint="wait until they have finished, and run the command again",
                    stack_name=stack_name,
                ) from error
            context.note(f"{error.message}: planning again")
            # At random, so that processes that wait for each other do not stay in step.
            context.clock.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


_MOST_TAGS: Final = 48
"""A stack has at most 50 tags, of which two are those of this tool:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html."""
_TAG_PUNCTUATION: Final = "_.:/=+-@"


def _fit_resources(tags: dict[str, str]) -> dict[str, str]:
    """Reject tags that the resources of a stack refuse: IAM, ECR, S3 and Secrets Manager accept fewer characters than CloudFormation.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html.
    """
    if len(tags) > _MOST_TAGS:
        raise malformed(f"use at most {_MOST_TAGS} tags")
    for text in (*tags, *tags.values()):
        if wrong := next((letter for letter in text if not _is_of_tag(letter)), None):
            raise malformed(
                f"{text!r} contains {wrong!r}: use letters, digits, spaces and the characters {' '.join(_TAG_PUNCTUATION)}"
            )
    return tags


def _is_of_tag(letter: str) -> bool:
    return letter in _TAG_PUNCTUATION or unicodedata.category(letter)[0] in "LNZ"


class _Tagged(Value):
    tags: Annotated[Tags, AfterValidator(_fit_resources)]


def checked_tags(tags: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the tags of the user, an empty mapping for None. Raises InputError for an invalid tag, and for too many."""
    return {} if tags is None else build(_Tagged, tags=tags).tags


def own_tags(stack: Stack) -> dict[str, str]:
    """Return the tags of the user that a stack has: without those of AWS and of this tool."""
    return {key: text for key, text in stack.tags.items() if not tag_problem(key, text)}


def request_of(context: Context, construct: Construct, tags: Mapping[str, str]) -> Request:
    """Return the request for the stack of `construct`. Raises InputError if the account has no network for it.

    `tags` are added to those of the user that the stack has. A stack whose creation fails is deleted, so that the same command can be called again.
    """
    stack = state.find(context.cfn, construct.stack_name)
    kept = {} if stack is None or state.is_absent(stack) else own_tags(stack)
    return Request(
        name=construct.stack_name,
        template=render(construct),
        parameters=parameters_of(context.account, construct),
        tags={**kept, **tags, **construct.tags},
        on_failure="delete",
    )


def deploy(
    context: Context,
    construct: Construct,
    check: Callable[[Plan], Plan] = lambda plan: plan,
    *,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> Stack:
    """Deploy the stack of `construct` and return it; without differences AWS changes nothing.

    If another operation on the stack runs, wait for its end. `check` returns the plan to confirm, or raises PlanOutdatedError. `tags` are
    added to those of the user that the stack has.
    Raises NotApprovedError if the plan is not confirmed, and the errors of `stacks.deploy.deploy`. Call it in `retry`.
    """
    request = request_of(context, construct, tags)
    try:
        with deployment.plan(context, request, _OPTIONS) as planned:
            planned.plan = check(planned.plan)
            result = deployment.confirm_and_apply(planned)
    except StackNotUpdatableError as error:
        error.hint = (
            f"{status_hint(request.name)}; then delete it with `exasol-ci-setup delete {request.name}`, and retry"
        )
        raise
    if result.outcome is Outcome.PLANNED or result.stack is None:
        raise NotApprovedError(
            f"not deployed: the plan for stack {request.name} was not approved", stack_name=request.name
        )
    return result.stack


def preview(context: Context, construct: Construct, *, why: str, tags: Mapping[str, str]) -> None:
    """Report the plan for the stack of `construct` before the stacks that it depends on exist; `why` is a note on the plan."""
    cfn = context.cfn
    for each in construct.dependencies:
        existing = state.find(cfn, each.stack_name)
        each.set_outputs({**placeholders(each), **(existing.outputs if existing is not None else {})})
    request = request_of(context, construct, tags)
    context.reporter.plan(from_templates(cfn, request, state.find(cfn, request.name), note=why))


def delete(context: Context, stack_name: str, *, empty: bool = False) -> None:
    """Delete a stack of this tool, and return when it is deleted; `empty` also deletes the content of its buckets and repositories.

    Retained resources are neither deleted nor emptied. Raises StackNotFoundError, StackError for a protected stack or one of another tool,
    InUseError if another stack uses it, and DeleteFailedError.
    """
    cfn = context.cfn
    stack = state.get(cfn, stack_name)
    deletion.require_deletable(stack)
    found = of_id(cfn, stack.id)
    kept = deletion.retained(cfn, stack, found, ())
    going = [each for each in found if each.logical_id not in kept]
    users.require_unused(cfn, [(stack, going)])
    if empty:
        deletion.empty(context.account, going, context.note)
    with context.operation(stack_name, f"deleting {stack_name}") as running:
        deletion.delete(running, stack)
