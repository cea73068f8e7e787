"""Send one HTTP request: with a total timeout, safe redirects, and without a proxy for local addresses."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from http import HTTPStatus
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.client import HTTPMessage, HTTPResponse

T = TypeVar("T")

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TIMEOUT: Final = 30.0


def send(
    request: Request,
    seconds: float,
    into: IO[bytes] | None = None,
    *,
    other_hosts: bool = False,
    idle_seconds: float = _TIMEOUT,
) -> tuple[int, bytes]:
    """Return the status and the body, unless the body of a success is written to `into`.

    `idle_seconds` is the time limit for each part of the response. Redirects are followed with the same method and body, to the same scheme, host and port. With `other_hosts`, they are followed to
    other https addresses too, without the header ``Authorization``. The response to the request is a redirect that is not followed.
    Raises TimeoutError if the whole response takes longer than `seconds`, and the errors of urllib.
    """
    return _within(seconds, lambda: _receive(request, into, other_hosts=other_hosts, idle_seconds=idle_seconds))


@contextmanager
def stream(request: Request, *, idle_seconds: float | None) -> Iterator[tuple[int, HTTPResponse]]:
    """Yield the status and the body of a response that has no end, such as a log that is followed. Redirects are followed as by `send`.

    `idle_seconds` is the time limit for each part of the response; None waits without limit. Raises the errors of urllib.
    """
    with _open(request, other_hosts=False, idle_seconds=idle_seconds) as response:
        yield response.status, response


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port. Raises ValueError for an invalid address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _open(request: Request, *, other_hosts: bool, idle_seconds: float | None) -> Any:
    # This machine is reached without a proxy.
    proxies = [ProxyHandler({})] if urlsplit(request.full_url).hostname in LOOPBACK else []
    try:
        return build_opener(_Redirects(other_hosts=other_hosts), *proxies).open(request, timeout=idle_seconds)
    except HTTPError as error:
        return error


def _receive(request: Request, into: IO[bytes] | None, *, other_hosts: bool, idle_seconds: float) -> tuple[int, bytes]:
    with _open(request, other_hosts=other_hosts, idle_seconds=idle_seconds) as response:
        if into is None or response.status != HTTPStatus.OK:
            return response.status, response.read()
        shutil.copyfileobj(response, into)
        return response.status, b""


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


class _Redirects(HTTPRedirectHandler):
    """Follow redirects as `send` does. The library would send the token to other hosts, and POST becomes GET."""

    max_repeats = 1
    max_redirections = 3

    def __init__(self, *, other_hosts: bool) -> None:
        self._other_hosts = other_hosts

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        """Follow a redirect. None means that it is the response to the request, also if its location is invalid."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            return None

    http_error_301 = http_error_307 = http_error_308 = http_error_302

    def http_error_303(self, *_: Any) -> None:
        """Do not follow a redirect that changes the method."""

    def redirect_request(self, req: Request, *response: Any) -> Request | None:
        """Return the request for the location of a redirect, which is the last argument, or None."""
        url: str = response[-1]
        is_same = origin(url) == origin(req.full_url)
        schemes = {"https", "http"} if urlsplit(req.full_url).hostname in LOOPBACK else {"https"}
        if not is_same and not (self._other_hosts and urlsplit(url).scheme in schemes):
            return None
        headers = {name: value for name, value in req.headers.items() if is_same or name != "Authorization"}
        return Request(url, req.data, headers, req.origin_req_host, unverifiable=True, method=req.get_method())  # noqa: S310 - checked above
