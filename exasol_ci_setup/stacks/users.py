"""Which stacks use something that is to be deleted. CloudFormation protects exports alone, and this tool's templates have none.

A stack uses what one of its parameters or outputs names, such as the ARN of a listener. Images, secrets and the account's credentials for
GitHub are named in templates too, so these are read for them.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import error_code
from exasol_ci_setup.errors import AwsUnavailable, InUseError
from exasol_ci_setup.stacks import plan, state

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.stacks.model import Stack
    from exasol_ci_setup.stacks.resources import Resource

_NAMED_IN_TEMPLATES: Final = frozenset(
    {"AWS::CodeBuild::SourceCredential", "AWS::ECR::Repository", "AWS::SecretsManager::Secret"}
)
# CodeBuild's projects name no credentials: it takes those that the account has for the kind of server.
_GITHUB_SOURCE: Final = r"\bType\W+GITHUB\b"
# An ARN, an address, an id or a name that AWS has made. Shorter names are words that anything may contain.
_TELLING: Final = re.compile(r"[:/.]|.{20}|-[0-9a-f]{8,17}$")
_MOST_SHOWN: Final = 10


def require_unused(
    cfn: CloudFormationClient, going: Iterable[tuple[Stack, Sequence[Resource]]], *, but: Collection[str] = ()
) -> None:
    """Raise InUseError if a stack other than those that go, and those in `but`, uses one of them.

    `going` are stacks with the resources that go with them. Raises the errors of the AWS boundary.
    """
    listed = list(going)
    names = {stack.name for stack, _ in listed} | set(but)
    marks = {stack.name: _marks(stack, resources) for stack, resources in listed}
    in_templates = {
        stack.name for stack, resources in listed if any(each.type in _NAMED_IN_TEMPLATES for each in resources)
    }
    others = [stack for stack in state.own(cfn) if stack.name not in names] if any(marks.values()) else []
    for name, found in marks.items():
        require_none(f"stack {name}", _users(cfn, others, found, in_templates=name in in_templates), stack_name=name)


def of_secret(cfn: CloudFormationClient, arn: str, name: str) -> Iterator[str]:
    """Yield the names of the stacks that read a secret. Raises the errors of the AWS boundary."""
    return _users(cfn, state.own(cfn), [_mark(arn), f"{_mark(name)}(?!@)"], in_templates=True)


def require_none(what: str, users: Iterable[str], *, stack_name: str = "") -> None:
    """Raise InUseError, which names the `users`, the names of stacks, if there are any."""
    shown = list(islice(users, _MOST_SHOWN + 1))
    if shown:
        more = " and others" if len(shown) > _MOST_SHOWN else ""
        raise InUseError(
            f"{what} is in use: {', '.join(shown[:_MOST_SHOWN])}{more}",
            hint=f"delete what uses it first: `exasol-ci-setup delete {shown[0]}`",
            stack_name=stack_name,
        )


def _marks(stack: Stack, resources: Sequence[Resource]) -> list[str]:
    """Return patterns of what names the resources of a stack: their ids, and those outputs that are made of these."""
    ids = [each.physical_id for each in resources if each.physical_id]
    outputs = [
        value
        for value in stack.outputs.values()
        if value not in stack.parameters.values() and any(physical_id in value for physical_id in ids)
    ]
    marks = [_mark(text) for text in {*ids, *outputs} if _TELLING.search(text)]
    if any(each.type == "AWS::CodeBuild::SourceCredential" for each in resources):
        marks.append(_GITHUB_SOURCE)
    return marks


def _mark(text: str) -> str:
    # Not as a part of a longer name. A tag or a digest may follow that of an image.
    return rf"(?<![\w/.-]){re.escape(text)}(?![\w/.+=-])"


def _users(
    cfn: CloudFormationClient, others: Iterable[Stack], marks: Sequence[str], *, in_templates: bool
) -> Iterator[str]:
    if not marks:
        return
    pattern = re.compile("|".join(marks))
    for other in others:
        # Of what was rolled back nothing is left.
        if state.is_absent(other) or other.status == "ROLLBACK_COMPLETE":
            continue
        texts = (*other.parameters.values(), *other.outputs.values())
        if any(map(pattern.search, texts)) or (in_templates and pattern.search(_template(cfn, other))):
            yield other.name


def _template(cfn: CloudFormationClient, stack: Stack) -> str:
    """Return the text of a stack's template; nothing if the stack has gone meanwhile."""
    try:
        return plan.deployed_body(cfn, stack.id)
    except AwsUnavailable as error:
        if error_code(error.__cause__ or error) == "ValidationError":
            return ""
        raise
