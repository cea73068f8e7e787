"""Translate botocore's errors into those of this package."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from exasol_ci_setup.aws.configuration import explain, profiles
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    AwsUnavailableError,
    CredentialsInvalidError,
    InputError,
    ProfileNotFoundError,
    RegionMissingError,
    SetupError,
    ThrottledError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager

_LOG = logging.getLogger(__name__)

# The error codes that AWS's services use; names as in botocore's retry configuration and the services' API references.
_THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
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
    ResponseParserError,
)
_CONFIGURATION = (
    botocore_errors.ConfigParseError,
    botocore_errors.ConfigNotFound,
    botocore_errors.InvalidConfigError,
    botocore_errors.InfiniteLoopConfigError,
)
_QUOTA = frozenset(
    {"AccountLimitExceededException", "LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"}
)
_HTTP_SERVER_ERROR = 500

_SIGN_IN = "sign in again (`aws sso login`, or new keys for the profile), then run the same command: it resumes"


def error_code(error: BaseException) -> str:
    """Return the error code of a ClientError of AWS, or an empty string."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def is_throttled(parsed_response: object) -> bool:
    """Return whether botocore's parsed response to one attempt is a throttling error."""
    error = parsed_response.get("Error") if isinstance(parsed_response, dict) else None
    return isinstance(error, dict) and error.get("Code") in _THROTTLING


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed later: throttling, a broken connection, a server error of AWS."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return error_code(error) in _THROTTLING or status >= _HTTP_SERVER_ERROR
    return isinstance(error, _CONNECTION)


_CREDENTIAL_PROVIDERS = (
    botocore_errors.CredentialRetrievalError,
    botocore_errors.SSOError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.RefreshWithMFAUnsupportedError,
    botocore_errors.UnknownCredentialError,
)


def translate(error: BaseException) -> SetupError | None:
    """Return the error of this package for an error of boto3, or None for any other."""
    for kinds, translation in _TRANSLATIONS:
        if isinstance(error, kinds):
            return translation(error)
    return None


def _files() -> str:
    variables = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
    return " or ".join(os.environ.get(name, default) for name, default in variables.items())


def _unknown_profile(error: Any) -> SetupError:
    known = profiles()
    return ProfileNotFoundError(
        f"AWS profile {error.kwargs.get('profile', '')!r} does not exist",
        hint=f"the profiles are: {', '.join(known)}"
        if known
        else "no AWS profile exists yet: run `aws configure --profile NAME`, or omit --aws-profile",
    )


def _unreachable(error: BaseException) -> SetupError:
    attempts = getattr(error, "attempts", 1)
    times = f" ({attempts} attempts)" if attempts > 1 else ""
    return UnreachableError(
        f"AWS did not answer: {_one_line(error)}{times}",
        hint="check the network, a proxy, the region's name, and AWS_ENDPOINT_URL",
    )


_NO_REGION_HINT = "use --region, or set AWS_REGION"
_NO_CREDENTIALS_HINT = "use --aws-profile, or run `aws configure` or `aws sso login`; --sandbox needs none"


def _translate_answer(error: ClientError) -> SetupError:
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "unknown")
    said = _one_line(
        error.response.get("Error", {}).get("Message", "") or code or f"HTTP status {status} without a message"
    )
    operation = error.operation_name
    if code in _CREDENTIALS:
        return CredentialsInvalidError(f"AWS rejected the credentials: {said}", hint=_SIGN_IN)
    if code in _DENIED:
        return AccessDeniedError(
            f"AWS does not allow {operation}: {said}",
            hint="ask the account's administrator for the permission, or use another --aws-profile",
        )
    if code in _QUOTA:
        return AwsUnavailableError(
            f"{operation} failed, because a quota is used up: {said}",
            hint="delete unused resources, or request an increase in Service Quotas",
        )
    if code in _THROTTLING:
        attempts = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) + 1
        times = f", {attempts} times" if attempts > 1 else ""
        return ThrottledError(
            f"AWS throttled {operation}{times}: {said}",
            hint="wait a minute and run the same command again",
        )
    return AwsUnavailableError(f"{operation} failed: {said} ({code})")


_Errors: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...]"
# The first match is used: special cases precede their base classes.
_TRANSLATIONS: tuple[tuple[_Errors, Callable[[Any], SetupError]], ...] = (
    (ClientError, _translate_answer),
    (botocore_errors.ProfileNotFound, _unknown_profile),
    (botocore_errors.NoRegionError, lambda _: RegionMissingError("no AWS region is set", hint=_NO_REGION_HINT)),
    (
        (botocore_errors.NoCredentialsError, botocore_errors.PartialCredentialsError),
        lambda _: CredentialsInvalidError("no AWS credentials were found", hint=_NO_CREDENTIALS_HINT),
    ),
    (
        _CONFIGURATION,
        lambda error: CredentialsInvalidError(
            f"the AWS configuration cannot be used: {_one_line(error)}",
            hint=f"correct {_files()}",
        ),
    ),
    (
        _CREDENTIAL_PROVIDERS,
        lambda error: CredentialsInvalidError(
            f"the AWS credentials could not be loaded: {_one_line(error)}", hint=_SIGN_IN
        ),
    ),
    (_CONNECTION, _unreachable),
    (
        (botocore_errors.InvalidRegionError, botocore_errors.UnknownRegionError),
        lambda error: InputError(_one_line(error), hint="the form of a region is eu-central-1"),
    ),
    (
        botocore_errors.ParamValidationError,
        lambda error: InputError(_one_line(error).removeprefix("Parameter validation failed: ")),
    ),
    (BotoCoreError, lambda error: AwsUnavailableError(_one_line(error))),
)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


@contextmanager
def translate_aws_errors() -> Iterator[None]:
    """Raise errors of botocore, and of the AWS configuration, as errors of this package. Other exceptions pass."""
    try:
        yield
    except SetupError:
        raise
    except Exception as error:
        if explained := explain(error):
            # Without the cause: its text may be the output of a credential process.
            raise explained from None
        translated = translate(error)
        if translated is None:
            raise
        _LOG.debug("translated from %s", type(error).__name__, exc_info=error)
        raise translated from error


@contextmanager
def replace_aws_errors(codes: Collection[str], replacement: Callable[[str], SetupError]) -> Iterator[None]:
    """As `translate_aws_errors`, but errors of AWS with one of `codes` become `replacement` of their message."""
    with translate_aws_errors():
        try:
            yield
        except ClientError as error:
            if error_code(error) not in codes:
                raise
            raise replacement(error.response.get("Error", {}).get("Message", "")) from error


def ignore_aws_errors(*codes: str) -> AbstractContextManager[None, bool]:
    """As `translate_aws_errors`, but errors of AWS with one of `codes` only end the block."""
    return cast("AbstractContextManager[None, bool]", _ignoring(codes))


@contextmanager
def _ignoring(codes: Collection[str]) -> Iterator[None]:
    with translate_aws_errors():
        try:
            yield
        except ClientError as error:
            if error_code(error) not in codes:
                raise
