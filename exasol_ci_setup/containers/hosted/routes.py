"""The endpoints of the hosted API. The key is checked first, then the body."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from exasol_ci_setup.containers.hosted import bodies, names
from exasol_ci_setup.containers.hosted.auth import DELAY_SECONDS
from exasol_ci_setup.containers.hosted.certificates import ACME, CHALLENGES
from exasol_ci_setup.containers.hosted.deployments import OWN_DOMAIN
from exasol_ci_setup.containers.hosted.log_streams import LogStreams
from exasol_ci_setup.containers.hosted.options import AppOptions
from exasol_ci_setup.containers.hosted.releases import Release
from exasol_ci_setup.core.errors import AppConflictError, TooManyAttemptsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from exasol_ci_setup.containers.hosted.auth import Authenticator
    from exasol_ci_setup.containers.hosted.deployments import Deployments
    from exasol_ci_setup.containers.hosted.settings import Settings

LOGS: Final = "/logs"
"""The path of requests for a log."""

_BEARER: Final = "bearer "
_LOCAL: Final = frozenset({"", "127.0.0.1", "::1"})


class Routes:
    """The endpoints. Scripts of callers depend on the texts of the answers."""

    def __init__(self, settings: Settings, authenticator: Authenticator, deployments: Deployments) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._deployments = deployments
        self.log_streams = LogStreams()

    def add_to(self, app: FastAPI) -> None:
        """Add the endpoints to an application."""
        authenticator = self._authenticator

        class Protected(APIRoute):
            """A route that checks the key before the framework reads and checks the body."""

            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                handle = super().get_route_handler()

                async def check_and_handle(request: Request) -> Response:
                    try:
                        await run_in_threadpool(authenticator.check, await _read_key(request), _caller_address(request))
                    except TooManyAttemptsError:
                        await asyncio.sleep(DELAY_SECONDS)
                        raise
                    return await handle(request)

                return check_and_handle

        protected = APIRouter(route_class=Protected)
        index = protected if self._settings.private else app
        index.get(
            "/",
            summary="List containers",
            response_model=dict[str, bodies.ContainerSummary],
            response_model_exclude_unset=True,
        )(self.index)
        for path, summary, endpoint in (
            ("/new", "Deploy a container, or replace the running one", self.new),
            ("/redeploy", "Replace the running container by another image, variables or options", self.redeploy),
            ("/rollback", "Replace the running container by the previous release", self.rollback),
        ):
            protected.post(path, summary=summary, response_class=PlainTextResponse)(endpoint)
        protected.post(
            "/get", summary="Describe a container", response_model=bodies.AppAnswer, response_model_exclude_unset=True
        )(self.get)
        protected.post("/releases", summary="List the last releases of a container")(self.releases)
        protected.post("/stop", summary="Stop a running container")(self.stop)
        protected.post("/run", summary="Run a stopped container")(self.run)
        protected.post("/add_domain", summary="Add a domain to a container")(self.add_domain)
        protected.post("/remove_domain", summary="Remove a domain from a container")(self.remove_domain)
        protected.post("/delete", summary="Delete a container")(self.delete)
        protected.post(LOGS, summary="Read the log of a container", response_model=bodies.LogsAnswer)(self.logs)
        app.include_router(protected)
        if self._settings.ssl:
            # For a server block of nginx that forwards all requests.
            challenges = StaticFiles(directory=self._settings.state / ACME / CHALLENGES, check_dir=False)
            app.mount(f"/{CHALLENGES}", challenges)

    def index(self) -> dict[str, Any]:
        """Return the status, image and domains of each container on this machine."""
        return self._deployments.overview()

    def new(self, body: bodies.NewApp, request: Request) -> str:
        """Return after the new container has answered a request. Until then, the old one receives requests."""
        name = body.name or names.default_name(body.image)
        release = Release(body.image, body.env or {}, bodies.options_of(body))
        domain = self._deployments.deploy(name, release, parent=self._own_domain(request))
        return f"Running on {domain}!"

    def redeploy(self, body: bodies.RedeployApp) -> str:
        """Pull the image again, or another image. Variables and options that are not sent keep their values."""
        options = {name: getattr(body, name) for name in body.model_fields_set & AppOptions.model_fields.keys()}
        domain = self._deployments.redeploy(body.name, image=body.image, variables=body.env or {}, options=options)
        return f"Running on {domain}!"

    def rollback(self, body: bodies.AppRequest) -> str:
        """Run the image, the variables and the options that the current container has replaced."""
        return f"Running on {self._deployments.rollback(body.name)}!"

    def get(self, body: bodies.AppRequest) -> dict[str, Any]:
        """Return the status, domains, limits and names of variables of a container, and whether it answers now."""
        return {"success": True, **self._deployments.describe(body.name)}

    def releases(self, body: bodies.AppRequest) -> bodies.ReleasesAnswer:
        """Return the last deployments of a container, the newest first. The first one runs."""
        found = (asdict(each) for each in self._deployments.releases(body.name))
        return bodies.ReleasesAnswer(releases=[bodies.Release(**each) for each in found])

    def stop(self, body: bodies.AppRequest) -> bodies.SuccessAnswer:
        """Stop the container with SIGTERM, and with SIGKILL after 10 seconds."""
        self._deployments.stop(body.name)
        return bodies.SuccessAnswer()

    def run(self, body: bodies.AppRequest) -> bodies.SuccessAnswer:
        """Start a stopped container with its port and its domains."""
        self._deployments.run(body.name)
        return bodies.SuccessAnswer()

    def add_domain(self, body: bodies.AddDomain, request: Request) -> bodies.SuccessAnswer:
        """Add a domain to the container; no error if the container already has it."""
        if body.domain == (request.url.hostname or "").lower():
            raise AppConflictError(OWN_DOMAIN)
        self._deployments.add_domain(body.name, body.domain, force=body.force)
        return bodies.SuccessAnswer()

    def remove_domain(self, body: bodies.RemoveDomain) -> bodies.SuccessAnswer:
        """Remove the domain and its certificate; other domains of the container are unchanged."""
        self._deployments.remove_domain(body.name, body.domain)
        return bodies.SuccessAnswer()

    def delete(self, body: bodies.DeleteApp) -> bodies.SuccessAnswer:
        """Remove the container. Its data is kept for a later container of that name, unless `purge` is set."""
        self._deployments.delete(body.name, purge=body.purge)
        return bodies.SuccessAnswer()

    async def logs(self, body: bodies.LogsRequest) -> Any:
        """Return stdout and stderr of the container.

        With `"follow": true`, the answer is plain text that continues with new output until the container ends.
        """
        if not body.follow:
            return bodies.LogsAnswer(logs=await run_in_threadpool(self._deployments.logs, body.name, body.lines))
        stream = await run_in_threadpool(self._deployments.follow_log, body.name, body.lines)
        self.log_streams.add(stream)
        # nginx does not buffer the lines: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering.
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self.log_streams.read(stream), media_type="text/plain", headers=headers)

    def _own_domain(self, request: Request) -> str:
        if self._settings.domain is not None:
            return self._settings.domain
        return names.domain_name(request.url.hostname or "", "the host of the request")


async def _read_key(request: Request) -> str | None:
    """Return the key of a request: from the header, or from the body if the header has none."""
    header = request.headers.get("authorization", "")
    if header.lower().startswith(_BEARER):
        return header[len(_BEARER) :].strip()
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        return None
    secret = body.get("secret") if isinstance(body, dict) else None
    return secret if isinstance(secret, str) else None


def _caller_address(request: Request) -> str:
    """Return the address of the caller: from nginx if it forwards the request, or that of the connection."""
    peer = request.client.host if request.client else ""
    forwarded = request.headers.get("x-real-ip", "") if peer in _LOCAL else ""
    try:
        return str(ipaddress.ip_address(forwarded or peer))
    except ValueError:
        return "unknown"
