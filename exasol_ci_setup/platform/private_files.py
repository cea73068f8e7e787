"""Files in the platform's folder in the home directory: readable by their owner only, written atomically, lock between processes."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import StorageError
from exasol_ci_setup.core.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


def folder() -> Path:
    """Return the platform's folder, ``~/.naas``, which may not exist yet."""
    return Path.home() / ".naas"


def create_folder(name: str = "") -> Path:
    """Create the platform's folder, or `name` in it, with mode 0700, and return it. Raises StorageError."""
    path = folder() / name
    try:
        for each in (folder(), path):
            each.mkdir(mode=0o700, exist_ok=True)
            if each.stat().st_mode & 0o077:
                each.chmod(0o700)
    except OSError as error:
        raise unusable(path, "used", error) from error
    return path


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, a file in the platform's folder, while the context is open; other threads and processes wait.

    The lock is a file beside it, because `path` itself is replaced. Raises StorageError if the lock file cannot be created.
    """
    create_folder()
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unusable(path, "written", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def open_locked(path: Path, *, mode: int = 0o600, wait: bool = True) -> Iterator[BinaryIO]:
    """Open the file `path` for reading and writing, and lock it against other calls of this function.

    A missing file is created with `mode`. The holder of the lock may remove or move the file. Without `wait`, a lock of another process
    raises BlockingIOError. Raises OSError.
    """
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, mode), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # The previous holder may have removed or moved the file.
            if _is_at(path, file):
                yield file
                return


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def write(path: Path, text: str) -> None:
    """Replace the content of `path` with `text`, atomically and with mode 0600 from the first byte.

    Raises StorageError if it cannot be written.
    """
    # Keep a symbolic link: replace its target.
    target = path.resolve()
    try:
        write_whole(target, text.encode(), mode=0o600, fsync=True)
    except OSError as error:
        raise unusable(path, "written", error) from error


def read(path: Path) -> str:
    """Return the content of `path`, or an empty text if it does not exist. Raises StorageError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise unusable(path, "read", error) from error


def unusable(path: Path, done: str, error: Exception) -> StorageError:
    """Return the error for a file `path` that cannot be `done`, such as ``read``."""
    why = getattr(error, "strerror", None) or "it is not text"
    return StorageError(f"{path} cannot be {done}: {why}", hint="correct it, or move it away")
