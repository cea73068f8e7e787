"""Upload large templates and local artifacts to a bucket: the caller's, or one that this tool creates."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from functools import cached_property
from typing import IO, TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import Account, ClientError, error_code, ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.core.errors import AwsUnavailableError, TemplateRejectedError
from exasol_ci_setup.template.artifacts import StoredObject
from exasol_ci_setup.template.limits import LARGEST_BODY, LARGEST_TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.template.render import Template

_DAYS_KEPT: Final = 30


def template_source(account: Account, template: Template, *, bucket: str | None = None) -> dict[str, str]:
    """Return the arguments that pass `template` to a CloudFormation call: its body, or the URL of its upload.

    `bucket` is for templates that are too large for the request. Without it a bucket of this tool is used, and
    created if it does not exist: private, encrypted, versioned, with expiring objects.

    Raises TemplateRejectedError for a template over CloudFormation's limit, AwsUnavailableError for a bucket of another account.
    """
    body = template.body.encode()
    if len(body) > LARGEST_TEMPLATE:
        raise TemplateRejectedError(
            f"the template {template.name} is too large: {len(body):,} bytes, CloudFormation reads at most {LARGEST_TEMPLATE:,}",
            hint="split it into several stacks",
        )
    if len(body) <= LARGEST_BODY:
        return {"TemplateBody": template.body}
    target = TemplateBucket(account, bucket)
    key = f"templates/{hashlib.sha256(body).hexdigest()}.yaml"
    with translate_aws_errors(), target.ready() as s3:
        s3.put_object(
            Bucket=target.name, Key=key, Body=body, ExpectedBucketOwner=target.owner, ContentType="application/yaml"
        )
    return {"TemplateURL": target.url(key)}


class TemplateBucket:
    """The bucket for large templates and for artifacts: `bucket`, or one that this tool creates when it first uploads something."""

    def __init__(self, account: Account, bucket: str | None = None) -> None:
        self._account = account
        self._given = bucket
        self._is_ready = False

    @cached_property
    def owner(self) -> str:
        """The ID of the account. Raises the errors of the AWS boundary."""
        with translate_aws_errors():
            return self._account.client("sts").get_caller_identity()["Account"]

    @property
    def name(self) -> str:
        """The name of the bucket."""
        return self._given or f"exasol-ci-setup-templates-{self.owner}-{self._account.region}"

    def url(self, key: str) -> str:
        """Return the HTTPS address of an object, from which CloudFormation reads it."""
        if self._account.endpoint_url:
            return f"{self._account.endpoint_url.rstrip('/')}/{self.name}/{key}"
        region = self._account.region
        return f"https://{self.name}.s3.{region}.{_domain(region)}/{key}"

    @contextmanager
    def ready(self) -> Iterator[S3Client]:
        """Yield the client of S3, after the bucket was created if it is this tool's. Raises AwsUnavailableError if another one is missing."""
        s3 = self._account.client("s3")
        if self._given is None and not self._is_ready:
            _ensure_bucket(s3, self.name, self.owner, self._account.region)
            self._is_ready = True
        try:
            yield s3
        except ClientError as error:
            if error_code(error) == "NoSuchBucket":
                raise AwsUnavailableError(
                    f"the bucket {self.name} for large templates does not exist",
                    hint="choose another --template-bucket",
                ) from error
            raise

    def put(self, key: str, write: Callable[[IO[bytes]], None], /, *, for_plan: bool = False) -> StoredObject:  # noqa: ARG002 - as in ArtifactStore
        """Upload an artifact unless the bucket contains it: the name of an object is the hash of its content.

        Large files are uploaded in parts. Raises AwsUnavailableError for a bucket that does not exist or belongs to another account.
        """
        with translate_aws_errors():
            is_new = not self._exists(key)
            if is_new:
                with self.ready() as s3, tempfile.TemporaryFile() as content:
                    write(content)
                    content.seek(0)
                    s3.upload_fileobj(content, self.name, key, ExtraArgs={"ExpectedBucketOwner": self.owner})
        return StoredObject(self.name, key, self.url(key), is_new)

    def _exists(self, key: str) -> bool:
        # Without the permission to list the bucket, S3 answers 403 for an object that does not exist.
        with ignore_aws_errors("403", "404", "AccessDenied", "Forbidden", "NoSuchBucket", "NoSuchKey", "NotFound"):
            self._account.client("s3").head_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner)
            return True
        return False


class Uploads:
    """A store that uploads artifacts when they are needed, so that a stack without changes and a rejected plan upload nothing.

    CloudFormation reads nested and included templates when it creates a change set, and other artifacts when it executes one.
    """

    def __init__(self, bucket: TemplateBucket) -> None:
        self._bucket = bucket
        self._for_plan: dict[str, Callable[[IO[bytes]], None]] = {}
        self._others: dict[str, Callable[[IO[bytes]], None]] = {}

    def put(self, key: str, write: Callable[[IO[bytes]], None], /, *, for_plan: bool = False) -> StoredObject:
        """Return the object that `upload` creates."""
        (self._for_plan if for_plan else self._others)[key] = write
        return StoredObject(self._bucket.name, key, self._bucket.url(key))

    def upload_for_plan(self, note: Callable[[str], None]) -> None:
        """Upload what CloudFormation reads for a change set, unless it exists. Raises as `TemplateBucket.put`."""
        self._upload(self._for_plan, note)

    def upload(self, note: Callable[[str], None]) -> None:
        """Upload the rest, unless it exists. Raises as `TemplateBucket.put`."""
        self._upload(self._others, note)

    def _upload(self, pending: dict[str, Callable[[IO[bytes]], None]], note: Callable[[str], None]) -> None:
        for key, write in tuple(pending.items()):
            stored = self._bucket.put(key, write)
            del pending[key]
            if stored.is_new:
                note(f"uploaded s3://{stored.bucket}/{key}")


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _ensure_bucket(s3: S3Client, name: str, owner: str, region: str) -> None:
    try:
        s3.head_bucket(Bucket=name, ExpectedBucketOwner=owner)
    except ClientError as error:
        if error_code(error) in {"403", "AccessDenied", "Forbidden"}:
            raise AwsUnavailableError(
                f"the bucket {name} for large templates belongs to another account, or access to it is denied",
                hint="choose a bucket of your own with --template-bucket",
            ) from error
        if error_code(error) not in {"404", "NoSuchBucket", "NotFound"}:
            raise
        if region == "us-east-1":
            # The one region that must be omitted: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
            s3.create_bucket(Bucket=name)
        else:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]
    # Applied each time: after a process that was killed, the bucket may exist without these settings.
    s3.put_public_access_block(
        Bucket=name,
        ExpectedBucketOwner=owner,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_encryption(
        Bucket=name,
        ExpectedBucketOwner=owner,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.put_bucket_versioning(Bucket=name, ExpectedBucketOwner=owner, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_lifecycle_configuration(
        Bucket=name,
        ExpectedBucketOwner=owner,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "expire",
                    "Status": "Enabled",
                    # Not the artifacts: services such as Glue read them long after the deployment, and a rollback does too.
                    "Filter": {"Prefix": "templates/"},
                    "Expiration": {"Days": _DAYS_KEPT},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                },
                {
                    "ID": "abort-incomplete-uploads",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                },
            ]
        },
    )
    s3.put_bucket_tagging(
        Bucket=name,
        ExpectedBucketOwner=owner,
        Tagging={"TagSet": [{"Key": "exasol-ci-setup:purpose", "Value": "large templates"}]},
    )
