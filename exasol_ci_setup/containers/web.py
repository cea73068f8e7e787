"""Protection of the two HTTP services: which hosts and origins may send requests, and how large and how slow a request may be."""

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
from exasol_ci_setup.containers.quotes import quoted

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY: Final = 1 << 20
"""The largest body of a request, in bytes."""

HEAD_SECONDS: Final = 10.0
"""How long a client may take to send the head of a request."""

BODY_SECONDS: Final = 30.0
"""How long a client may take to send the body of a request."""

_MOST_DIGITS: Final = 18
# The page is one of the package's own: it loads nothing from elsewhere, and sends nothing there.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Refuse = Callable[[int, str], "Response"]
"""Renders an error of a service from a status and a reason."""


def create_api(refuse: Refuse, *, hosts: Collection[str] | None, schemes: Collection[str], **options: Any) -> FastAPI:
    """Return an application whose requests pass `Guard`, and whose page `/docs` needs no other host.

    `hosts` are the names that the service accepts besides ``localhost`` and IP addresses; None accepts every name.
    `schemes` are those that an `Origin` may have.
    """
    app = FastAPIOffline(
        redoc_url=None, static_url="/docs/files", swagger_ui_parameters={"validatorUrl": None}, **options
    )
    app.add_middleware(Guard, refuse=refuse, hosts=hosts, schemes=schemes)
    return app


class Guard:
    """ASGI middleware that refuses requests of other sites before they are routed, and bodies that are too large or too slow."""

    def __init__(
        self, app: ASGIApp, *, refuse: Refuse, hosts: Collection[str] | None, schemes: Collection[str]
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._hosts = hosts
        self._schemes = schemes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is refused; pass on all others."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._problem(Headers(scope=scope))
        if problem is not None:
            await self._refuse(*problem)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"].startswith("/docs"):
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await self._app(scope, _bounded(receive), send_with_policy)

    def _problem(self, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not is_accepted(hosts[0], self._hosts):
            return 403, f"the host {quoted(', '.join(hosts))} is not one of this service: allow it with --allow-host"
        origins = headers.getlist("origin")
        if any(origin not in {f"{scheme}://{hosts[0]}" for scheme in self._schemes} for origin in origins):
            return 403, f"a page of {quoted(', '.join(origins))} may not use this service"
        length = headers.get("content-length", "")
        if length.isdigit() and (len(length) > _MOST_DIGITS or int(length) > LARGEST_BODY):
            return 413, _too_large()
        return None


def _too_large() -> str:
    return f"the body is larger than {LARGEST_BODY} bytes"


def _bounded(receive: Receive) -> Receive:
    """Return a `receive` that raises HTTPException for a body that gets too large or takes too long."""
    size = 0
    is_whole = False
    deadline: float | None = None

    async def receive_bounded() -> Message:
        nonlocal size, is_whole, deadline
        if is_whole:
            return await receive()
        if deadline is None:
            deadline = time.monotonic() + BODY_SECONDS
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_SECONDS:g} seconds") from None
        size += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if size > LARGEST_BODY:
            raise HTTPException(413, _too_large())
        return message

    return receive_bounded


class Protocol(H11Protocol):
    """HTTP/1.1 of uvicorn that closes connections whose clients send no complete head within `HEAD_SECONDS`.

    It also closes those that still send a body so long after the answer. uvicorn has a time limit for idle connections only.
    """

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Start the time limit for the first head."""
        super().connection_made(transport)
        self._limit()

    def data_received(self, data: bytes) -> None:
        """Start the time limit for a head that is incomplete, and stop it for one that is complete."""
        super().data_received(data)
        self._limit()

    def on_response_complete(self) -> None:
        """Start the time limit for the rest of a body that is not read."""
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
                self._closing = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        else:
            self._stop_limit()

    def _stop_limit(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
