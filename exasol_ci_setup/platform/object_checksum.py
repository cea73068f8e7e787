"""The checksum that S3 has of an object, of each kind, and its computation from the content.

A checksum is that of the whole content, or a composite one: the checksum of the checksums of the parts of an upload. Source:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import anycrc


class Hasher(Protocol):
    """An object with the methods of `hashlib`."""

    def update(self, content: bytes, /) -> object:
        """Add content."""

    def digest(self) -> bytes:
        """Return the checksum of the content."""


class _Crc:
    """A cyclic redundancy check in the encoding of S3: the bytes of the number, the most significant first."""

    def __init__(self, model: str, size: int) -> None:
        import anycrc

        self._crc: anycrc.CRC = anycrc.Model(model)
        self._size = size
        self._value = self._crc.calc(b"")

    def update(self, content: bytes, /) -> None:
        self._value = self._crc.calc(content, self._value)

    def digest(self) -> bytes:
        return int(self._value).to_bytes(self._size, "big")


def _md5() -> Hasher:
    return hashlib.md5(usedforsecurity=False)


_HASHERS: Final[Mapping[str, Callable[[], Hasher]]] = {
    "CRC64NVME": lambda: _Crc("CRC64-NVME", 8),
    "CRC32": lambda: _Crc("CRC32-ISO-HDLC", 4),
    "CRC32C": lambda: _Crc("CRC32-ISCSI", 4),
    "SHA256": hashlib.sha256,
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
}
_PARTS: Final = re.compile(r"(.+)-([0-9]+)")
_MD5_PARTS: Final = re.compile(r"([0-9a-f]{32})-([0-9]+)")


@dataclass(frozen=True)
class ObjectChecksum:
    """A checksum of S3. `parts` is the number of parts of a composite one.

    A checksum that `is_certain` differs if the content differs. One that is not proves only that the content is the same.
    """

    make: Callable[[], Hasher]
    digest: bytes
    parts: int | None = None
    is_certain: bool = True


class PartsHasher:
    """Computes a checksum of checksums: of parts with these sizes in bytes."""

    def __init__(self, make: Callable[[], Hasher], sizes: Iterable[int]) -> None:
        self._make = make
        self._whole = make()
        self._part = make()
        self._sizes = iter(sizes)
        self._left = next(self._sizes, 0)

    def update(self, content: bytes, /) -> None:
        """Add content, also of several parts."""
        rest = memoryview(content)
        while rest and self._left:
            piece = rest[: self._left]
            self._part.update(piece)  # type: ignore[arg-type]
            self._left -= len(piece)
            rest = rest[len(piece) :]
            if not self._left:
                self._whole.update(self._part.digest())
                self._part = self._make()
                self._left = next(self._sizes, 0)

    def digest(self) -> bytes:
        """Return the checksum of the checksums."""
        return self._whole.digest()


def checksum_of(head: Mapping[str, Any]) -> ObjectChecksum | None:
    """Return the best checksum in the answer of HeadObject, or None if it has none that this module computes.

    With SSE-S3, the ETag is the MD5 of an object of one request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html. That of
    parts is the MD5 of their MD5s, but AWS does not promise it.
    """
    for name, make in _HASHERS.items():
        text = head.get(f"Checksum{name}", "")
        composite = _PARTS.fullmatch(text)
        try:
            digest = base64.b64decode(composite[1] if composite else text, validate=True)
        except binascii.Error:
            continue
        if text:
            return ObjectChecksum(make, digest, int(composite[2]) if composite else None)
    if head.get("ServerSideEncryption") == "AES256":
        tag = str(head["ETag"]).strip('"')
        if of_parts := _MD5_PARTS.fullmatch(tag):
            return ObjectChecksum(_md5, bytes.fromhex(of_parts[1]), int(of_parts[2]), is_certain=False)
        if re.fullmatch(r"[0-9a-f]{32}", tag):
            return ObjectChecksum(_md5, bytes.fromhex(tag))
    return None


def equal_sizes(size: int, count: int, first: int) -> Sequence[int] | None:
    """Return the sizes of `count` parts of an object of `size` bytes if all have the size of the `first`, except the last, or None."""
    last = size - first * (count - 1)
    return [*[first] * (count - 1), last] if 0 < last <= first else None
