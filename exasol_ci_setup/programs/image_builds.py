"""Build the image of a folder with a deployed container builder, without a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.constructs.asset import Asset, LocalDirectory
from exasol_ci_setup.constructs.builder import BuildkitBuilder, ContainerBuilder
from exasol_ci_setup.constructs.scope import Scope
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.programs.actions import Runtime, sync
from exasol_ci_setup.programs.actions.build import ensure, require_valid
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.programs.actions.build import Build

_KIND = "ContainerBuilder"


def start(
    context: Context, stack_name: str, folder: Path, *, tag: str, build_context: str, arguments: Mapping[str, str]
) -> tuple[Build, str]:
    """Upload a folder, and start the build of its image unless the registry has it. Return the build, and the name of the image.

    The image gets `tag` (empty: none) and the hash of its content. Raises InputError if the stack has no container builder, and for invalid
    arguments, and the errors of `programs.actions.build.build`.
    """
    require_valid(tag, build_context, arguments)
    stack = state.get(context.cfn, stack_name)
    if stack.tags.get(f"{TAG_PREFIX}construct") != _KIND or "ProjectName" not in stack.outputs:
        raise InputError(
            f"stack {stack.name} has no container builder",
            hint="deploy one with `exasol-ci-setup deploy-container-builder`",
        )
    scope = Scope(name="builder", region=context.account.region)
    asset = Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="folder", path=folder))
    asset.set_outputs({"BucketName": stack.parameters["BucketName"]})
    builder = ContainerBuilder(
        scope=scope,
        name="image",
        stack_name=stack.name,
        asset=asset,
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=stack.parameters["RepositoryName"],
    )
    builder.set_outputs(stack.outputs)
    runtime = Runtime(lambda _scope: context.account, context.clock, context.note)
    build = ensure(runtime, builder, sync.put(runtime, asset), tag, build_context, arguments)
    return build, f"{stack.outputs['RepositoryUri']}:{build.content_hash}"
