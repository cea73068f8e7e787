"""Find the stacks with the builds of a project: by the tags of this tool, or by the names that the predecessor gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.core.errors import StackError
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.stacks import Stack

# The names of stacks of the predecessor end like this, after the project.
_PREDECESSOR: Final[Mapping[type[CiBuild | ReleaseBuild], str]] = {CiBuild: "CIBuild", ReleaseBuild: "ReleaseBuild"}


@dataclass(frozen=True, slots=True)
class BuildStack:
    """A stack with the builds of `project`. `kind` says which builds they are."""

    stack: Stack
    kind: type[CiBuild | ReleaseBuild]
    project: str

    @property
    def is_own(self) -> bool:
        """Whether this tool created the stack; otherwise its name is that of the predecessor's."""
        return state.is_own(self.stack)

    @property
    def codebuild_name(self) -> str:
        """The name of the CodeBuild project in the outputs of the stack, empty before the first deployment has ended."""
        return self.stack.outputs.get("ProjectName", "")


def of_stack(stack: Stack) -> BuildStack | None:
    """Return which builds a stack has, None for another stack."""
    if state.is_own(stack):
        project = stack.tags.get(f"{TAG_PREFIX}project", "")
        constructs = {kind.__name__: kind for kind in _PREDECESSOR}
        kind = constructs.get(stack.tags.get(f"{TAG_PREFIX}construct", ""))
        return BuildStack(stack, kind, project) if kind is not None and project else None
    for each, suffix in _PREDECESSOR.items():
        if project := stack.name.removesuffix(suffix) if stack.name.endswith(suffix) else "":
            return BuildStack(stack, each, project)
    return None


def existing(cfn: CloudFormationClient) -> Iterator[BuildStack]:
    """Yield the deployed stacks with builds, in the order of AWS. Raises the errors of `translate_aws_errors`."""
    for stack in state.every(cfn):
        found = None if stack.root_id or state.is_absent(stack) else of_stack(stack)
        if found is not None:
            yield found


def find(cfn: CloudFormationClient, construct: CiBuild | ReleaseBuild) -> Stack | None:
    """Return the deployed stack with the builds of the project of `construct`, None if none exists.

    A name that the caller chose is used as it is. Otherwise a stack with the tags of the project precedes one without tags under the default
    name, and that precedes one of the predecessor. Raises StackError if the chosen stack has another project, and if several stacks have the tags.
    """
    named = state.find(cfn, construct.stack_name)
    if named is not None and state.is_absent(named):
        named = None
    if construct.stack is not None:
        if named is not None and state.is_own(named) and not _is_of(of_stack(named), construct):
            state.require_own(named, construct.tags, adopt=True)
        return named
    if named is not None and state.is_own(named) and _is_of(of_stack(named), construct):
        return named
    others = [each for each in existing(cfn) if _is_of(each, construct)]
    tagged = [each.stack for each in others if each.is_own]
    if len(tagged) > 1:
        raise StackError(
            f"{len(tagged)} stacks have the {'CI' if isinstance(construct, CiBuild) else 'release'} build of project {construct.project}: "
            f"{', '.join(sorted(each.name for each in tagged))}",
            hint="choose one with --stack-name",
        )
    untagged = [named] if named is not None and not state.is_own(named) else [each.stack for each in others]
    return next(iter([*tagged, *untagged]), None)


def find_other(stacks: Iterable[BuildStack], construct: Construct) -> Stack | None:
    """Return the one of `stacks` that already builds the project of `construct`, if its name is not the construct's default.

    A name that the caller chose is used as it is.
    """
    if not isinstance(construct, CiBuild | ReleaseBuild) or construct.stack is not None:
        return None
    found = [each.stack for each in stacks if _is_of(each, construct)]
    if any(each.name == construct.stack_name for each in found):
        return None
    # One of the predecessor first: it is the one that would be forgotten.
    return next(iter(sorted(found, key=state.is_own)), None)


def require_only(cfn: CloudFormationClient, construct: Construct) -> None:
    """Raise StackError if another stack builds the project of `construct` already, and the errors of `translate_aws_errors`."""
    other = other_of(cfn, construct)
    if other is not None:
        raise StackError(
            message(other),
            hint=f"deploy it with stack_name={other.name!r}; for a second stack, which builds each push too: "
            f"stack_name={construct.stack_name!r}",
            stack_name=other.name,
        )


def other_of(cfn: CloudFormationClient, construct: Construct) -> Stack | None:
    """Return what `find_other` finds among the deployed stacks. Raises the errors of `translate_aws_errors`."""
    if not isinstance(construct, CiBuild | ReleaseBuild) or construct.stack is not None:
        return None
    named = state.find(cfn, construct.stack_name)
    # The usual case needs one call. A stack of that name without tags is refused, or adopted.
    if (
        named is not None
        and not state.is_absent(named)
        and (not state.is_own(named) or _is_of(of_stack(named), construct))
    ):
        return None
    return find_other(existing(cfn), construct)


def message(other: Stack) -> str:
    """Return the message that the stack `other` builds the project already."""
    own = "" if state.is_own(other) else ", which was not created by this tool,"
    return f"stack {other.name}{own} builds the project already"


def kept_codebuild_name(other: Stack, construct: Construct) -> str:
    """Return the name of the CodeBuild project of `other` if a deployment of `construct` to that stack has to name it; empty for the default.

    An adopted stack of the predecessor gets a new project.
    """
    found = of_stack(other)
    if found is None or not found.is_own or not isinstance(construct, CiBuild | ReleaseBuild):
        return ""
    return "" if found.codebuild_name == construct.codebuild_name else found.codebuild_name


def _is_of(found: BuildStack | None, construct: CiBuild | ReleaseBuild) -> bool:
    return found is not None and isinstance(construct, found.kind) and found.project == construct.project
