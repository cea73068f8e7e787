"""Find the stacks that use resources which are to be deleted. CloudFormation protects only exports, and this tool's templates have none.

A stack uses a resource if one of its parameters or outputs names it, such as the ARN of a listener. Templates can also name images, buckets,
addresses, secrets and the account's credentials for GitHub, so they are read for these.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import error_code
from exasol_ci_setup.core.errors import AwsUnavailableError, InUseError
from exasol_ci_setup.core.task_graph import read_all
from exasol_ci_setup.stacks import plan, state
from exasol_ci_setup.template.deployed import read
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.references import find_references

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.stacks import Stack
    from exasol_ci_setup.stacks.resources import Resource

NAMED_IN_TEMPLATES: Final = frozenset(
    {
        "AWS::CodeBuild::SourceCredential",
        "AWS::EC2::Instance",
        "AWS::ECR::Repository",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
    }
)
"""The types of resources that templates of other stacks can name: their deletion reads the templates of all stacks of this tool."""
# Projects of CodeBuild do not name credentials: CodeBuild uses the account's credentials for the kind of server.
_GITHUB_SOURCE: Final = r"\bType\W+GITHUB\b"
# An ARN, an address, an ID or a name that AWS generated. Shorter names are words that may appear anywhere.
_DISTINCT: Final = re.compile(r"[:/.]|.{20}|-[0-9a-f]{8,17}$")
# The earlier releases of a space are metadata in one line of its template. They run nothing.
_RELEASES: Final = re.compile(r"^  Releases: .*$", re.MULTILINE)
_MOST_SHOWN: Final = 10


class Surroundings:
    """The stacks of an account and region that have resources; the templates of this tool's stacks are read once, on demand."""

    def __init__(self, cfn: CloudFormationClient) -> None:
        self._cfn = cfn
        # A stack that was rolled back has no resources.
        self._stacks = [
            each for each in state.every(cfn) if not state.is_absent(each) and each.status != "ROLLBACK_COMPLETE"
        ]
        self._templates: dict[str, str] = {}

    def read(self) -> None:
        """Read all templates in parallel. Raises the errors of `translate_aws_errors`."""
        own = {each.id: each for each in self._stacks if state.is_own(each)}

        def read(stack_id: str) -> None:
            self._template(own[stack_id])

        read_all(own, read)

    def marks(self, stack: Stack, resources: Sequence[Resource]) -> list[str]:
        """Return patterns of the identifiers of a stack's resources: their IDs, and the outputs that refer to them."""
        ids = [each.physical_id for each in resources if each.physical_id]
        going = {each.logical_id for each in resources}
        body = self._template(stack) if stack.outputs else ""
        declared = as_mapping(read(body).template.get("Outputs")) if body else {}
        outputs = [
            value
            for name, value in stack.outputs.items()
            if any(each.name in going for each in find_references(as_mapping(declared.get(name)).get("Value")))
        ]
        marks = [_mark(text) for text in {*ids, *outputs} if _DISTINCT.search(text)]
        if any(each.type == "AWS::CodeBuild::SourceCredential" for each in resources):
            marks.append(_GITHUB_SOURCE)
        return marks

    def uses(self, stack: Stack, marks: Sequence[str], *, in_templates: bool = True) -> bool:
        """Return whether a parameter or an output of the stack, or its template, contains one of the marks."""
        if not marks:
            return False
        pattern = re.compile("|".join(marks))
        if any(map(pattern.search, (*stack.parameters.values(), *stack.outputs.values()))):
            return True
        if not in_templates or not state.is_own(stack):
            return False
        return pattern.search(_RELEASES.sub("", self._template(stack))) is not None

    def users(self, marks: Sequence[str], *, but: Collection[str], in_templates: bool = True) -> Iterator[Stack]:
        """Yield the stacks that contain one of the marks, except for those named in `but` and their nested stacks."""
        for each in self._stacks:
            root = each.root_id.split("/")[1] if each.root_id else each.name
            if root not in but and self.uses(each, marks, in_templates=in_templates):
                yield each

    def _template(self, stack: Stack) -> str:
        """Return the text of a stack's template; empty if the stack was deleted meanwhile."""
        if stack.id not in self._templates:
            try:
                self._templates[stack.id] = plan.deployed_body(self._cfn, stack.id)
            except AwsUnavailableError as error:
                if error_code(error.__cause__ or error) != "ValidationError":
                    raise
                self._templates[stack.id] = ""
        return self._templates[stack.id]


def require_unused(
    cfn: CloudFormationClient, going: Iterable[tuple[Stack, Sequence[Resource]]], *, but: Collection[str] = ()
) -> None:
    """Raise InUseError if a stack other than those in `going` and `but` uses one of the deleted resources.

    `going` are the deleted stacks with their resources. Raises the errors of `translate_aws_errors`.
    """
    listed = list(going)
    names = {stack.name for stack, _ in listed} | set(but)
    around = Surroundings(cfn)
    for stack, resources in listed:
        in_templates = any(each.type in NAMED_IN_TEMPLATES for each in resources)
        users = around.users(around.marks(stack, resources), but=names, in_templates=in_templates)
        require_none(f"stack {stack.name}", users, stack_name=stack.name)


def of_secret(cfn: CloudFormationClient, arn: str, name: str) -> Iterator[Stack]:
    """Yield the stacks that read a secret. Raises the errors of `translate_aws_errors`."""
    return Surroundings(cfn).users([_mark(arn), f"{_mark(name)}(?!@)"], but=())


def require_none(what: str, users: Iterable[Stack], *, stack_name: str = "", hint: str = "") -> None:
    """Raise InUseError with the names of the `users`, if there are any. `hint` is a remedy other than their deletion."""
    shown = list(islice(users, _MOST_SHOWN + 1))
    if shown:
        more = " and others" if len(shown) > _MOST_SHOWN else ""
        own = " ".join(each.name for each in shown[:_MOST_SHOWN] if state.is_own(each))
        delete = (
            f"exasol-ci-setup delete {own}" if own else f"aws cloudformation delete-stack --stack-name {shown[0].name}"
        )
        raise InUseError(
            f"{what} is in use: {', '.join(each.name for each in shown[:_MOST_SHOWN])}{more}",
            hint=hint or f"delete what uses it first: `{delete}`",
            stack_name=stack_name,
        )


def _mark(text: str) -> str:
    if "/" in text or ":" in text:
        # Not as a part of a longer name. A tag or a digest may follow the name of an image.
        return rf"(?<![\w/.-]){re.escape(text)}(?![\w/.+=-])"
    # A bucket or an address may be a part of a URL, or of a CIDR block.
    return rf"(?<![\w-]){re.escape(text)}(?![\w-])"
