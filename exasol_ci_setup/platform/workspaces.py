"""A workspace's stack, the layout of its bucket, and sessions that may use one storage only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.workspace import Workspace
from exasol_ci_setup.core.commands import status_hint
from exasol_ci_setup.core.errors import StorageError
from exasol_ci_setup.platform.credentials import Credentials
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Stack

PUBLIC: Final = "public/"
"""The folder of the bucket that is publicly readable in a workspace with public assets."""

_SESSION_SECONDS: Final = 3600
"""The maximum for a role that another role's session assumes:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining."""


@dataclass(frozen=True)
class Bucket:
    """Outputs of a workspace's stack: the bucket, the role for sessions, and whether its public folder is publicly readable."""

    workspace_id: str
    name: str
    role_arn: str
    is_public: bool

    @property
    def arn(self) -> str:
        """The bucket's ARN, in the partition of the role."""
        return f"arn:{self.role_arn.split(':')[1]}:s3:::{self.name}"


def find(context: Context, workspace_id: str) -> Bucket | None:
    """Return the bucket of a workspace, or None if it has none yet. Raises StorageError if its stack is not ready, and InputError."""
    name = build(Workspace, workspace_id=workspace_id).stack_name
    stack = state.find(context.account.client("cloudformation"), name)
    if stack is None or state.is_absent(stack):
        return None
    return bucket_of(stack, workspace_id)


def bucket_of(stack: Stack, workspace_id: str) -> Bucket:
    """Return the bucket in the outputs of a workspace's stack. Raises StorageError if the stack is not ready."""
    outputs = stack.outputs
    if not {"BucketName", "StorageRoleArn"} <= outputs.keys():
        raise StorageError(
            f"workspace {workspace_id} is not ready: its stack {stack.name} is in {stack.status}",
            hint=status_hint(stack.name),
        )
    return Bucket(
        workspace_id, outputs["BucketName"], outputs["StorageRoleArn"], outputs.get("PublicAssets", "no") == "yes"
    )


def marker(storage_name: str) -> str:
    """Return the key of the empty object that marks a storage."""
    return f".storages/{storage_name}"


def folder(storage_name: str) -> str:
    """Return the key prefix of the objects of a storage."""
    return f"storages/{storage_name}/"


def storage_policy(bucket: Bucket, storage_name: str) -> dict[str, Any]:
    """Return the session policy that limits the role's permissions to one storage.

    It allows reading but not changing the marker of the storage. It does not allow listing uploads, because that action cannot be limited to
    a folder: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObject",
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ],
                "Resource": f"{bucket.arn}/{folder(storage_name)}*",
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": bucket.arn,
                "Condition": {"StringLike": {"s3:prefix": [f"{folder(storage_name)}*", marker(storage_name)]}},
            },
        ],
    }


def session(account: Account, bucket: Bucket, storage_name: str) -> Credentials:
    """Return credentials of a new session of the workspace's role, limited to one storage and one hour.

    Raises AccessDeniedError if the account's own credentials may not assume the role, and the errors of the AWS boundary.
    """
    with translate_aws_errors():
        answer = account.client("sts").assume_role(
            RoleArn=bucket.role_arn,
            RoleSessionName=f"storage-{storage_name}"[:64],
            Policy=json.dumps(storage_policy(bucket, storage_name), separators=(",", ":")),
            DurationSeconds=_SESSION_SECONDS,
        )
    found = answer["Credentials"]
    return Credentials(
        region=account.region,
        access_key_id=found["AccessKeyId"],
        secret_access_key=found["SecretAccessKey"],
        session_token=found["SessionToken"],
        expires_at=found["Expiration"].astimezone(timezone.utc),
    )
