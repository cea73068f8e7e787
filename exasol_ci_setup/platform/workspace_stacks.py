"""Create and update the stack of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.workspace import Workspace
from exasol_ci_setup.platform import workspaces
from exasol_ci_setup.platform.stacks import checked_tags, deploy, retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.context import Context


def ensure(
    context: Context,
    workspace_id: str,
    *,
    public_assets: bool | None = None,
    tags: Mapping[str, str] | None = None,
) -> workspaces.Bucket:
    """Create or update the stack of a workspace, and return its bucket.

    `public_assets` sets whether its public folder is publicly readable; None keeps the current value. `tags` are added to those that the
    stack has. Raises the errors of `context.deploy`.
    """
    if public_assets is None:
        found = workspaces.find(context, workspace_id)
        public_assets = found is not None and found.is_public
    own_tags = checked_tags(tags)
    construct = build(Workspace, workspace_id=workspace_id, public_assets=public_assets)
    stack = retry(context, construct.stack_name, lambda: deploy(context, construct, tags=own_tags))
    return workspaces.bucket_of(stack, workspace_id)
