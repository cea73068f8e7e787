"""Sessions, clients and the translation of botocore's errors: the only module that imports boto3."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
import botocore.session
from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from exasol_ci_setup.errors import (
    AccessDenied,
    AwsUnavailable,
    CredentialsInvalid,
    InputError,
    ProfileNotFound,
    RegionMissing,
    SetupError,
    Throttled,
    Unreachable,
)
from exasol_ci_setup.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sts import STSClient

__all__ = ["Account", "BotoCoreError", "ClientError", "boundary", "connect", "error_code", "is_passing", "translate"]

# Ten attempts of botocore's "standard" mode: exponential backoff with jitter up to 20 s, which outlasts the minute that
# CloudFormation's throttling takes to let go (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
_ATTEMPTS = 10

# The error codes that AWS's services use; names as in botocore's retry configuration and the services' API references.
_THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedAccess", "UnauthorizedOperation"}
)
_CONNECTION = (
    botocore_errors.HTTPClientError,
    botocore_errors.EndpointConnectionError,
    botocore_errors.IncompleteReadError,
)
_HTTP_SERVER_ERROR = 500

_SIGN_IN = (
    "sign in again (`aws sso login`, or new keys for the profile), then run the same command: it picks up where AWS is"
)


@dataclass(frozen=True)
class Account:
    """An AWS account in one region, as one set of credentials sees it. Hands out boto3 clients, each made once.

    `endpoint_url` replaces AWS's endpoint of every service by one on this machine (the sandbox); None means what the AWS configuration says.
    """

    session: boto3.Session
    region: str
    endpoint_url: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @overload
    def client(self, service: Literal["cloudformation"]) -> CloudFormationClient: ...
    @overload
    def client(self, service: Literal["codebuild"]) -> CodeBuildClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
    @overload
    def client(self, service: Literal["sts"]) -> STSClient: ...
    def client(self, service: str) -> Any:
        """Return the client of `service`. Raises the errors of `translate` if the configuration does not serve."""
        if service not in self._clients:
            with boundary():
                make: Any = self.session.client
                self._clients[service] = make(
                    service, region_name=self.region, endpoint_url=self.endpoint_url, config=self._config
                )
        return self._clients[service]

    @cached_property
    def _config(self) -> Config:
        return Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            user_agent_extra=f"exasol-ci-setup/{__version__}",
            connect_timeout=10,
            read_timeout=60,
            # An endpoint on this machine has no DNS for bucket.host names, and no proxy leads to it.
            s3={"addressing_style": "path"} if self.endpoint_url else {},
            proxies={} if self.endpoint_url else None,
        )


def connect(
    profile: str | None = None,
    region: str | None = None,
    *,
    endpoint_url: str | None = None,
    access_key: tuple[str, str] | None = None,
) -> Account:
    """Open a session without calling AWS yet.

    `profile` names one of the AWS configuration (None: the default chain); `region` overrides the configured one;
    `access_key` is an id and a secret to use in place of any profile.

    Raises ProfileNotFound, which names the profiles there are, and RegionMissing.
    """
    # AWS's other tools read AWS_REGION, botocore does not: https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html.
    region = region or os.environ.get("AWS_REGION") or None
    key_id, secret = access_key or (None, None)
    with boundary():
        session = boto3.Session(
            aws_access_key_id=key_id, aws_secret_access_key=secret, profile_name=profile, region_name=region
        )
        found = region or session.region_name
    if not found:
        of = f" for profile {profile!r}" if profile else ""
        raise RegionMissing(
            f"no AWS region is set{of}",
            hint="give --region, or set AWS_REGION, or run `aws configure set region eu-central-1`"
            + (f" --profile {profile}" if profile else ""),
        )
    return Account(session=session, region=found, endpoint_url=endpoint_url)


def profiles() -> list[str]:
    """Return the names of the profiles in the AWS configuration, sorted."""
    # Not a session of boto3's: that would look up the profile that AWS_PROFILE names, which may not exist.
    return sorted(botocore.session.Session().available_profiles)


def error_code(error: BaseException) -> str:
    """Return AWS's error code of a ClientError, or an empty string."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def is_passing(error: BaseException) -> bool:
    """Return whether the same call may well succeed later: throttling, a broken connection, a fault on AWS's side."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return error_code(error) in _THROTTLING or status >= _HTTP_SERVER_ERROR
    return isinstance(error, _CONNECTION)


def translate(error: BaseException) -> SetupError | None:
    """Turn an error of boto3 into ours, or None if it is not one of boto3's."""
    if isinstance(error, ClientError):
        return _translate_answer(error)
    if isinstance(error, botocore_errors.ProfileNotFound):
        known = profiles()
        name = str(error.kwargs.get("profile", ""))
        return ProfileNotFound(
            f"AWS profile {name!r} does not exist",
            hint=f"the profiles are: {', '.join(known)}"
            if known
            else "there are no AWS profiles yet: run `aws configure --profile NAME`, or leave --aws-profile out",
        )
    if isinstance(error, botocore_errors.NoRegionError):
        return RegionMissing("no AWS region is set", hint="give --region, or set AWS_REGION")
    if isinstance(error, botocore_errors.NoCredentialsError | botocore_errors.PartialCredentialsError):
        return CredentialsInvalid(
            "no AWS credentials were found",
            hint="give --aws-profile, or run `aws configure` or `aws sso login`; --sandbox needs none",
        )
    if isinstance(error, _CREDENTIAL_PROVIDERS):
        return CredentialsInvalid(f"the AWS credentials could not be loaded: {_one_line(error)}", hint=_SIGN_IN)
    if isinstance(error, _CONNECTION):
        return Unreachable(
            f"AWS did not answer: {_one_line(error)}",
            hint="check the network, a proxy, the region's name, and AWS_ENDPOINT_URL",
        )
    if isinstance(error, botocore_errors.InvalidRegionError):
        return InputError(_one_line(error), hint="a region reads like eu-central-1")
    if isinstance(error, BotoCoreError):
        return AwsUnavailable(_one_line(error))
    return None


_CREDENTIAL_PROVIDERS = (
    botocore_errors.CredentialRetrievalError,
    botocore_errors.ConfigParseError,
    botocore_errors.ConfigNotFound,
    botocore_errors.InvalidConfigError,
    botocore_errors.SSOError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.RefreshWithMFAUnsupportedError,
    botocore_errors.UnknownCredentialError,
    botocore_errors.InfiniteLoopConfigError,
)


def _translate_answer(error: ClientError) -> SetupError:
    code = error_code(error)
    said = _one_line(error.response.get("Error", {}).get("Message", "") or code)
    operation = error.operation_name
    if code in _CREDENTIALS:
        return CredentialsInvalid(f"AWS does not accept the credentials: {said}", hint=_SIGN_IN)
    if code in _DENIED:
        return AccessDenied(
            f"AWS does not allow {operation}: {said}",
            hint="ask the account's administrator for the permission, or use another --aws-profile",
        )
    if code in _THROTTLING:
        return Throttled(
            f"AWS refused {operation} for too many requests, {_ATTEMPTS} times: {said}",
            hint="wait a minute and run the same command again",
        )
    return AwsUnavailable(f"{operation} failed: {said} ({code})")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


@contextmanager
def boundary() -> Iterator[None]:
    """Let errors of boto3 out as ours. What is already ours, or nobody's, passes."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        translated = translate(error)
        if translated is None:  # pragma: no cover - translate knows both classes
            raise
        logging.getLogger(__name__).debug("translated from %s", type(error).__name__, exc_info=error)
        raise translated from error
