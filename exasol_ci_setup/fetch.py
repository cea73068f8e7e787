"""One request over HTTP: it follows no redirect, leaves this machine by a proxy only if it leaves it, and ends in time."""

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
    """Return the status, where it redirects to, and the body of the answer, unless a good one goes `into` a file.

    Raises TimeoutError if the whole answer is not there after `seconds`, and the errors of urllib.
    """
    return _within(seconds, lambda: _open(request.full_url, request, into))


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _open(url: str, request: Request, into: IO[bytes] | None) -> tuple[int, str, bytes]:
    """Return the status, where it redirects to, and the body of the answer, unless a good one goes `into` a file."""
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
    """Return what `work` does. Raises TimeoutError, and lets go of it, if it takes longer."""
    ended: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(), None))
        except Exception as error:  # noqa: BLE001 - raised again below
            ended.put((None, error))

    # The library's own time-outs start anew with each byte.
    Thread(target=run, daemon=True).start()
    try:
        result, error = ended.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no whole answer within {seconds:g} seconds") from None
    if error is not None:
        try:
            raise error
        finally:
            # Its traceback holds this frame: a circle, in which connections would stay open.
            del error
    return cast("T", result)


class _NoRedirects(HTTPRedirectHandler):
    """Leaves redirects to us: the library would send the token wherever they lead."""

    def http_error_302(self, *_: Any, **__: Any) -> None:
        """Follow none, and do not even look where it leads: the library stumbles over what is no address."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(url: str) -> OpenerDirector:
    """Return what opens `url` and follows no redirects; no proxy leads to this machine itself."""
    return build_opener(_NoRedirects, *([ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []))
