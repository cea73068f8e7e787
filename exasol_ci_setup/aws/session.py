"""Sessions, clients and the translation of botocore's errors: the only module that imports boto3."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload
from xml.etree import ElementTree as ET

import boto3
import botocore.session
from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader, create_loader
from botocore.response import StreamingBody

from exasol_ci_setup.aws.errors import (
    error_code,
    ignore_aws_errors,
    is_transient,
    replace_aws_errors,
    translate,
    translate_aws_errors,
)
from exasol_ci_setup.aws.retries import OPTIONAL_CALLS, Retries
from exasol_ci_setup.core.errors import RegionMissingError
from exasol_ci_setup.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_acm import ACMClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_pricing import PricingClient
    from mypy_boto3_route53 import Route53Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sts import STSClient

__all__ = [
    "Account",
    "BotoCoreError",
    "ClientError",
    "connect",
    "error_code",
    "for_optional_calls",
    "has_changed",
    "ignore_aws_errors",
    "is_transient",
    "replace_aws_errors",
    "translate",
    "translate_aws_errors",
    "undoing",
]

_LOG = logging.getLogger(__name__)

# Ten attempts in botocore's "standard" mode: exponential backoff with jitter up to 20 s, longer than the minute in which
# CloudFormation's throttling ends (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
_LONG_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 10})
# Three, so that a few failed requests do not matter. With the pauses between them that is less than 30 s.
_SHORT_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=7)
# The attribute of a client with the function that returns the one for optional calls.
_OPTIONAL: Final = "_exasol_ci_setup_optional"

C = TypeVar("C")

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
# The request IDs of S3 and of the other services: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html.
_REQUEST_IDS = frozenset({"x-amz-request-id", "x-amzn-requestid"})

# Threads cannot share sessions while clients are created, but they can share clients:
# https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
_MAKING = RLock()


# Operations that change none of the user's resources. A change set that is not executed is deleted again.
_READING: Final = re.compile(
    r"(Describe|List|Get|Head|BatchGet|Filter|Lookup|Detect|Validate|Estimate|Assume)|(Create|Delete)ChangeSet$"
)
_CALLED: set[str] = set()
_UNDOING: ContextVar[bool] = ContextVar("undoing", default=False)


def has_changed() -> bool:
    """Return whether this process has called an operation of AWS that changes something."""
    return bool(_CALLED)


@contextmanager
def undoing() -> Iterator[None]:
    """Do not count calls as changes: they delete what this program created and did not use, such as the empty stack of a plan."""
    token = _UNDOING.set(True)
    try:
        yield
    finally:
        _UNDOING.reset(token)


@dataclass(frozen=True)
class Account:
    """An AWS account in one region, with one set of credentials. Returns boto3 clients, each created once.

    `endpoint_url` replaces the endpoint of every service by a local one (the sandbox); None uses the AWS configuration.
    `rate_limit` is called before each request, and may block, and after each response with its `parsed_response`.
    """

    session: boto3.Session
    region: str
    endpoint_url: str | None = None
    rate_limit: Callable[..., None] | None = field(default=None, repr=False, compare=False)
    _clients: dict[tuple[str, Config], Any] = field(default_factory=dict, repr=False, compare=False)

    @overload
    def client(self, service: Literal["cloudformation"], *, long_retries: bool = ...) -> CloudFormationClient: ...
    @overload
    def client(self, service: Literal["cloudwatch"], *, long_retries: bool = ...) -> CloudWatchClient: ...
    @overload
    def client(self, service: Literal["codebuild"], *, long_retries: bool = ...) -> CodeBuildClient: ...
    @overload
    def client(self, service: Literal["ec2"], *, long_retries: bool = ...) -> EC2Client: ...
    @overload
    def client(self, service: Literal["ecr"], *, long_retries: bool = ...) -> ECRClient: ...
    @overload
    def client(self, service: Literal["ecs"], *, long_retries: bool = ...) -> ECSClient: ...
    @overload
    def client(self, service: Literal["logs"], *, long_retries: bool = ...) -> CloudWatchLogsClient: ...
    @overload
    def client(self, service: Literal["pricing"], *, long_retries: bool = ...) -> PricingClient: ...
    @overload
    def client(self, service: Literal["s3"], *, long_retries: bool = ...) -> S3Client: ...
    @overload
    def client(self, service: Literal["secretsmanager"], *, long_retries: bool = ...) -> SecretsManagerClient: ...
    @overload
    def client(self, service: Literal["acm"], *, long_retries: bool = ...) -> ACMClient: ...
    @overload
    def client(self, service: Literal["elbv2"], *, long_retries: bool = ...) -> ElasticLoadBalancingv2Client: ...
    @overload
    def client(self, service: Literal["route53"], *, long_retries: bool = ...) -> Route53Client: ...
    # Types of these two services would be further requirements of the development, for one or two calls each.
    @overload
    def client(self, service: Literal["iam", "kms", "scheduler", "ssm"], *, long_retries: bool = ...) -> Any: ...
    @overload
    def client(self, service: Literal["cloudtrail", "lambda"], *, long_retries: bool = ...) -> Any: ...
    @overload
    def client(self, service: Literal["sts"], *, long_retries: bool = ...) -> STSClient: ...
    def client(self, service: str, *, long_retries: bool = True) -> Any:
        """Return the client of `service`. Raises the errors of `translate` if the configuration is invalid.

        A client without `long_retries` fails within 30 s: for a caller with its own retries and deadline.
        """
        return self._client(service, _LONG_RETRIES if long_retries else _SHORT_RETRIES)

    def _client(self, service: str, config: Config) -> Any:
        key = (service, config)
        with _MAKING, translate_aws_errors():
            if key not in self._clients:
                client = self.make(service, config=self._config.merge(config))
                setattr(client, _OPTIONAL, partial(self._client, service, OPTIONAL_CALLS))
                if self.rate_limit is not None:
                    client.meta.events.register_first("before-send", self.rate_limit)
                    client.meta.events.register("response-received", self.rate_limit)
                self._clients[key] = client
        return self._clients[key]

    @property
    def make(self) -> Callable[..., Any]:
        """The function that creates a client, given the service's name, optionally with other credentials."""
        return partial(
            self.session.client, region_name=self.region, endpoint_url=self.endpoint_url, config=self._config
        )

    @cached_property
    def _config(self) -> Config:
        config = Config(
            user_agent_extra=f"exasol-ci-setup/{__version__}",
            connect_timeout=10,
            read_timeout=60,
            # Many stacks share a client; connections are opened on demand.
            max_pool_connections=64,
            # A local endpoint has no DNS for bucket host names, and must not be reached through a proxy.
            s3={"addressing_style": "path"} if self.endpoint_url else {},
            proxies={} if self.endpoint_url else None,
        )
        return _LONG_RETRIES.merge(config)


def for_optional_calls(client: C) -> C:
    """Return a client like this one for calls whose results only add to what is shown.

    It waits 8 s for an answer, and sends a request at most twice. A client that no Account returned is returned as it is.
    """
    made: Callable[[], C] | None = getattr(client, _OPTIONAL, None)
    return client if made is None else made()


def connect(
    profile: str | None = None,
    region: str | None = None,
    *,
    endpoint_url: str | None = None,
    access_key: tuple[str, str] | None = None,
) -> Account:
    """Open a session without calling AWS.

    `profile` names a profile of the AWS configuration (None: the default chain); `region` overrides the configured one;
    `access_key` is an ID and a secret to use instead of any profile.

    Raises ProfileNotFoundError with the names of the existing profiles, and RegionMissingError.
    """
    # AWS's other tools read AWS_REGION, botocore does not: https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html.
    region = region or os.environ.get("AWS_REGION") or None
    with translate_aws_errors():
        if access_key is None:
            inner = botocore.session.Session()
            session = boto3.Session(profile_name=profile, region_name=region, botocore_session=inner)
        else:
            inner = without_configuration()
            session = boto3.Session(*access_key, region_name=region, botocore_session=inner)
        inner.register_component("data_loader", _models(inner.get_config_variable("data_path")))
        session.events.register("before-call", log_call)
        Retries().register(session.events)
        session.events.register("before-parse", require_aws)
        found = region or session.region_name
    if not found:
        of = f" for profile {profile!r}" if profile else ""
        raise RegionMissingError(
            f"no AWS region is set{of}",
            hint="use --region, or set AWS_REGION, or run `aws configure set region eu-central-1"
            + (f" --profile {shlex.quote(profile)}`" if profile else "`")
            + "; --sandbox needs none",
        )
    return Account(session=session, region=found, endpoint_url=endpoint_url)


@cache
def _models(data_path: str | None) -> Loader:
    """Return botocore's loader, one for all sessions: it caches the service models, and reading that of EC2 takes 0.1 s."""
    return create_loader(data_path)


def without_configuration() -> botocore.session.Session:
    """Return a session that ignores the user's AWS files and AWS_PROFILE."""
    nowhere = (None, None, os.devnull, None)
    return botocore.session.Session(
        {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    )


def log_call(model: Any, **_: object) -> None:
    """Store whether the operation changes something; log its name, but no content of the request."""
    if not _READING.match(model.name) and not _UNDOING.get():
        _CALLED.add(model.name)
    _LOG.debug("%s %s", model.service_model.service_name, model.name)


def require_aws(response_dict: dict[str, Any], operation_model: Any, **_: object) -> None:
    """Reject a web page instead of AWS's response, such as the login page of a proxy or a captive portal.

    The content type alone is not enough: S3 returns the one of the object, and some endpoints label JSON as a page. Raises
    HTTPClientError, which `translate` handles.
    """
    kind = response_dict["headers"].get("content-type", "")
    if kind.partition(";")[0].strip().lower() in _PAGES and not _is_answer(response_dict, operation_model):
        status = response_dict["status_code"]
        if isinstance(response_dict["body"], StreamingBody):
            response_dict["body"].close()
        raise botocore_errors.HTTPClientError(
            error=f"received a web page instead of a response of AWS (HTTP status {status})"
        )


def _is_answer(response_dict: dict[str, Any], operation_model: Any) -> bool:
    """Return whether the response has AWS's header, or a body in the service's protocol."""
    if not _REQUEST_IDS.isdisjoint(name.lower() for name in response_dict["headers"]):
        return True
    body = response_dict["body"]
    # A streamed body is the content of an object, which says nothing about the server.
    if not isinstance(body, bytes):
        return False
    try:
        if "json" in operation_model.service_model.resolved_protocol:
            return isinstance(json.loads(body), dict)
        return not ET.fromstring(body).tag.lower().endswith("html")  # noqa: S314 - expat limits entities, and botocore parses all answers so
    except (ValueError, ET.ParseError):
        return False
