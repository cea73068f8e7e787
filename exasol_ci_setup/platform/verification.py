"""Comparison of a downloaded object with the checksum that S3 has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code
from exasol_ci_setup.platform.object_checksum import PartsHasher, checksum_of, equal_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.platform.object_checksum import Hasher

_PARALLEL_REQUESTS: Final = 10


class Verification:
    """The checksum of the object in `head`, the answer of HeadObject, and the comparison with it."""

    def __init__(self, s3: S3Client, request: Mapping[str, str], head: Mapping[str, Any]) -> None:
        self._s3 = s3
        self._request = dict(request)
        self._size = head["ContentLength"]
        self._checksum = checksum_of(head)
        self._sizes: Sequence[int] | None = None
        if self._checksum is not None and self._checksum.parts is not None:
            self._sizes = self._part_sizes(self._checksum.parts)
            if self._sizes is None:
                self._checksum = None

    def hasher(self) -> Hasher:
        """Return what computes the checksum; it ignores the content if S3 has none that this tool computes."""
        if self._checksum is None:
            return _Ignored()
        return self._checksum.make() if self._sizes is None else PartsHasher(self._checksum.make, self._sizes)

    def result(self, hasher: Hasher, read: Callable[[Callable[[bytes], object]], object] | None = None) -> bool | None:
        """Return whether the checksum is that of S3, or None if the comparison proves nothing.

        `read` passes the content to a function again, which is needed if the parts of the upload have different sizes.
        """
        checksum = self._checksum
        if checksum is None:
            return None
        if hasher.digest() == checksum.digest:
            return True
        if checksum.parts is None:
            return False
        sizes = self._all_part_sizes(checksum.parts)
        if sizes != self._sizes:
            if read is None or sizes is None:
                return None
            again = PartsHasher(checksum.make, sizes)
            read(again.update)
            if again.digest() == checksum.digest:
                return True
        return False if checksum.is_certain else None

    def _part_sizes(self, count: int) -> Sequence[int] | None:
        """Return the sizes of the parts of the upload, which are equal except the last as a rule, or None if they are unknown."""
        first = self._part_size(1)
        return equal_sizes(self._size, count, first) or self._all_part_sizes(count)

    def _all_part_sizes(self, count: int) -> Sequence[int] | None:
        with ThreadPoolExecutor(_PARALLEL_REQUESTS, thread_name_prefix="parts") as workers:
            sizes = [*workers.map(self._part_size, range(1, count + 1))]
        return sizes if sum(sizes) == self._size else None

    def _part_size(self, number: int) -> int:
        """Return the size of a part, or 0 if S3 does not store the parts of the object."""
        try:
            return self._s3.head_object(**self._request, PartNumber=number)["ContentLength"]  # type: ignore[arg-type]
        except ClientError as error:
            if error_code(error) in {"400", "416"}:
                return 0
            raise


class _Ignored:
    def update(self, content: bytes, /) -> None:
        """Ignore the content."""

    def digest(self) -> bytes:
        return b""
