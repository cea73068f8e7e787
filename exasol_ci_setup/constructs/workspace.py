"""A team's workspace: one bucket for all its storages, and the role in whose sessions each storage is used."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator

from exasol_ci_setup.constructs.base import TAG_PREFIX, Construct
from exasol_ci_setup.constructs.values import Value, between, matching, refusal

WorkspaceId = Annotated[
    str,
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
"""Of a key in S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

_NEW_NAME_BYTES: Final = 900
"""Of the name of a new object, since its key begins with the folder of the storage."""


def _is_object_name(name: str) -> str:
    if not name or len(name.encode(errors="replace")) > _KEY_BYTES:
        raise refusal(f"use the name of an object, which has at most {_KEY_BYTES} bytes")
    return name


def _as_new_object_name(name: str) -> str:
    """Return `name` without empty parts. Clients of S3 leave out the parts . and .. of a path, so a new name has none of them."""
    parts = [part for part in name.split("/") if part]
    if not parts or {".", ".."} & set(parts) or len(name.encode(errors="replace")) > _NEW_NAME_BYTES:
        raise refusal(
            f"use a name of at most {_NEW_NAME_BYTES} bytes, with slashes between folders, none of which is called . or .."
        )
    return "/".join(parts)


ObjectName = Annotated[str, AfterValidator(_is_object_name)]
NewObjectName = Annotated[str, AfterValidator(_as_new_object_name)]


class StorageAddress(Value):
    """Which storage of which workspace."""

    workspace_id: WorkspaceId
    storage_name: StorageName


class ObjectAddress(StorageAddress):
    """Which object in a storage, by its name there, which is taken as it is: ``a/b`` and ``a//b`` are two objects."""

    object_name: ObjectName


class NewObjectAddress(StorageAddress):
    """Where in a storage an object is put: slashes that only make an empty part are left out of its name."""

    object_name: NewObjectName


class Workspace(Construct):
    """A private, versioned bucket, and a role for sessions that a session policy limits to one storage.

    With `public_assets` everybody may read what is below ``public/`` in the bucket, and nothing else. Objects that were replaced or
    deleted are kept for `noncurrent_retention_in_days`.
    """

    template: ClassVar[str] = "workspace.yaml.j2"

    workspace_id: WorkspaceId
    public_assets: bool = False
    noncurrent_retention_in_days: Annotated[int, between(1, 3650, "days")] = 30

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one asked for, or the workspace's id after ``workspace-``."""
        return self.stack or f"workspace-{self.workspace_id}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which this tool knows the stack as its own, and as that of this workspace."""
        return {**super().tags, f"{TAG_PREFIX}name": self.workspace_id}
