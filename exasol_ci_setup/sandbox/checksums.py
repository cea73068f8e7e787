"""Add full-object checksums of multipart uploads to ministack, which has composite checksums only, and the sizes of parts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import base64
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exasol_ci_setup.sandbox.private import Reply

_TYPE: Final = "x-amz-checksum-type"
_WHOLE: Final = "FULL_OBJECT"
_OF_PARTS: Final = "COMPOSITE"
_MODELS: Final = {"CRC64NVME": ("CRC64-NVME", 8), "CRC32": ("CRC32-ISO-HDLC", 4), "CRC32C": ("CRC32-ISCSI", 4)}
_COMPLETING: Final[ContextVar[dict[str, str] | None]] = ContextVar("checksums", default=None)
"""The checksums of the object of the current CompleteMultipartUpload, by algorithm."""


def extend() -> None:
    """Add full-object checksums to ministack's S3."""
    from ministack.services import s3

    wrap(s3, "_create_multipart_upload", _create_upload)
    wrap(s3, "_complete_multipart_upload", _complete_upload)
    wrap(s3, "_record_object_version", _record_version)
    wrap(s3, "_object_response_headers", _response_headers)
    wrap(s3, "_get_object_attributes", _object_attributes)
    wrap(s3, "_head_object", _head_object)


def _create_upload(inner: Callable[..., Reply], bucket: str, key: str, headers: Mapping[str, str]) -> Reply:
    from ministack.services import s3

    status, answered, body = inner(bucket, key, headers)
    algorithm = answered.get("x-amz-checksum-algorithm")
    if status != 200 or algorithm is None:  # noqa: PLR2004 - of HTTP
        return status, answered, body
    (upload_id,) = re.findall(rb"<UploadId>([^<]+)</UploadId>", body)
    uploads = s3._multipart_uploads  # noqa: SLF001
    kind = headers.get(_TYPE) or (_WHOLE if algorithm == "CRC64NVME" else _OF_PARTS)
    if (kind, algorithm[:3]) == (_WHOLE, "SHA"):
        del uploads[upload_id.decode()]
        message = f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        refusal: Reply = s3._error("InvalidRequest", message, 400, f"/{bucket}/{key}")  # noqa: SLF001
        return refusal
    uploads[upload_id.decode()]["checksum_type"] = kind
    return status, {**answered, _TYPE: kind}, body


def _complete_upload(
    inner: Callable[..., Reply],
    bucket: str,
    key: str,
    body: bytes,
    query: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Reply:
    from ministack.services import s3

    upload_id = s3._qp(query, "uploadId")  # noqa: SLF001
    upload = s3._multipart_uploads.get(upload_id, {})  # noqa: SLF001
    given = dict(headers or {})
    made: dict[str, str] | None = None
    if upload.get("checksum_type") == _WHOLE:
        algorithm = upload["checksum_algorithm"]
        made = {algorithm: _whole_checksum(algorithm, _parts(upload, body))}
        # Removed from the headers because ministack compares it with the composite checksum.
        if given.pop(f"x-amz-checksum-{algorithm.lower()}", made[algorithm]) != made[algorithm]:
            message = f"The {algorithm} you specified did not match the calculated checksum."
            refusal: Reply = s3._error("BadDigest", message, 400, f"/{bucket}/{key}")  # noqa: SLF001
            return refusal
    token = _COMPLETING.set(made)
    try:
        reply = inner(bucket, key, body, query, given)
    finally:
        _COMPLETING.reset(token)
    if made is not None and upload_id in s3._completed_multipart_uploads:  # noqa: SLF001
        reply = (*reply[:2], _with_checksums(reply[2], made))
        s3._completed_multipart_uploads[upload_id]["response"] = reply  # noqa: SLF001
    return reply


def _record_version(
    inner: Callable[..., Any], bucket: str, key: str, prior: Any, made: dict[str, Any], data: Any
) -> Any:
    """Set the checksums before the version of an object is recorded."""
    if (checksums := _COMPLETING.get()) is not None:
        made["checksums"] = checksums
    return inner(bucket, key, prior, made, data)


def _parts(upload: Mapping[str, Any], request: bytes) -> Iterator[bytes]:
    """Yield the content of the parts in a request. ministack rejects missing parts later."""
    numbers = sorted(int(number) for number in re.findall(rb"<PartNumber>\s*(\d+)\s*</PartNumber>", request))
    return (upload["parts"][number]["body"] for number in numbers if number in upload["parts"])


def _whole_checksum(algorithm: str, parts: Iterable[bytes]) -> str:
    """Return the checksum of all parts as S3 encodes it. Those of ministack need seconds for a large object."""
    import anycrc

    model, size = _MODELS[algorithm]
    crc = anycrc.Model(model)
    value = crc.calc(b"")
    for part in parts:
        value = crc.calc(part, value)
    return base64.b64encode(int(value).to_bytes(size, "big")).decode()


def _with_checksums(answer: bytes, checksums: Mapping[str, str]) -> bytes:
    for algorithm, value in checksums.items():
        name = f"Checksum{algorithm}".encode()
        answer = re.sub(rb"<%b>[^<]*</%b>" % (name, name), b"<%b>%b</%b>" % (name, value.encode(), name), answer)
    return answer.replace(f"<ChecksumType>{_OF_PARTS}<".encode(), f"<ChecksumType>{_WHOLE}<".encode())


def _response_headers(inner: Callable[..., dict[str, str]], *arguments: Any, **more: Any) -> dict[str, str]:
    """Return the right checksum type of objects: only a composite checksum ends in the number of parts."""
    found = inner(*arguments, **more)
    if _TYPE in found:
        values = [value for name, value in found.items() if name.startswith("x-amz-checksum-") and name != _TYPE]
        found[_TYPE] = _OF_PARTS if any("-" in value for value in values) else _WHOLE
    return found


def _object_attributes(inner: Callable[..., Reply], *arguments: Any, **more: Any) -> Reply:
    status, answered, body = inner(*arguments, **more)
    is_whole = re.search(rb"<Checksum[A-Z0-9]+>[^<-]+</", body) is not None
    return status, answered, _with_checksums(body, {}) if is_whole else body


def _head_object(
    inner: Callable[..., Reply],
    bucket: str,
    key: str,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
) -> Reply:
    """Describe one part of an object, as GetObject of ministack does.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    from ministack.services import s3

    status, answered, body = inner(bucket, key, headers, query)
    number = s3._qp(query or {}, "partNumber")  # noqa: SLF001
    if status != 200 or not number:  # noqa: PLR2004 - of HTTP
        return status, answered, body
    parts = s3._ensure_bucket(bucket)["objects"][key].get("parts") or []  # noqa: SLF001
    size = next((part["Size"] for part in parts if str(part["PartNumber"]) == number), None)
    if size is None:
        return (status, answered, body) if not parts and number == "1" else (416, {}, b"")
    return 206, {**answered, "Content-Length": str(size), "x-amz-mp-parts-count": str(len(parts))}, body
