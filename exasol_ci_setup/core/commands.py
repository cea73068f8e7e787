"""Commands that several hints name, each with one spelling."""

from __future__ import annotations

from typing import Final

# The names of the secret and of its keys are those that the README and `init` create.
DEPLOY_SOURCE_CREDENTIALS: Final = (
    "exasol-ci-setup deploy-source-credentials --secret-name github --secret-user-key user --secret-token-key token"
)


def list_objects_hint(workspace_id: str, storage_name: str) -> str:
    """Return the hint with the command that lists the objects of a storage."""
    return f"list the objects with `exasol-ci-setup storage list-object --workspace-id {workspace_id} --storage {storage_name}`"


def status_hint(stack_name: str) -> str:
    """Return the hint with the command that shows the details of a stack."""
    return f"see the details with `exasol-ci-setup status {stack_name}`"


def watch_hint(stack_name: str) -> str:
    """Return the hint with the command that follows the operation in progress on a stack."""
    return f"to watch it: `exasol-ci-setup watch {stack_name}`"


def unprotect_hint(stack_name: str) -> str:
    """Return the hint with the command that removes the termination protection of a stack."""
    command = "aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name"
    return f"remove the protection first: `{command} {stack_name}`"
