"""The disk of the hosted API's state: errors that name the directory, and room that is kept for a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import DiskFull, StateError
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME: Final = "reserve"
# What the deletion of an app writes fits in many times.
_BYTES: Final = 1 << 18


@contextlib.contextmanager
def storing(directory: Path) -> Iterator[None]:
    """Raise an error of files or the database below `directory` as DiskFull or StateError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        is_full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "full" in str(error)
        # SQLite has other words for it, too, where it cannot make a file.
        if is_full or not _free_bytes(directory):
            raise DiskFull(f"The disk with the state directory {directory} is full.") from error
        raise StateError(f"The state directory {directory} cannot be used: {error}") from error


def _free_bytes(directory: Path) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 1
    return found.f_bavail * found.f_frsize


class Reserve:
    """A file in the state `directory` whose room is given to the requests that make a full disk less full."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / _NAME

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """On a full disk, give the room to what is done inside; take it again afterwards."""
        if _free_bytes(self._directory) < _BYTES:
            with storing(self._directory):
                self._path.unlink(missing_ok=True)
        try:
            yield
        finally:
            self.hold()

    def hold(self) -> None:
        """Take the room, or as much of it as there is."""
        if self._path.exists():
            return
        # On a full disk that is what was given a moment ago.
        size = min(_BYTES, _free_bytes(self._directory))
        with contextlib.suppress(OSError):
            # Not zeros, of which some file systems keep nothing.
            write_whole(self._path, os.urandom(size), mode=0o600, fsync=True)
