"""Upload templates that are too large for a request to a bucket: the caller's, or one that this tool creates."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import Account, ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import AwsUnavailableError, TemplateRejectedError
from exasol_ci_setup.template.limits import LARGEST_BODY, LARGEST_TEMPLATE

if TYPE_CHECKING:
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
    s3 = account.client("s3")
    with translate_aws_errors():
        owner = account.client("sts").get_caller_identity()["Account"]
        name = bucket or f"exasol-ci-setup-templates-{owner}-{account.region}"
        if bucket is None:
            _ensure_bucket(s3, name, owner, account.region)
        key = f"templates/{hashlib.sha256(body).hexdigest()}.yaml"
        try:
            s3.put_object(Bucket=name, Key=key, Body=body, ExpectedBucketOwner=owner, ContentType="application/yaml")
        except ClientError as error:
            if error_code(error) == "NoSuchBucket":
                raise AwsUnavailableError(
                    f"the bucket {name} for large templates does not exist", hint="choose another --template-bucket"
                ) from error
            raise
    if account.endpoint_url:
        return {"TemplateURL": f"{account.endpoint_url.rstrip('/')}/{name}/{key}"}
    return {"TemplateURL": f"https://{name}.s3.{account.region}.{_domain(account.region)}/{key}"}


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
                    "Filter": {"Prefix": ""},
                    "Expiration": {"Days": _DAYS_KEPT},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                }
            ]
        },
    )
    s3.put_bucket_tagging(
        Bucket=name,
        ExpectedBucketOwner=owner,
        Tagging={"TagSet": [{"Key": "exasol-ci-setup:purpose", "Value": "large templates"}]},
    )
