"""Up- and downloads of one object: in parts, with progress, and after a break from where it was."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import stat
import zlib
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from exasol_ci_setup.aws import BotoCoreError, ClientError, error_code, is_transient, translate_aws_errors
from exasol_ci_setup.errors import InputError, ObjectNotFound, TransferFailed
from exasol_ci_setup.platform import part_file, private_files
from exasol_ci_setup.whole_file import is_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.platform.part_file import PartFile

_MEBIBYTE: Final = 1024 * 1024
PART: Final = 8 * _MEBIBYTE
_MOST_PARTS: Final = 10_000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""
_AT_ONCE: Final = 4
_ARRIVING: Final = 5.0  # seconds
_BREAKS: Final = 5  # one after the other, in which nothing came; botocore has tried each request again by then


class Progress(Protocol):
    """Who is told how far a transfer is; from several threads."""

    def begin(self, total: int, done: int, /) -> None:
        """Hear how many bytes there are, and how many of them are there from before a break."""

    def advance(self, count: int, /) -> None:
        """Hear that `count` bytes more are done."""


class NullProgress:
    """Progress that nobody looks at."""

    def begin(self, total: int, done: int, /) -> None:
        """Tell nobody."""

    def advance(self, count: int, /) -> None:
        """Tell nobody."""


@dataclass(frozen=True)
class _Upload:
    """An upload in parts, as it stands on AWS."""

    id: str
    there: dict[int, dict[str, Any]]


def part_size(size: int) -> int:
    """Return the bytes of each part of an object of `size` bytes: as many whole MiB as it takes to have no more parts than S3 takes."""
    least = -(-size // _MOST_PARTS)
    return max(PART, -(-least // _MEBIBYTE) * _MEBIBYTE)


def upload(s3: S3Client, source: Path, *, bucket: str, key: str, progress: Progress) -> int:
    """Put the file `source` into an object and return its size in bytes.

    A file of more than one part goes on from the parts that are there, if an earlier upload from this machine broke off: each part on AWS is
    compared with the file, so a file that changed meanwhile is sent as it is now. Raises InputError if the file cannot be read,
    TransferFailed if it changes while it is read, and the errors of the AWS boundary.
    """
    size = size_of(source)
    kind = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
    with translate_aws_errors():
        if size <= PART:
            progress.begin(size, 0)
            s3.put_object(Bucket=bucket, Key=key, Body=_whole(source, size), ContentType=kind)
            progress.advance(size)
            return size
        # Where the id of an unfinished upload is kept: a session may not list those of the bucket.
        with _memory(bucket, key) as memory:
            unfinished = _remembered(s3, bucket, key, memory)
            if unfinished is None:
                # Of the checksums of the parts S3 makes the one of the whole, which a download is compared with:
                # https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
                made = s3.create_multipart_upload(
                    Bucket=bucket, Key=key, ContentType=kind, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
                )
                unfinished = _Upload(made["UploadId"], {})
                memory.truncate(0)
                memory.write(unfinished.id.encode())
                memory.flush()
            parts = _send(s3, source, size, unfinished, bucket=bucket, key=key, progress=progress)
            s3.complete_multipart_upload(
                Bucket=bucket,
                Key=key,
                UploadId=unfinished.id,
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=size,
            )
    return size


@contextmanager
def _memory(bucket: str, key: str) -> Iterator[BinaryIO]:
    """Hold the file with the id of an unfinished upload of an object, which goes when the context ends well.

    Another process that uploads the same object from this machine waits.
    """
    name = hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()
    path = private_files.made_folder("uploads") / name
    try:
        with private_files.held(path) as file:
            yield file
            path.unlink()
    except OSError as error:
        raise private_files.unusable(path, "written", error) from error


def _remembered(s3: S3Client, bucket: str, key: str, memory: BinaryIO) -> _Upload | None:
    """Return the upload that broke off, if AWS still has it."""
    upload_id = memory.read().decode(errors="replace")
    if not upload_id:
        return None
    try:
        pages = s3.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=upload_id)
        return _Upload(upload_id, {part["PartNumber"]: dict(part) for page in pages for part in page.get("Parts", [])})
    except ClientError as error:
        # AWS answers with the latter where the bucket is another one by now.
        if error_code(error) in {"NoSuchUpload", "AccessDenied"}:
            return None
        raise


def _send(
    s3: S3Client, source: Path, size: int, upload: _Upload, *, bucket: str, key: str, progress: Progress
) -> list[dict[str, Any]]:
    """Send the parts that are not there yet, several at once, and return what S3 asks for at the end."""
    step = part_size(size)
    count = -(-size // step)

    def length(number: int) -> int:
        return min(step, size - (number - 1) * step)

    def content(number: int) -> bytes:
        return _read(source, (number - 1) * step, length(number))

    # Of an object that S3 encrypts with its own keys, the tag of a part is the MD5 of its bytes.
    kept = {
        number: part
        for number, part in upload.there.items()
        if number <= count
        and str(part["ETag"]).strip('"') == hashlib.md5(content(number), usedforsecurity=False).hexdigest()
    }
    progress.begin(size, sum(int(part["Size"]) for part in kept.values()))

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

    workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload")
    sent: dict[Future[dict[str, Any]], int] = {}
    done: dict[int, dict[str, Any]] = {}
    try:
        for number in range(1, count + 1):
            if number not in kept:
                sent[workers.submit(send, number)] = number
        for future in as_completed(sent):
            done[sent[future]] = future.result()
            progress.advance(length(sent[future]))
    finally:
        # After an error, or Ctrl-C, the parts that are being sent have a few seconds to arrive, and no others are begun.
        workers.shutdown(wait=False, cancel_futures=True)
        wait([future for future in sent if not future.cancelled()], timeout=_ARRIVING)
    parts = {**kept, **done}
    return [
        {
            "PartNumber": number,
            **{name: parts[number][name] for name in ("ETag", "ChecksumCRC32") if name in parts[number]},
        }
        for number in range(1, count + 1)
    ]


def size_of(source: Path) -> int:
    """Return the size of a file in bytes. Raises InputError for what has none: a folder, a pipe or a device."""
    try:
        found = source.stat()
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{source} is a folder, and an object is made of a file", hint="put its files one by one")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{source} is no file but a pipe or a device", hint="write it into a file first")
    return found.st_size


def _whole(source: Path, size: int) -> bytes:
    """Return what is in a small file. Raises TransferFailed if that is not as much as there was said to be, as of files of the kernel's."""
    if size == 0:
        try:
            with source.open("rb") as file:
                longer = bool(file.read(1))
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}") from error
        if longer:
            raise TransferFailed(f"{source} holds more than its size says", hint="copy it into another file first")
    return _read(source, 0, size)


def _read(source: Path, start: int, length: int) -> bytes:
    try:
        with source.open("rb") as file:
            file.seek(start)
            content = file.read(length)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error
    if len(content) < length:
        raise TransferFailed(
            f"{source} became shorter while it was read", hint="upload it again when nothing writes it"
        )
    return content


def download(s3: S3Client, *, bucket: str, key: str, target: Path, progress: Progress, name: str) -> int:
    """Fetch an object into the file `target`, which is there as a whole or as it was before, and return its size in bytes.

    What arrives is in a part file beside it, with which an interrupted download is resumed, as long as the object is the same. `name` is
    what the object is called in errors. Raises ObjectNotFound, InputError if the file cannot be written, TransferFailed if the object
    changes meanwhile or if what arrived is not what was sent, and the errors of the AWS boundary.
    """
    if is_stream(target):
        raise InputError(
            f"{target} cannot be written: it is a device, a pipe or a socket", hint="give a file as the destination"
        )
    with translate_aws_errors():
        try:
            head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            # Whoever may not list the whole bucket is told no more than this of an object that is not there:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
            if error_code(error) in {"404", "403"} and not _is_there(s3, bucket, key):
                raise _not_found(name) from error
            raise
        size, tag = head["ContentLength"], head["ETag"]
        with part_file.opened(target, f"{bucket}/{key}/{tag}") as part:
            progress.begin(size, part.size)
            _fetch(s3, {"Bucket": bucket, "Key": key, "IfMatch": tag}, part, size, progress=progress, name=name)
            checksum, expected = _checksum_of(head)
            if part.size != size or not part.is_intact(checksum.update) or expected not in {None, checksum.digest()}:
                part.discard()
                raise TransferFailed(
                    f"what arrived of {name} is damaged: its checksum does not match",
                    hint="run the same command again: it starts from the beginning",
                )
            part.become(target)
    return size


def _fetch(s3: S3Client, request: dict[str, str], part: PartFile, size: int, *, progress: Progress, name: str) -> None:
    """Append to `part` what is missing of the object, over as many connections as it takes."""
    breaks = 0
    while (done := part.size) < size:
        try:
            answer = s3.get_object(**request, Range=f"bytes={done}-")  # type: ignore[arg-type]
            if not answer.get("ContentRange", "").startswith(f"bytes {done}-"):
                raise TransferFailed(f"what comes of {name} is not what was asked for: no range from byte {done} on")
            for chunk in answer["Body"].iter_chunks(_MEBIBYTE):
                part.append(chunk)
                progress.advance(len(chunk))
        except ClientError as error:
            if error_code(error) in {"PreconditionFailed", "412"}:
                raise TransferFailed(f"{name} was replaced while it was fetched", hint="fetch it again") from error
            if error_code(error) in {"NoSuchKey", "404"}:
                raise _not_found(name) from error
            raise
        except BotoCoreError as error:
            if not is_transient(error) or breaks >= _BREAKS:
                raise
        breaks = 0 if part.size > done else breaks + 1
        if breaks > _BREAKS:
            raise TransferFailed(f"nothing more comes of {name}", hint="fetch it again: it goes on from where it is")


class _Checksum(Protocol):
    def update(self, content: bytes, /) -> object: ...
    def digest(self) -> bytes: ...


class _Crc32:
    """CRC-32 as S3 has it, with the methods of `hashlib`."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, content: bytes, /) -> None:
        self._value = zlib.crc32(content, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _checksum_of(head: Mapping[str, Any]) -> tuple[_Checksum, bytes | None]:
    """Return what computes the checksum of a whole object, and the one that S3 has; None if S3 has none that Python computes quickly.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html. The tag of an object that was put at once,
    and that S3 encrypts with its own keys, is its MD5: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    if head.get("ChecksumType") == "FULL_OBJECT":
        if "ChecksumCRC32" in head:
            return _Crc32(), base64.b64decode(head["ChecksumCRC32"])
        if "ChecksumSHA256" in head:
            return hashlib.sha256(), base64.b64decode(head["ChecksumSHA256"])
        if "ChecksumSHA1" in head:
            return hashlib.sha1(usedforsecurity=False), base64.b64decode(head["ChecksumSHA1"])
    tag = head["ETag"].strip('"')
    if head.get("ServerSideEncryption") == "AES256" and "-" not in tag:
        return md5, bytes.fromhex(tag)
    return md5, None


def _is_there(s3: S3Client, bucket: str, key: str) -> bool:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    return any(entry["Key"] == key for entry in found.get("Contents", []))


def _not_found(name: str) -> ObjectNotFound:
    return ObjectNotFound(
        f"there is no object {name!r}", hint="`exasol-ci-setup storage list-object` shows those there are"
    )
