"""A team's workspace: one bucket for all its storages, and the role whose sessions access each storage."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BeforeValidator, Field

from exasol_ci_setup.constructs.base import Construct
from exasol_ci_setup.constructs.values import Value, between, matching, refusal
from exasol_ci_setup.core.tags import TAG_PREFIX


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


WorkspaceId = Annotated[
    str,
    # Programs pass the numbers that the commands accept.
    BeforeValidator(_as_text),
    matching(
        r"(?=.{1,64}\Z)[A-Za-z0-9]+(-[A-Za-z0-9]+)*",
        "use letters, digits and single hyphens between them, at most 64 characters, since a stack is named after it",
    ),
]

StorageName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
        "use letters, digits, points, hyphens and underscores, the first a letter or digit, at most 63 characters",
    ),
]

_KEY_BYTES: Final = 1024
"""The maximum of a key in S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

_NEW_NAME_BYTES: Final = 900
"""The maximum of the name of a new object, since its key begins with the folder of the storage."""


def _is_object_name(name: str) -> str:
    if not name or len(name.encode(errors="replace")) > _KEY_BYTES:
        raise refusal(f"use the name of an object, at most {_KEY_BYTES} bytes")
    return name


def _as_new_object_name(name: str) -> str:
    """Return `name` without empty parts. Names with the parts . and .. are rejected, since clients of S3 remove these from a path."""
    parts = [part for part in name.split("/") if part]
    if not parts or {".", ".."} & set(parts) or len(name.encode(errors="replace")) > _NEW_NAME_BYTES:
        raise refusal(
            f"use a name of at most {_NEW_NAME_BYTES} bytes, with slashes between folders, and without the parts . and .."
        )
    return "/".join(parts)


ObjectName = Annotated[str, AfterValidator(_is_object_name)]
NewObjectName = Annotated[str, AfterValidator(_as_new_object_name)]


class StorageAddress(Value):
    """A storage of a workspace."""

    workspace_id: Annotated[WorkspaceId, Field(description="ID of the workspace.")]
    storage_name: Annotated[StorageName, Field(description="Name of the storage.")]


class ObjectAddress(StorageAddress):
    """An object in a storage, by its exact name: ``a/b`` and ``a//b`` are two objects."""

    object_name: Annotated[ObjectName, Field(description="Exact name of the object.")]


class NewObjectAddress(StorageAddress):
    """The destination of an object in a storage: empty parts are removed from its name."""

    object_name: Annotated[NewObjectName, Field(description="Name of the new object.")]


class CopySource(StorageAddress):
    """An object or a folder to copy, by its exact name."""

    source: Annotated[ObjectName, Field(description="Exact name of the object or the folder.")]


class CopyStorage(Value):
    """The storage of a copy."""

    to_workspace: Annotated[WorkspaceId, Field(description="ID of the workspace.")]
    to_storage: Annotated[StorageName, Field(description="Name of the storage.")]


class CopyName(Value):
    """The name of a copy: empty parts are removed from it."""

    destination: Annotated[NewObjectName, Field(description="Name of the copy.")]


class ExactCopyName(Value):
    """The name of a copy in a folder, which keeps the exact names below the folder."""

    destination: Annotated[ObjectName, Field(description="Exact name of the copy.")]


class Workspace(Construct):
    """A private, versioned bucket, and a role for sessions that a session policy limits to one storage.

    With `public_assets` everybody may read the objects below ``public/`` in the bucket, and no others. Replaced or deleted objects are kept
    for `noncurrent_retention_in_days`.
    """

    template: ClassVar[str] = "workspace.yaml.j2"

    workspace_id: Annotated[WorkspaceId, Field(description="ID of the workspace.")]
    public_assets: Annotated[bool, Field(description="Let everybody read the objects below public/.")] = False
    noncurrent_retention_in_days: Annotated[
        int, between(1, 3650, "days"), Field(description="Days to keep replaced and deleted objects.")
    ] = 30

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one that is set, or ``workspace-`` and the workspace's id."""
        return self.stack or f"workspace-{self.workspace_id}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags that identify a stack of this tool and of this workspace."""
        return {**super().tags, f"{TAG_PREFIX}name": self.workspace_id}
