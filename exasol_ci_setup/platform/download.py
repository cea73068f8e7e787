"""Downloads of one object: in parallel ranges, with progress; an interrupted download resumes if the ETag is unchanged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Final, Protocol

from exasol_ci_setup.aws.session import (
    BotoCoreError,
    ClientError,
    error_code,
    is_transient,
    translate_aws_errors,
)
from exasol_ci_setup.core.errors import InputError, ObjectNotFoundError, TransferFailedError
from exasol_ci_setup.core.files import is_stream
from exasol_ci_setup.platform import part_file
from exasol_ci_setup.platform.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

    from exasol_ci_setup.core.reporter import Reporter
    from exasol_ci_setup.platform.part_file import PartFile

_CHUNK: Final = 1024 * 1024
_LEAST_RANGE: Final = 8 * _CHUNK
_MOST_RANGE: Final = 64 * _CHUNK  # A slow connection delays the end by at most one range.
_PARALLEL_RANGES: Final = 10  # As many connections as a client of botocore keeps open.
_FINISH_SECONDS: Final = 5.0
_MAX_EMPTY_CONNECTIONS: Final = 5  # consecutive connections without data; botocore retries each request before


class _Sink(Protocol):
    """What receives a range of an object in order: `position` is the offset of the next byte."""

    @property
    def position(self) -> int:
        """The offset of the next byte."""

    def append(self, content: bytes, /) -> None:
        """Write received bytes."""


def download(s3: S3Client, *, bucket: str, key: str, target: Path, reporter: Reporter, name: str) -> int:
    """Download an object into the file `target`, which is replaced atomically, and return its size in bytes.

    The data goes to a part file beside it; an interrupted download resumes if the ETag is unchanged. `name` is the object's name in errors. The reporter
    receives the number of bytes in the part file and the size: at the start, and after each MiB.
    Raises ObjectNotFoundError, InputError if the file cannot be written, TransferFailedError if the object changes or the data is damaged, and the
    errors of the AWS boundary.
    """
    if is_stream(target):
        raise InputError(
            f"{target} cannot be written: it is a device, a pipe or a socket", hint="choose a file as the destination"
        )
    with translate_aws_errors():
        head = head_object(s3, bucket, key, name)
        size, tag = head["ContentLength"], head["ETag"]
        request = {"Bucket": bucket, "Key": key, "IfMatch": tag}
        verification = Verification(s3, request, head)
        with part_file.open_part_file(target, f"{bucket}/{key}/{tag}", size) as part:
            reporter.progress(part.size, size)
            _fetch(s3, request, part, reporter=reporter, name=name)
            hasher = verification.hasher()
            is_same = verification.result(hasher, part.read) if part.is_intact(hasher.update) else False
            if is_same is False:
                part.discard()
                raise TransferFailedError(
                    f"the downloaded data of {name} is damaged: its checksum does not match",
                    hint="run the same command again: it starts from the beginning",
                )
            part.replace(target)
        _report_unverified(reporter, name, is_same)
    return size


def download_stream(
    s3: S3Client, write: Callable[[bytes], object], *, bucket: str, key: str, reporter: Reporter, name: str
) -> int:
    """Pass an object to `write` in pieces, in their order, and return its size in bytes.

    Raises ObjectNotFoundError, TransferFailedError if the object changes, or if the data that was written is damaged, and the errors of the AWS
    boundary.
    """
    with translate_aws_errors():
        head = head_object(s3, bucket, key, name)
        request = {"Bucket": bucket, "Key": key, "IfMatch": head["ETag"]}
        verification = Verification(s3, request, head)
        hasher = verification.hasher()
        size = head["ContentLength"]
        reporter.progress(0, size)

        def receive(content: bytes) -> None:
            write(content)
            hasher.update(content)

        stream = _Stream(receive)
        _fetch_range(s3, request, stream, size, name, lambda _count: reporter.progress(stream.position, size))
        is_same = verification.result(hasher) if stream.position == size else False
        if is_same is False:
            raise TransferFailedError(
                f"the data of {name} that was written is damaged: its checksum does not match",
                hint="discard it, and run the same command again",
            )
        _report_unverified(reporter, name, is_same)
    return size


class _Stream:
    """Passes what is appended to a function."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.position = 0

    def append(self, content: bytes, /) -> None:
        """Write received bytes."""
        self._write(content)
        self.position += len(content)


def _report_unverified(reporter: Reporter, name: str, is_same: bool | None) -> None:
    """Report that the content was not compared with a checksum of S3."""
    if is_same is None:
        reporter.note(
            f"the content of {name} was not verified: S3 has no checksum of the whole object that this tool compares"
        )


def head_object(s3: S3Client, bucket: str, key: str, name: str) -> HeadObjectOutputTypeDef:
    """Return size, checksum and properties of an object. Raises ObjectNotFoundError, and botocore's errors."""
    try:
        return s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        # Without permission to list the bucket, S3 answers 403 for a missing object:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        if error_code(error) in {"404", "403"} and not object_exists(s3, bucket, key):
            raise _not_found(name) from error
        raise


def _fetch(s3: S3Client, request: dict[str, str], part: PartFile, *, reporter: Reporter, name: str) -> None:
    """Write the missing bytes of the object to the part file, in parallel ranges. The reporter is called in this thread only."""
    missing = part.missing(_range_size(part.whole - part.size))
    if not missing:
        return
    done = part.size
    stop = Event()
    received: SimpleQueue[int | Future[None]] = SimpleQueue()

    def fetch(start: int, end: int) -> None:
        def count(length: int) -> None:
            received.put(length)
            if stop.is_set():
                raise _Stopped

        with part.writer(start, end) as sink:
            _fetch_range(s3, request, sink, end, name, count)

    workers = ThreadPoolExecutor(min(_PARALLEL_RANGES, len(missing)), thread_name_prefix="download")
    running: list[Future[None]] = []
    try:
        for start, end in missing:
            running.append(workers.submit(fetch, start, end))
            running[-1].add_done_callback(received.put)
        left = len(running)
        while left:
            message = received.get()
            if isinstance(message, int):
                done += message
                reporter.progress(done, part.whole)
            else:
                message.result()
                left -= 1
    finally:
        # After an error or Ctrl-C, running ranges get a few seconds to finish, and no others start.
        stop.set()
        workers.shutdown(wait=False, cancel_futures=True)
        wait([each for each in running if not each.cancelled()], timeout=_FINISH_SECONDS)


def _range_size(missing: int) -> int:
    """Return the most bytes of one request: few requests, but one for each connection."""
    return min(max(-(-missing // _PARALLEL_RANGES), _LEAST_RANGE), _MOST_RANGE)


class _Stopped(Exception):  # noqa: N818 - no error: another range failed
    """Ends a range of a download that failed elsewhere."""


def _fetch_range(
    s3: S3Client, request: dict[str, str], sink: _Sink, end: int, name: str, count: Callable[[int], object]
) -> None:
    """Append the bytes of the object up to `end` to `sink`; reconnect if needed. `count` receives the number of bytes of each piece."""
    breaks = 0
    while (position := sink.position) < end:
        try:
            for chunk in _chunks(s3, request, position, end, name):
                sink.append(chunk)
                count(len(chunk))
        except BotoCoreError as error:
            if not is_transient(error) or breaks >= _MAX_EMPTY_CONNECTIONS:
                raise
        breaks = 0 if sink.position > position else breaks + 1
        if breaks > _MAX_EMPTY_CONNECTIONS:
            raise TransferFailedError(
                f"the download of {name} stopped: no more data",
                hint="run the same command again: it resumes the download",
            )


def _chunks(s3: S3Client, request: dict[str, str], start: int, end: int, name: str) -> Iterator[bytes]:
    """Yield the bytes of the object in this range, with one connection. Raises an error if the object was replaced or deleted."""
    try:
        answer = s3.get_object(**request, Range=f"bytes={start}-{end - 1}")  # type: ignore[arg-type]
    except ClientError as error:
        if error_code(error) in {"PreconditionFailed", "412"}:
            raise TransferFailedError(f"{name} was replaced during the download", hint="download it again") from error
        if error_code(error) in {"NoSuchKey", "404"}:
            raise _not_found(name) from error
        raise
    if not answer.get("ContentRange", "").startswith(f"bytes {start}-{end - 1}/"):
        raise TransferFailedError(f"the answer for {name} is not the requested range from byte {start}")
    yield from answer["Body"].iter_chunks(_CHUNK)


def object_exists(s3: S3Client, bucket: str, key: str) -> bool:
    """Return whether an object exists. Raises botocore's errors."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    return any(entry["Key"] == key for entry in found.get("Contents", []))


def _not_found(name: str) -> ObjectNotFoundError:
    return ObjectNotFoundError(f"object {name!r} does not exist")
