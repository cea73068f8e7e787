"""Errors of the two HTTP services: exceptions become answers of one shape for each service."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.rules import rule_of
from exasol_ci_setup.core.text import truncate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastapi import FastAPI, Request, Response

_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500
_MAX_PROBLEMS: Final = 10
_CODES: Final = {
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    413: "BodyTooLarge",
    _SERVER_ERROR: "InternalError",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """The answer to a failed request.

    Clients match `code`. `problems` are the paths and reasons of an invalid body. `error` is the error of this program, if any.
    """

    status: int
    message: str
    code: str = ""
    problems: tuple[tuple[str, str], ...] = ()
    error: SetupError | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def http_failure(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Failure:
    """Return the answer for an HTTP status without an error of this program."""
    return Failure(status, reason, _CODES.get(status, "BadRequest"), headers=headers or {})


def add_handlers(
    app: FastAPI,
    render: Callable[[Failure], Response],
    statuses: Sequence[tuple[type[SetupError], int, str]],
) -> None:
    """Answer errors of an application by `render`.

    `statuses` has the status and the code of each class of errors; the first match counts, and other errors have status 500.
    """

    def handle_setup_error(_request: Request, error: SetupError) -> Response:
        found = ((status, code) for kind, status, code in statuses if isinstance(error, kind))
        status, code = next(found, (_SERVER_ERROR, "SetupError"))
        if status >= _SERVER_ERROR:
            _log.warning("%s", error)
        return render(Failure(status, error.message, code, error=error))

    def handle_invalid_request(_request: Request, error: RequestValidationError) -> Response:
        problems = tuple(_describe_problem(each) for each in error.errors()[:_MAX_PROBLEMS])
        is_json = all(each["type"] != "json_invalid" for each in error.errors())
        message = "; ".join(f"{where}: {why}" if where else why for where, why in problems)
        return render(Failure(_BAD_REQUEST, message, "BadRequest" if is_json else "BadJSON", problems))

    def handle_http_error(_request: Request, error: HTTPException) -> Response:
        return render(http_failure(error.status_code, str(error.detail), error.headers))

    def handle_unexpected_error(_request: Request, error: Exception) -> Response:
        # The server writes the traceback to the log.
        return render(http_failure(_SERVER_ERROR, f"internal error: {type(error).__name__}"))

    handlers: dict[Any, Any] = {
        SetupError: handle_setup_error,
        RequestValidationError: handle_invalid_request,
        HTTPException: handle_http_error,
        Exception: handle_unexpected_error,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _describe_problem(error: dict[str, Any]) -> tuple[str, str]:
    """Return the path of a problem in the request, and its reason."""
    if error["type"] == "json_invalid":
        return "", f"the body is not JSON: {error.get('ctx', {}).get('error', error['msg'])}"
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{truncate(part)}" for part in error["loc"][1:])
    if not where:
        return "", "the body must be a JSON object, with the content type application/json"
    return where.lstrip("."), rule_of(error)
