"""Errors of the state directory of the hosted API, and a disk reserve for operations on a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sqlite3
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import DiskFullError, StateError
from exasol_ci_setup.core.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME: Final = "reserve"
# Many times the size of the writes that delete an app.
_BYTES: Final = 1 << 18


@contextlib.contextmanager
def storage_errors(directory: Path) -> Iterator[None]:
    """Translate errors of files and of the database below `directory` to DiskFullError or StateError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        # The text of an OSError has the path.
        is_full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or (
            isinstance(error, sqlite3.Error) and "disk is full" in str(error)
        )
        # SQLite reports another error if it cannot create a file.
        if is_full or not _free_bytes(directory):
            raise DiskFullError(f"The disk with the state directory {directory} is full.") from error
        raise StateError(f"The state directory {directory} cannot be used: {error}") from error


def _free_bytes(directory: Path) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 1
    return found.f_bavail * found.f_frsize


class Reserve:
    """A file in the state `directory` that reserves disk space for requests that free disk space."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / _NAME

    @contextlib.contextmanager
    def release(self) -> Iterator[None]:
        """On a full disk, release the reserve for the operations inside; reserve it again afterwards."""
        if _free_bytes(self._directory) < _BYTES:
            with storage_errors(self._directory):
                self._path.unlink(missing_ok=True)
        try:
            yield
        finally:
            self.hold()

    def hold(self) -> None:
        """Reserve the space, or as much as is free."""
        if self._path.exists():
            return
        # On a full disk, this is the space that was just released.
        size = min(_BYTES, _free_bytes(self._directory))
        with contextlib.suppress(OSError):
            # Not zeros, for which some file systems use no space.
            write_whole(self._path, secrets.token_bytes(size), mode=0o600, fsync=True)
