"""The file ``~/.naas/credentials`` with the credentials of each storage that this user is connected to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import StorageError
from exasol_ci_setup.platform import private_files

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "credentials"
_STORAGES: Final = "storage"
_PROVIDER: Final = "s3"
# Credentials that expire earlier would expire during the next transfer.
_MARGIN: Final = timedelta(minutes=15)
_TIME: Final = "%Y-%m-%d %H:%M:%S%z"


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of AWS for one storage."""

    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: datetime

    @property
    def are_valid(self) -> bool:
        """Whether they are valid for some time yet."""
        return self.expires_at - datetime.now(timezone.utc) > _MARGIN


def path() -> Path:
    """Return the path of the file."""
    return private_files.folder() / _FILE


def find(workspace_id: str, storage_name: str) -> Credentials | None:
    """Return the credentials of a storage in the file, or None if they are missing or invalid.

    Raises StorageError if the file cannot be read.
    """
    entry: Any = _read()
    for key in (_STORAGES, workspace_id, storage_name, _PROVIDER):
        entry = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(entry, dict):
        return None
    try:
        return Credentials(
            region=str(entry["REGION_NAME"]),
            access_key_id=str(entry["AWS_ACCESS_KEY_ID"]),
            secret_access_key=str(entry["AWS_SECRET_ACCESS_KEY"]),
            session_token=str(entry["AWS_SESSION_TOKEN"]),
            expires_at=datetime.strptime(str(entry["AWS_SESSION_EXPIRATION_TOKEN"]), _TIME).astimezone(timezone.utc),
        )
    except (KeyError, ValueError):
        return None


def save(workspace_id: str, storage_name: str, credentials: Credentials) -> None:
    """Write the credentials of a storage into the file, and keep its other content. Raises StorageError."""
    with private_files.lock(path()):
        content = _read()
        storages = _below(_below(content, _STORAGES), workspace_id)
        _below(storages, storage_name)[_PROVIDER] = {
            "REGION_NAME": credentials.region,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
            "AWS_SESSION_EXPIRATION_TOKEN": credentials.expires_at.strftime(_TIME),
        }
        private_files.write(path(), json.dumps(content, indent=2) + "\n")


def forget(workspace_id: str, storage_name: str) -> None:
    """Remove the credentials of a storage from the file if they exist. Raises StorageError."""
    if find(workspace_id, storage_name) is None:
        return
    with private_files.lock(path()):
        content = _read()
        workspaces = _below(content, _STORAGES)
        storages = _below(workspaces, workspace_id)
        _below(storages, storage_name).pop(_PROVIDER, None)
        if not storages[storage_name]:
            del storages[storage_name]
        if not storages:
            del workspaces[workspace_id]
        private_files.write(path(), json.dumps(content, indent=2) + "\n")


def _read() -> dict[str, Any]:
    text = private_files.read(path())
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        # A new file would lose what other tools store in it.
        raise StorageError(f"{path()} is not JSON: {error}", hint="correct it, or move it away") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path()} is not a JSON object", hint="correct it, or move it away")
    return content


def _below(values: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object under `key`; add it if it is missing."""
    found = values.get(key)
    if not isinstance(found, dict):
        found = values[key] = {}
    return found
