"""What has arrived of a download: a hidden file beside its destination, and the digests of the blocks in it.

A resume builds on blocks whose digest matches, and on nothing else: the length of a file says nothing about what is in it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from exasol_ci_setup.errors import InputError, TransferFailed
from exasol_ci_setup.platform import private_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCK: Final = 1024 * 1024
_DIGEST_BYTES: Final = 16


class PartFile:
    """The file for one object, which `opened` holds against other processes; `size` is how many bytes of the object it has."""

    def __init__(self, path: Path, file: BinaryIO, digests: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._digests = digests
        self._block = _digest()
        self._filled = 0
        self.size = self._restored()

    def append(self, content: bytes) -> None:
        """Add what arrived. Raises OSError."""
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
        """Return whether the file holds what was appended; `read` gets all of it. Nothing is appended afterwards. Raises OSError."""
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

    def become(self, target: Path) -> None:
        """Put the file in the place of `target`. Raises OSError."""
        _digests_of(self._path).unlink()
        self._path.replace(target)

    def discard(self) -> None:
        """Remove the file. Raises OSError."""
        _digests_of(self._path).unlink()
        self._path.unlink()

    def _restored(self) -> int:
        """Cut off what follows the last block that is as it arrived, and return how many bytes are left."""
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
        # The block comes first: a digest without its block is no harm.
        self._file.flush()
        self._digests.write(self._block.digest())
        self._digests.flush()
        self._block = _digest()
        self._filled = 0


@contextmanager
def opened(target: Path, object_id: str) -> Iterator[PartFile]:
    """Open the part file for the object known by `object_id` that is to become `target`, for one process at a time.

    Raises TransferFailed if another process has it, and InputError if it cannot be written.
    """
    fingerprint = hashlib.sha256(object_id.encode()).hexdigest()[:12]
    # A file's name has at most 255 bytes, and a character may be four of them.
    path = target.with_name(f".{target.name[:50]}.{fingerprint}.part")
    # The end of the context writes too, what is in buffers.
    with _written(target), ExitStack() as stack:
        try:
            # With the mode that any new file of this user has, as it becomes the file that was asked for.
            file = stack.enter_context(private_files.held(path, mode=0o666, wait=False))
        except BlockingIOError:
            raise TransferFailed(f"another download writes {path}", hint="wait until it has ended") from None
        yield PartFile(path, file, stack.enter_context(_digests_of(path).open("a+b")))


def _digests_of(path: Path) -> Path:
    return path.with_suffix(".sums")


def _digest(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES)


@contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
