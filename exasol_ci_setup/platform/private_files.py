"""Files in the platform's folder in the home directory, which only their owner reads: written as a whole, and one process at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exasol_ci_setup.errors import StorageError
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


def folder() -> Path:
    """Return the platform's folder, ``~/.naas``, which need not be there yet."""
    return Path.home() / ".naas"


def made_folder(name: str = "") -> Path:
    """Return the platform's folder, or the one called `name` in it, made for its owner alone. Raises StorageError."""
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
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, a file in the platform's folder, while the context is open; whoever else wants it waits, in this process and in others.

    The lock is a file beside it, since `path` itself is replaced. Raises StorageError if there can be no such file.
    """
    made_folder()
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
def held(path: Path, *, mode: int = 0o600, wait: bool = True) -> Iterator[BinaryIO]:
    """Open the file `path` for reading and appending, and hold it against everybody else who opens it so.

    A file that is not there is made with `mode`; whoever holds it may remove or move it. Without `wait` BlockingIOError tells that somebody
    else holds it. Raises OSError.
    """
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # What was waited for may have gone meanwhile.
            if _is_at(path, file):
                yield file
                return


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def write(path: Path, text: str) -> None:
    """Put `text` in the place of what is in `path`: with mode 0600 from its first byte, and either wholly or not at all.

    Raises StorageError if it cannot be written.
    """
    # A link stays one: what it leads to is replaced.
    target = path.resolve()
    try:
        write_whole(target, text.encode(), mode=0o600, fsync=True)
    except OSError as error:
        raise unusable(path, "written", error) from error


def read(path: Path) -> str:
    """Return what is in `path`, and nothing if it is not there. Raises StorageError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise unusable(path, "read", error) from error


def unusable(path: Path, done: str, error: Exception) -> StorageError:
    """Return the error that says why the file `path` could not be `done` to, such as ``read``."""
    why = getattr(error, "strerror", None) or "it is no text"
    return StorageError(f"{path} cannot be {done}: {why}", hint="correct it, or move it away")
