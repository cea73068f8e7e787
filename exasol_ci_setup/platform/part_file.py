"""The part file of a download: a hidden file beside the destination, and the digests of its blocks.

A resumed download reuses only blocks whose digest matches, because the length of a file says nothing about its content.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO, Final

from exasol_ci_setup.core.errors import InputError, TransferFailedError
from exasol_ci_setup.platform import private_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCK: Final = 1024 * 1024
_DIGEST_BYTES: Final = 16
_NAME: Final = re.compile(r"\..+\.[0-9a-f]{12}\.(part|sums)", re.DOTALL)


def is_part_file(name: str) -> bool:
    """Return whether `name` is that of a part file or of its digests."""
    return _NAME.fullmatch(name) is not None


class PartFile:
    """The file for one object of `whole` bytes, locked by `open_part_file`; `size` is the number of bytes in intact blocks at its opening."""

    def __init__(self, path: Path, file: BinaryIO, whole: int, target: Path) -> None:
        self.whole = whole
        self._target = target
        self._path = path
        self._file = file
        self._missing = self._find_missing()
        self.size = whole - sum(self._length(index) for index in self._missing)

    def missing(self, longest: int) -> list[tuple[int, int]]:
        """Return the ranges that are missing, as start and end, each with at most `longest` bytes. They begin with a block."""
        ranges: list[tuple[int, int]] = []
        for index in self._missing:
            start = index * BLOCK
            end = start + self._length(index)
            if ranges and ranges[-1][1] == start and end - ranges[-1][0] <= longest:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((start, end))
        return ranges

    @contextmanager
    def writer(self, start: int, end: int) -> Iterator[RangeWriter]:
        """Open the file for one of the missing ranges; threads may write several ranges at the same time. Raises InputError."""
        with (
            _write_errors(self._target),
            self._path.open("r+b", buffering=0) as file,
            _digests_of(self._path).open("r+b", buffering=0) as digests,
        ):
            yield RangeWriter(file, digests, start, end)

    def is_intact(self, read: Callable[[bytes], object]) -> bool:
        """Return whether the file has the content that was appended; `read` receives all of it. Raises OSError."""
        os.fsync(self._file.fileno())
        with _digests_of(self._path).open("rb") as digests:
            is_same = all(_digest(block).digest() == digests.read(_DIGEST_BYTES) for block in self._passed(read))
            return is_same and not digests.read(1) and os.fstat(self._file.fileno()).st_size == self.whole

    def read(self, receive: Callable[[bytes], object]) -> None:
        """Pass the content to a function. Raises OSError."""
        for _ in self._passed(receive):
            pass

    def replace(self, target: Path) -> None:
        """Replace `target` with the file. Raises OSError."""
        _digests_of(self._path).unlink()
        self._path.replace(target)

    def discard(self) -> None:
        """Remove the file. Raises OSError."""
        _digests_of(self._path).unlink()
        self._path.unlink()

    def _passed(self, receive: Callable[[bytes], object]) -> Iterator[bytes]:
        self._file.seek(0)
        while block := self._file.read(BLOCK):
            receive(block)
            yield block

    def _length(self, index: int) -> int:
        return min(BLOCK, self.whole - index * BLOCK)

    def _find_missing(self) -> list[int]:
        """Return the indexes of the blocks that are missing or damaged, and remove their digests."""
        count = -(-self.whole // BLOCK)
        missing: list[int] = []
        with _open_digests(self._path) as digests:
            known = digests.read()
            for index in range(count):
                digest = known[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES]
                if not any(digest) or not self._has(index, digest):
                    missing.append(index)
                    if any(digest):
                        os.pwrite(digests.fileno(), bytes(_DIGEST_BYTES), index * _DIGEST_BYTES)
            digests.truncate(min(len(known), count * _DIGEST_BYTES))
        self._file.truncate(min(os.fstat(self._file.fileno()).st_size, self.whole))
        return missing

    def _has(self, index: int, digest: bytes) -> bool:
        self._file.seek(index * BLOCK)
        return _digest(self._file.read(self._length(index))).digest() == digest


class RangeWriter:
    """Writes one range of a part file in order; `position` is the offset of the next byte."""

    def __init__(self, file: FileIO, digests: FileIO, start: int, end: int) -> None:
        self.position = start
        self._file = file
        self._digests = digests
        self._end = end
        self._block = _digest()

    def append(self, content: bytes, /) -> None:
        """Write received bytes. Raises OSError."""
        rest = memoryview(content)
        while rest:
            piece = rest[: BLOCK - self.position % BLOCK]
            written = os.pwrite(self._file.fileno(), piece, self.position)
            self._block.update(piece[:written])
            self.position += written
            rest = rest[written:]
            if not self.position % BLOCK or self.position == self._end:
                # After the block: a digest without its block is harmless.
                index = (self.position - 1) // BLOCK
                os.pwrite(self._digests.fileno(), self._block.digest(), index * _DIGEST_BYTES)
                self._block = _digest()


@contextmanager
def open_part_file(target: Path, object_id: str, size: int) -> Iterator[PartFile]:
    """Open and lock the part file of the object `object_id` of `size` bytes for the destination `target`.

    Raises TransferFailedError if another process has the lock, and InputError if the file cannot be written.
    """
    fingerprint = hashlib.sha256(object_id.encode()).hexdigest()[:12]
    # The name of a file has at most 255 bytes, and a character up to four.
    path = target.with_name(f".{target.name[:50]}.{fingerprint}.part")
    with _write_errors(target), ExitStack() as stack:
        try:
            # The file becomes the destination, so it gets the mode of any new file of the user.
            file = stack.enter_context(private_files.open_locked(path, mode=0o666, wait=False))
        except BlockingIOError:
            raise TransferFailedError(f"another download is writing {path}", hint="wait for its end") from None
        yield PartFile(path, file, size, target)


def _digests_of(path: Path) -> Path:
    return path.with_suffix(".sums")


def _open_digests(path: Path) -> FileIO:
    """Open the file with the digests of the blocks for reading and writing; a missing digest is zero. Raises OSError."""
    descriptor = os.open(_digests_of(path), os.O_RDWR | os.O_CREAT, 0o666)
    return FileIO(descriptor, "r+")


def _digest(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES)


@contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
