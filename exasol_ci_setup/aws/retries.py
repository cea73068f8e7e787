"""Limit the retries of requests by the kind of error, in addition to botocore's rules.

botocore's "standard" mode has one number of attempts for all errors. Throttling and server errors end within minutes, a wrong endpoint does not.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.exceptions import ClientError

from exasol_ci_setup.aws.errors import is_throttled

_LOG = logging.getLogger(__name__)

# Without a connection botocore waits up to 1, 2 and 4 s between these attempts.
_CONNECT_ATTEMPTS: Final = 4
_CONNECT_SECONDS: Final = 10.0
# A third attempt comes after up to 3 s.
_QUIET_ATTEMPTS: Final = 2
_QUIET_SECONDS: Final = 3.0
_SECONDS_BETWEEN_WARNINGS: Final = 20.0
_FIRST_FAULT: Final = 500
_BEGAN: Final = "exasol-ci-setup.began"
_OPTIONAL_ATTEMPTS: Final = 2
# What botocore says of a request that cannot be sent because of the configuration.
_CONFIGURATION_ERRORS: Final = ("Invalid header", "Not supported URL scheme")
OPTIONAL_CALLS: Final = Config(
    retries={"mode": "standard", "total_max_attempts": _OPTIONAL_ATTEMPTS}, connect_timeout=5, read_timeout=8
)
"""The configuration of clients whose results are optional. A request that got no answer in time is not sent again."""
_NOT_CONNECTED: Final = (
    botocore_errors.ConnectTimeoutError,
    botocore_errors.EndpointConnectionError,
    botocore_errors.ProxyConnectionError,
    botocore_errors.SSLError,
)


class Retries:
    """Handlers of the events of one session, which end retries early and log a warning about those that take long.

    Until an endpoint has answered once, a connection that cannot be established is tried four times. Later a lost connection is
    retried as often as other errors, since an operation may be running.
    """

    def __init__(self) -> None:
        self._answering: set[str] = set()
        self._warned = float("-inf")

    def register(self, events: Any) -> None:
        """Register the handlers for all clients of a session."""
        events.register("before-call", self._begin)
        events.register_first("needs-retry", self._decide)

    @staticmethod
    def _begin(context: dict[str, Any], **_: object) -> None:
        context[_BEGAN] = time.monotonic()

    def _decide(
        self,
        response: tuple[Any, dict[str, Any]] | None,
        endpoint: Any,
        operation: Any,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        **_: object,
    ) -> None:
        """Raise the error of an attempt if it is the last one. botocore decides about the others."""
        if response is not None:
            self._answering.add(endpoint.host)
        error = caught_exception or _retried_error(response, operation.name)
        if error is None:
            return
        context = request_dict.get("context", {})
        seconds = time.monotonic() - context.get(_BEGAN, time.monotonic())
        if caught_exception is not None:
            caught_exception.attempts = attempts  # type: ignore[attr-defined] # for the message
        limit = self._limit(error, endpoint.host, context)
        if attempts >= limit or (limit == _CONNECT_ATTEMPTS and seconds > _CONNECT_SECONDS):
            raise error
        if attempts < _most(context) and (attempts > _QUIET_ATTEMPTS or seconds > _QUIET_SECONDS):
            self._warn(error, endpoint.host, attempts)

    def _limit(self, error: Exception, host: str, context: dict[str, Any]) -> float:
        if any(text in str(error) for text in _CONFIGURATION_ERRORS):
            return 1
        if isinstance(error, botocore_errors.ReadTimeoutError) and _most(context) <= _OPTIONAL_ATTEMPTS:
            return 1
        is_unknown = isinstance(error, _NOT_CONNECTED) and host not in self._answering
        return _CONNECT_ATTEMPTS if is_unknown else float("inf")

    def _warn(self, error: Exception, host: str, attempts: int) -> None:
        now = time.monotonic()
        if now - self._warned >= _SECONDS_BETWEEN_WARNINGS:
            self._warned = now
            _LOG.warning("%s: attempt %d failed, retrying: %s", host, attempts, " ".join(str(error).split()))


def _most(context: dict[str, Any]) -> float:
    """Return how many attempts the client has for a request in all."""
    retries = getattr(context.get("client_config"), "retries", None) or {}
    return float(retries.get("total_max_attempts", "inf"))


def _retried_error(response: tuple[Any, dict[str, Any]] | None, operation: str) -> ClientError | None:
    """Return the error that a response is, if botocore may send such a request again."""
    if response is None:
        return None
    http, parsed = response
    answer: Any = parsed
    is_fault = getattr(http, "status_code", 0) >= _FIRST_FAULT
    return ClientError(answer, operation) if is_fault or is_throttled(parsed) else None
