"""Tests of the checksums of multipart uploads, which are as on S3."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

PARTS = [b"a" * (5 * 1024 * 1024), b"the rest"]
WHOLE = base64.b64encode(zlib.crc32(b"".join(PARTS)).to_bytes(4, "big")).decode()


@pytest.fixture
def s3(account: Account) -> Any:
    return account.client("s3")


@pytest.fixture
def address(s3: Any, account: Account) -> dict[str, str]:
    """Return bucket and key of an object in a bucket with versioning."""
    bucket = f"parts-{account.number}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return {"Bucket": bucket, "Key": "a"}


def upload(s3: Any, address: dict[str, str], *, complete: dict[str, str] | None = None, **more: str) -> Any:
    """Upload parts, and return the responses to the first and the last request."""
    begun = s3.create_multipart_upload(**address, **more)
    address = {**address, "UploadId": begun["UploadId"]}
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**address, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(PARTS, 1)
    ]
    ended = s3.complete_multipart_upload(**address, MultipartUpload={"Parts": parts}, **(complete or {}))
    return begun, ended


def test_upload_with_full_object_type_gets_checksum_of_object(s3, address):
    begun, ended = upload(s3, address, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    head = s3.head_object(**address, ChecksumMode="ENABLED")
    version = s3.head_object(**address, ChecksumMode="ENABLED", VersionId=head["VersionId"])
    attributes = s3.get_object_attributes(**address, ObjectAttributes=["Checksum"])["Checksum"]

    assert begun["ChecksumType"] == "FULL_OBJECT"
    for answer in (ended, head, version, attributes):
        assert (answer["ChecksumType"], answer["ChecksumCRC32"]) == ("FULL_OBJECT", WHOLE)


def test_crc64nvme_is_always_full_object(s3, address):
    begun, ended = upload(s3, address, ChecksumAlgorithm="CRC64NVME")

    assert begun["ChecksumType"] == ended["ChecksumType"] == "FULL_OBJECT"
    assert "-" not in ended["ChecksumCRC64NVME"]


@pytest.mark.parametrize("more", [{}, {"ChecksumType": "COMPOSITE"}])
def test_other_upload_gets_composite_checksum(s3, address, more):
    begun, _ = upload(s3, address, ChecksumAlgorithm="CRC32", **more)
    head = s3.head_object(**address, ChecksumMode="ENABLED")

    assert begun["ChecksumType"] == head["ChecksumType"] == "COMPOSITE"
    assert head["ChecksumCRC32"].endswith("-2")


def test_wrong_full_object_checksum_is_rejected(s3, address):
    with pytest.raises(ClientError, match="BadDigest"):
        upload(
            s3, address, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT", complete={"ChecksumCRC32": "AAAAAA=="}
        )

    upload(s3, address, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT", complete={"ChecksumCRC32": WHOLE})


def test_full_object_sha256_is_rejected(s3, address):
    with pytest.raises(ClientError, match="InvalidRequest"):
        upload(s3, address, ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")
