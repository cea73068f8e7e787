"""Detect names in use before anything is created: CloudFormation itself fails in the middle of the deployment, and rolls back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import SetupError, StackError
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.stacks import name_owners
from exasol_ci_setup.stacks.optional import optional
from exasol_ci_setup.template.intrinsics import property_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.stacks.request import Request

_PROJECT: Final = "AWS::CodeBuild::Project"
_BUILDS: Final = ("CiBuild", "ReleaseBuild")


def require_free(
    context: Context, request: Request, wanted: Mapping[str, Any], before: Mapping[str, Any] | None
) -> None:
    """Raise StackError if a CodeBuild project that the deployment would create exists already.

    `wanted` and `before` are the parsed templates; None for a new stack. A caller without permission to read projects learns that from
    CloudFormation.
    """
    kept = property_texts(before, request.parameters, _PROJECT, "Name").values() if before is not None else ()
    names = {
        name: logical_id for logical_id, name in property_texts(wanted, request.parameters, _PROJECT, "Name").items()
    }
    new = [name for name in names if name not in kept]
    if not new:
        return
    try:
        with optional(context.account.client("codebuild"), "BatchGetProjects") as codebuild:
            found = codebuild.batch_get_projects(names=new)["projects"]
    except SetupError:
        return
    if found:
        name = found[0]["name"]
        is_build = request.tags.get(f"{TAG_PREFIX}construct") in _BUILDS
        raise StackError(
            f"stack {request.name} cannot create {names[name]}: {_existing(context, name)}",
            hint="choose another name for it" + (" (codebuild_name)" if is_build else ", or delete that project"),
            stack_name=request.name,
        )


def _existing(context: Context, name: str) -> str:
    try:
        owners = name_owners.find(context.cfn, name)
    except SetupError:
        owners = []
    owner = f"belongs to stack {owners[0].get('StackName', '')}" if owners else "exists already"
    return f"the CodeBuild project {name} {owner}"
