"""Send one HTTP request: without redirects, with a total timeout, and without a proxy for local addresses."""

from __future__ import annotations

import shutil
from http import HTTPStatus
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TIMEOUT: Final = 30.0


def send(request: Request, seconds: float, into: IO[bytes] | None = None) -> tuple[int, str, bytes]:
    """Return the status, the redirect location, and the body, unless the body of a success is written to `into`.

    Raises TimeoutError if the whole response takes longer than `seconds`, and the errors of urllib.
    """
    return _within(seconds, lambda: _open(request.full_url, request, into))


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port. Raises ValueError for an invalid address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _open(url: str, request: Request, into: IO[bytes] | None) -> tuple[int, str, bytes]:
    """Return the status, the redirect location, and the body, unless the body of a success is written to `into`."""
    try:
        response = _opener(url).open(request, timeout=_TIMEOUT)
    except HTTPError as error:
        response = error
    with response:
        location = response.headers.get("Location", "")
        if into is None or response.status != HTTPStatus.OK:
            return response.status, location, response.read()
        shutil.copyfileobj(response, into)
        return response.status, location, b""


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of `work`. Raises TimeoutError, and abandons it, if it takes longer."""
    ended: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(), None))
        except Exception as error:  # noqa: BLE001 - raised again below
            ended.put((None, error))

    # The library's own timeouts restart with each byte.
    Thread(target=run, daemon=True).start()
    try:
        result, error = ended.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no complete response within {seconds:g} seconds") from None
    if error is not None:
        try:
            raise error
        finally:
            # Its traceback refers to this frame: a reference cycle, in which connections would stay open.
            del error
    return cast("T", result)


class _NoRedirects(HTTPRedirectHandler):
    """Do not follow redirects: the library would send the token to their location."""

    def http_error_302(self, *_: Any, **__: Any) -> None:
        """Ignore the redirect, and its location: the library fails for an invalid one."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(url: str) -> OpenerDirector:
    """Return an opener for `url` that follows no redirects, and uses no proxy for this machine."""
    return build_opener(_NoRedirects, *([ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []))
