"""Optional calls: sent at most twice, and not again in a run if AWS has not answered them."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from exasol_ci_setup.aws.session import for_optional_calls, is_transient, translate_aws_errors
from exasol_ci_setup.core.errors import AwsUnavailableError, SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.client import BaseClient

C = TypeVar("C", bound="BaseClient")

# A client exists as long as a run. Some emulators have endpoints that always answer an operation with a fault.
_unanswered: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
_lock = Lock()


@contextmanager
def optional(client: C, operation: str) -> Iterator[C]:
    """Yield the client for a call of `operation` (botocore's name), and translate the errors of the call.

    Raises `NotAnsweredAgainError` immediately if `client` did not receive an answer before, and the errors of `translate_aws_errors`.
    """
    if operation in _unanswered.get(client, ()):
        raise NotAnsweredAgainError(f"{client.meta.endpoint_url} does not answer {operation}")
    try:
        with translate_aws_errors():
            yield for_optional_calls(client)
    except SetupError as error:
        if is_transient(error.__cause__ or error) and not _is_first(client, operation):
            raise NotAnsweredAgainError(error.message) from error
        raise


class NotAnsweredAgainError(AwsUnavailableError):
    """The endpoint did not answer an operation earlier in this run."""

    code = AwsUnavailableError.code


def _is_first(client: Any, operation: str) -> bool:
    with _lock:
        known = _unanswered.setdefault(client, set())
        is_first = operation not in known
        known.add(operation)
    return is_first
