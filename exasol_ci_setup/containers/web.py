"""Request checks of the two HTTP services: host, origin, size and time limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

import h11
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from exasol_ci_setup.containers.hosts import is_accepted
from exasol_ci_setup.core.text import quote

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 1 << 20
"""The largest body of a request, in bytes."""

HEAD_TIMEOUT_SECONDS: Final = 10.0
"""Time limit for the head of a request."""

BODY_TIMEOUT_SECONDS: Final = 30.0
"""Time limit for the body of a request."""

_BAD_REQUEST: Final = 400
_MAX_LENGTH_DIGITS: Final = 18
# The page is part of the package. It loads nothing from other hosts and sends nothing to them.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Refuse = Callable[[int, str], "Response"]
"""A function that renders an error response from a status and a reason."""


def create_api(refuse: Refuse, *, hosts: Collection[str] | None, schemes: Collection[str], **options: Any) -> FastAPI:
    """Return an application whose requests pass `Guard`, and whose page `/docs` needs no other host.

    `hosts` are the accepted names besides ``localhost`` and IP addresses; None accepts every name.
    `schemes` are the accepted schemes of an `Origin`. Errors are JSON, and an invalid body has status 400.
    """
    app = FastAPIOffline(
        redoc_url=None, static_url="/docs/files", swagger_ui_parameters={"validatorUrl": None}, **options
    )
    app.add_middleware(Guard, refuse=refuse, hosts=hosts, schemes=schemes)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        """Return the OpenAPI document without status 422 of FastAPI, and with JSON for all errors."""
        found = describe()
        responses = [each["responses"] for path in found["paths"].values() for each in path.values()]
        for each in responses:
            each.pop("422", None)
            for status, response in each.items():
                if int(status) >= _BAD_REQUEST:
                    response["content"] = {"application/json": next(iter(response["content"].values()))}
        for name in ("HTTPValidationError", "ValidationError"):
            found.get("components", {}).get("schemas", {}).pop(name, None)
        return found

    app.openapi = openapi  # type: ignore[method-assign] # as in FastAPI's documentation
    return app


class Guard:
    """ASGI middleware that rejects requests of other sites, and bodies that are too large or too slow."""

    def __init__(
        self, app: ASGIApp, *, refuse: Refuse, hosts: Collection[str] | None, schemes: Collection[str]
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._hosts = hosts
        self._schemes = schemes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a rejected request; pass all others to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._find_problem(Headers(scope=scope))
        if problem is not None:
            await self._refuse(*problem)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"].startswith("/docs"):
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await self._app(scope, _limit_body(receive), send_with_policy)

    def _find_problem(self, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not is_accepted(hosts[0], self._hosts):
            return (
                403,
                f"the host {quote(', '.join(hosts))} is not accepted by this service: allow it with --allow-host",
            )
        origins = headers.getlist("origin")
        if any(origin not in {f"{scheme}://{hosts[0]}" for scheme in self._schemes} for origin in origins):
            return 403, f"a page of {quote(', '.join(origins))} may not use this service"
        length = headers.get("content-length", "")
        if length.isdigit() and (len(length) > _MAX_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES):
            return 413, _too_large()
        return None


def _too_large() -> str:
    return f"the body is larger than {MAX_BODY_BYTES} bytes"


def _limit_body(receive: Receive) -> Receive:
    """Return a `receive` that raises HTTPException if a body is too large or too slow."""
    size = 0
    is_complete = False
    deadline: float | None = None

    async def receive_limited() -> Message:
        nonlocal size, is_complete, deadline
        if is_complete:
            return await receive()
        if deadline is None:
            deadline = time.monotonic() + BODY_TIMEOUT_SECONDS
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_TIMEOUT_SECONDS:g} seconds") from None
        size += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, _too_large())
        return message

    return receive_limited


class Protocol(H11Protocol):
    """HTTP/1.1 of uvicorn with a time limit for the head of a request.

    It closes a connection if no complete head arrives within `HEAD_TIMEOUT_SECONDS`. It also closes a connection that still sends
    a body that long after the answer. uvicorn itself has a time limit for idle connections only.
    """

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # the signature of uvicorn
        """Start the time limit for the first head."""
        super().connection_made(transport)
        self._limit()

    def data_received(self, data: bytes) -> None:
        """Start the time limit if the head is incomplete; stop it if the head is complete."""
        super().data_received(data)
        self._limit()

    def on_response_complete(self) -> None:
        """Start the time limit for the unread rest of a body."""
        super().on_response_complete()
        self._limit()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        super().connection_lost(exc)
        self._stop_limit()

    def _limit(self) -> None:
        is_answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if self.conn.their_state is h11.IDLE or is_answered:
            if self._closing is None:
                self._closing = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self.transport.abort)
        else:
            self._stop_limit()

    def _stop_limit(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
