"""Calls whose results only add to what is shown: sent at most twice, and not again in a run if AWS has not answered them."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from exasol_ci_setup.aws import few_attempts, is_transient, translate_aws_errors
from exasol_ci_setup.errors import AwsUnavailable, SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A client lives as long as a run. Emulators have endpoints that answer an operation with a fault each time.
_unanswered: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
_lock = Lock()


@contextmanager
def optional(client: Any, operation: str) -> Iterator[None]:
    """Translate the errors of a call of `operation` (botocore's name) that is made while this is open.

    Raises `NotAnsweredAgain` at once if `client` did not get an answer before, and what `boundary` does.
    """
    if operation in _unanswered.get(client, ()):
        raise NotAnsweredAgain(f"{client.meta.endpoint_url} does not answer {operation}")
    try:
        with few_attempts(), translate_aws_errors():
            yield
    except SetupError as error:
        if is_transient(error.__cause__ or error) and not _is_first(client, operation):
            raise NotAnsweredAgain(error.message) from error
        raise


class NotAnsweredAgain(AwsUnavailable):
    """An endpoint did not answer an operation, as before in this run."""


def _is_first(client: Any, operation: str) -> bool:
    with _lock:
        known = _unanswered.setdefault(client, set())
        is_first = operation not in known
        known.add(operation)
    return is_first
