"""The endpoints of the hosted API: the key is checked first, then the body, then the request is carried out."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute

from exasol_ci_setup.containers.hosted import bodies, names
from exasol_ci_setup.containers.hosted.auth import DELAY_SECONDS
from exasol_ci_setup.errors import AppConflict, TooManyAttempts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from exasol_ci_setup.containers.hosted.auth import Gate
    from exasol_ci_setup.containers.hosted.deployments import Deployments
    from exasol_ci_setup.containers.hosted.settings import Settings

_BEARER: Final = "bearer "
_LOCAL: Final = frozenset({"", "127.0.0.1", "::1"})


class Routes:
    """The endpoints; the texts that they answer with are known to the scripts of their callers."""

    def __init__(self, settings: Settings, gate: Gate, deployments: Deployments) -> None:
        self._settings = settings
        self._gate = gate
        self._deployments = deployments

    def add_to(self, app: FastAPI) -> None:
        """Add the endpoints to an application."""
        gate = self._gate

        class Protected(APIRoute):
            """A route that checks the key before the framework reads and checks the body."""

            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                handle = super().get_route_handler()

                async def check_and_handle(request: Request) -> Response:
                    try:
                        await run_in_threadpool(gate.check, await _sent_key(request), _caller(request))
                    except TooManyAttempts:
                        await asyncio.sleep(DELAY_SECONDS)
                        raise
                    return await handle(request)

                return check_and_handle

        protected = APIRouter(route_class=Protected)
        index = protected if self._settings.private else app
        index.get("/", summary="List containers", response_model=dict[str, bodies.Shown])(self.index)
        for path, summary, endpoint in (
            ("/new", "Deploy a container, new or in place of the one that runs", self.new),
            ("/redeploy", "Pull a container's image, and run it in place of the one that runs", self.redeploy),
        ):
            protected.post(path, summary=summary, response_class=PlainTextResponse)(endpoint)
        protected.post("/stop", summary="Stop a running container")(self.stop)
        protected.post("/run", summary="Run a stopped container")(self.run)
        protected.post("/add_domain", summary="Add a domain to a container")(self.add_domain)
        protected.post("/delete", summary="Delete a container")(self.delete)
        protected.post("/logs", summary="Read what a container wrote")(self.logs)
        app.include_router(protected)

    def index(self) -> dict[str, Any]:
        """Tell of each container on this machine whether it runs, its image, and its domains."""
        return self._deployments.overview()

    def new(self, body: bodies.New, request: Request) -> str:
        """Answer when the new container has answered; until then, the one that ran gets the requests."""
        name = body.name or names.default_name(body.image)
        domain = self._deployments.deploy(
            body.image, name=name, variables=body.env or {}, parent=self._own_domain(request)
        )
        return f"Running on {domain}!"

    def redeploy(self, body: bodies.Named) -> str:
        """Keep the variables as they are, and pull the image again."""
        return f"Running on {self._deployments.redeploy(body.name)}!"

    def stop(self, body: bodies.Named) -> bodies.Success:
        """Tell it to end, and kill it after ten seconds."""
        self._deployments.stop(body.name)
        return bodies.Success()

    def run(self, body: bodies.Named) -> bodies.Success:
        """Start the container that was stopped, with its port and its domains."""
        self._deployments.run(body.name)
        return bodies.Success()

    def add_domain(self, body: bodies.AddDomain, request: Request) -> bodies.Success:
        """Let the container answer for the domain, which is no mistake if it does so already."""
        if body.domain in {self._settings.domain, (request.url.hostname or "").lower()}:
            raise AppConflict("That domain is this service's own.")
        self._deployments.add_domain(body.name, body.domain, force=body.force)
        return bodies.Success()

    def delete(self, body: bodies.Delete) -> bodies.Success:
        """Remove the container; what it has saved is kept for the next one of that name, unless it is purged."""
        self._deployments.delete(body.name, purge=body.purge)
        return bodies.Success()

    def logs(self, body: bodies.Logs) -> bodies.Log:
        """Return both of its streams, as the engine has them."""
        return bodies.Log(logs=self._deployments.logs(body.name, body.lines))

    def _own_domain(self, request: Request) -> str:
        if self._settings.domain is not None:
            return self._settings.domain
        return names.domain_name(request.url.hostname or "", "the name that the request was sent to")


async def _sent_key(request: Request) -> str | None:
    """Return the key of a request: that of the header, so that no body is read for a wrong one, or else that of the body."""
    header = request.headers.get("authorization", "")
    if header.lower().startswith(_BEARER):
        return header[len(_BEARER) :].strip()
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        return None
    secret = body.get("secret") if isinstance(body, dict) else None
    return secret if isinstance(secret, str) else None


def _caller(request: Request) -> str:
    """Return the address of who asks: what nginx says, which alone connects over the socket or from this machine."""
    peer = request.client.host if request.client else ""
    told = request.headers.get("x-real-ip", "") if peer in _LOCAL else ""
    try:
        return str(ipaddress.ip_address(told or peer))
    except ValueError:
        return "unknown"
