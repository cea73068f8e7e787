"""Uploads of one object: in parts, with progress; an interrupted upload resumes."""

from __future__ import annotations

import hashlib
import mimetypes
import stat
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from exasol_ci_setup.aws.session import ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.core.errors import InputError, TransferFailedError
from exasol_ci_setup.platform import private_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.core.reporter import Reporter

_MEBIBYTE: Final = 1024 * 1024
PART: Final = 8 * _MEBIBYTE
_MOST_PARTS: Final = 10_000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""
_PARALLEL_PARTS: Final = 6  # Each part is in memory.
_PARTS_OF_ONE_SIZE: Final = 1_000
_FINISH_SECONDS: Final = 5.0  # seconds


@dataclass(frozen=True)
class _Upload:
    """The state of a multipart upload on AWS."""

    id: str
    there: dict[int, dict[str, Any]]


def part_size(size: int) -> int:
    """Return the bytes of each part of an object of `size` bytes: whole MiB, and at most the maximum number of parts of S3."""
    least = -(-size // _MOST_PARTS)
    return max(PART, -(-least // _MEBIBYTE) * _MEBIBYTE)


def upload(s3: S3Client, source: Path, *, bucket: str, key: str, reporter: Reporter) -> int:
    """Upload the file `source` to an object and return its size in bytes.

    The reporter receives the number of bytes on S3 and the size: at the start, after a resumed upload with the bytes sent before, and after each part.
    A file of more than one part reuses the parts of an interrupted upload from this host. Each part on AWS is compared with the file, so a
    changed file is uploaded with its current content. Raises InputError if the file cannot be read, TransferFailedError if it changes while it is
    read, and the errors of the AWS boundary.
    """
    size = size_of(source)
    kind = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
    with translate_aws_errors():
        if size <= PART:
            reporter.progress(0, size)
            s3.put_object(Bucket=bucket, Key=key, Body=_read_whole(source, size), ContentType=kind)
            reporter.progress(size, size)
            return size
        # Store the upload ID in a file: a session may not list the uploads of the bucket.
        with _upload_state(bucket, key) as state:
            multipart = _resumable_upload(s3, bucket, key, state)
            if multipart is None:
                # S3 combines the checksums of the parts to that of the object, which a download is compared with:
                # https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
                made = s3.create_multipart_upload(
                    Bucket=bucket, Key=key, ContentType=kind, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
                )
                multipart = _Upload(made["UploadId"], {})
                state.seek(0)
                state.truncate()
                state.write(multipart.id.encode())
                state.flush()
            parts = _send(s3, source, size, multipart, bucket=bucket, key=key, reporter=reporter)
            s3.complete_multipart_upload(
                Bucket=bucket,
                Key=key,
                UploadId=multipart.id,
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=size,
            )
    return size


def upload_stream(s3: S3Client, source: BinaryIO, *, bucket: str, key: str, reporter: Reporter) -> int:
    """Upload what a stream contains to its end, and return the number of bytes.

    An interrupted upload cannot be resumed, and its parts are deleted. The reporter receives the number of bytes on S3. Raises InputError if the
    stream cannot be read, and the errors of the AWS boundary.
    """
    kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
    first = _read_part(source, PART)
    with translate_aws_errors():
        if len(first) < PART:
            s3.put_object(Bucket=bucket, Key=key, Body=first, ContentType=kind)
            reporter.progress()
            return len(first)
        made = s3.create_multipart_upload(
            Bucket=bucket, Key=key, ContentType=kind, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
        )
        try:
            parts, size = _send_stream(s3, source, first, made["UploadId"], bucket=bucket, key=key, reporter=reporter)
            s3.complete_multipart_upload(
                Bucket=bucket,
                Key=key,
                UploadId=made["UploadId"],
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=size,
            )
        except BaseException:
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=made["UploadId"])
            raise
    return size


def _send_stream(
    s3: S3Client, source: BinaryIO, content: bytes, upload_id: str, *, bucket: str, key: str, reporter: Reporter
) -> tuple[list[dict[str, Any]], int]:
    """Send `content` and the rest of the stream in parts; return the list of parts for the completion request, and the size."""
    parts: list[dict[str, Any]] = []
    size = 0
    while content:
        number = len(parts) + 1
        sent = s3.upload_part(
            Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=content, ChecksumAlgorithm="CRC32"
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]})
        size += len(content)
        reporter.progress()
        # The size is unknown, so the parts grow: 10,000 of them hold 440 GB.
        content = _read_part(source, PART * (1 + number // _PARTS_OF_ONE_SIZE))
    return parts, size


def _read_part(source: BinaryIO, length: int) -> bytes:
    """Return the next `length` bytes of a stream, or fewer at its end."""
    content = bytearray()
    try:
        while len(content) < length and (piece := source.read(length - len(content))):
            content += piece
    except OSError as error:
        raise InputError(f"the input cannot be read: {error.strerror}") from error
    return bytes(content)


@contextmanager
def _upload_state(bucket: str, key: str) -> Iterator[BinaryIO]:
    """Hold the file with the ID of an interrupted upload of an object; delete it if the context ends without an error.

    Another process on this host that uploads the same object waits.
    """
    name = hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()
    path = private_files.create_folder("uploads") / name
    try:
        with private_files.open_locked(path) as file:
            yield file
            path.unlink()
    except OSError as error:
        raise private_files.unusable(path, "written", error) from error


def _resumable_upload(s3: S3Client, bucket: str, key: str, state: BinaryIO) -> _Upload | None:
    """Return the interrupted upload if AWS still has it."""
    upload_id = state.read().decode(errors="replace")
    if not upload_id:
        return None
    # The latter code if the bucket was recreated.
    with ignore_aws_errors("NoSuchUpload", "AccessDenied"):
        pages = s3.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=upload_id)
        return _Upload(upload_id, {part["PartNumber"]: dict(part) for page in pages for part in page.get("Parts", [])})
    return None


def _send(
    s3: S3Client, source: Path, size: int, upload: _Upload, *, bucket: str, key: str, reporter: Reporter
) -> list[dict[str, Any]]:
    """Send the missing parts in parallel, and return the list of parts for the completion request."""
    step = part_size(size)
    count = -(-size // step)

    def length(number: int) -> int:
        return min(step, size - (number - 1) * step)

    def content(number: int) -> bytes:
        return _read(source, (number - 1) * step, length(number))

    # For SSE-S3 the ETag of a part is the MD5 of its bytes.
    kept = {
        number: part
        for number, part in upload.there.items()
        if number <= count
        and str(part["ETag"]).strip('"') == hashlib.md5(content(number), usedforsecurity=False).hexdigest()
    }
    sent_bytes = sum(int(part["Size"]) for part in kept.values())
    reporter.progress(sent_bytes, size)

    def send(number: int) -> dict[str, Any]:
        answer = s3.upload_part(
            Bucket=bucket,
            Key=key,
            UploadId=upload.id,
            PartNumber=number,
            Body=content(number),
            ChecksumAlgorithm="CRC32",
        )
        return dict(answer)

    workers = ThreadPoolExecutor(_PARALLEL_PARTS, thread_name_prefix="upload")
    sent: dict[Future[dict[str, Any]], int] = {}
    done: dict[int, dict[str, Any]] = {}
    try:
        for number in range(1, count + 1):
            if number not in kept:
                sent[workers.submit(send, number)] = number
        for future in as_completed(sent):
            done[sent[future]] = future.result()
            sent_bytes += length(sent[future])
            reporter.progress(sent_bytes, size)
    finally:
        # After an error or Ctrl-C, running parts get a few seconds to finish, and no others start.
        workers.shutdown(wait=False, cancel_futures=True)
        wait([future for future in sent if not future.cancelled()], timeout=_FINISH_SECONDS)
    parts = {**kept, **done}
    return [
        {
            "PartNumber": number,
            **{name: parts[number][name] for name in ("ETag", "ChecksumCRC32") if name in parts[number]},
        }
        for number in range(1, count + 1)
    ]


def size_of(source: Path) -> int:
    """Return the size of a file in bytes. Raises InputError for a folder, a pipe or a device."""
    try:
        found = source.stat()
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise InputError(
            f"{source} is a folder: only files can be uploaded", hint="add --recursive to upload all its files"
        )
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{source} is not a regular file", hint="write its content into a file first")
    return found.st_size


def _read_whole(source: Path, size: int) -> bytes:
    """Return the content of a small file. Raises TransferFailedError if its length differs from `size`, as for kernel files."""
    if size == 0:
        try:
            with source.open("rb") as file:
                longer = bool(file.read(1))
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}") from error
        if longer:
            raise TransferFailedError(
                f"{source} has more content than its reported size", hint="copy it into another file first"
            )
    return _read(source, 0, size)


def _read(source: Path, start: int, length: int) -> bytes:
    try:
        with source.open("rb") as file:
            file.seek(start)
            content = file.read(length)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error
    if len(content) < length:
        raise TransferFailedError(
            f"{source} was shortened while it was read", hint="upload it again when no process writes it"
        )
    return content
