"""The part file of a download: a hidden file beside the destination, and the digests of its blocks.

A resumed download reuses only blocks whose digest matches, because the length of a file says nothing about its content.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from exasol_ci_setup.core.errors import InputError, TransferFailedError
from exasol_ci_setup.platform import private_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCK: Final = 1024 * 1024
_DIGEST_BYTES: Final = 16


class PartFile:
    """The file for one object, locked by `open_part_file`; `size` is the number of bytes of the object in it."""

    def __init__(self, path: Path, file: BinaryIO, digests: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._digests = digests
        self._block = _digest()
        self._filled = 0
        self.size = self._truncate_to_intact()

    def append(self, content: bytes) -> None:
        """Append received bytes. Raises OSError."""
        left = memoryview(content)
        while left:
            piece = left[: BLOCK - self._filled]
            self._file.write(piece)
            self._block.update(piece)
            self._filled += len(piece)
            self.size += len(piece)
            if self._filled == BLOCK:
                self._end_block()
            left = left[len(piece) :]

    def is_intact(self, read: Callable[[bytes], object]) -> bool:
        """Return whether the file has the appended content; `read` receives all of it. Call it last. Raises OSError."""
        if self._filled:
            self._end_block()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.seek(0)
        self._digests.seek(0)
        while block := self._file.read(BLOCK):
            if _digest(block).digest() != self._digests.read(_DIGEST_BYTES):
                return False
            read(block)
        return not self._digests.read(1)

    def replace(self, target: Path) -> None:
        """Replace `target` with the file. Raises OSError."""
        _digests_of(self._path).unlink()
        self._path.replace(target)

    def discard(self) -> None:
        """Remove the file. Raises OSError."""
        _digests_of(self._path).unlink()
        self._path.unlink()

    def _truncate_to_intact(self) -> int:
        """Truncate the file after its last intact block, and return its length in bytes."""
        good = 0
        self._file.seek(0)
        self._digests.seek(0)
        while digest := self._digests.read(_DIGEST_BYTES):
            block = self._file.read(BLOCK)
            if len(block) < BLOCK or _digest(block).digest() != digest:
                break
            good += 1
        self._file.truncate(good * BLOCK)
        self._file.seek(0, os.SEEK_END)
        self._digests.truncate(good * _DIGEST_BYTES)
        self._digests.seek(0, os.SEEK_END)
        return good * BLOCK

    def _end_block(self) -> None:
        # Write the block first: a digest without its block is harmless.
        self._file.flush()
        self._digests.write(self._block.digest())
        self._digests.flush()
        self._block = _digest()
        self._filled = 0


@contextmanager
def open_part_file(target: Path, object_id: str) -> Iterator[PartFile]:
    """Open and lock the part file of the object `object_id` for the destination `target`.

    Raises TransferFailedError if another process has the lock, and InputError if the file cannot be written.
    """
    fingerprint = hashlib.sha256(object_id.encode()).hexdigest()[:12]
    # The name of a file has at most 255 bytes, and a character up to four.
    path = target.with_name(f".{target.name[:50]}.{fingerprint}.part")
    # The end of the context also flushes the buffers.
    with _write_errors(target), ExitStack() as stack:
        try:
            # The file becomes the destination, so it gets the mode of any new file of the user.
            file = stack.enter_context(private_files.open_locked(path, mode=0o666, wait=False))
        except BlockingIOError:
            raise TransferFailedError(f"another download is writing {path}", hint="wait for its end") from None
        yield PartFile(path, file, stack.enter_context(_digests_of(path).open("a+b")))


def _digests_of(path: Path) -> Path:
    return path.with_suffix(".sums")


def _digest(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES)


@contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
