"""The endpoints of the hosted API: who asks is checked first, then what is asked for is done."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request  # noqa: TC002 - the framework reads the annotations
from fastapi.responses import PlainTextResponse

from exasol_ci_setup.containers.hosted import bodies, names
from exasol_ci_setup.errors import AppConflict

if TYPE_CHECKING:
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
        app.get("/", summary="List containers", response_model=dict[str, bodies.Shown])(self.index)
        for path, summary, endpoint in (
            ("/new", "Deploy a container, new or in place of the one that runs", self.new),
            ("/redeploy", "Pull a container's image, and run it in place of the one that runs", self.redeploy),
        ):
            app.post(path, summary=summary, response_class=PlainTextResponse)(endpoint)
        app.post("/stop", summary="Stop a running container")(self.stop)
        app.post("/run", summary="Run a stopped container")(self.run)
        app.post("/add_domain", summary="Add a domain to a container")(self.add_domain)
        app.post("/delete", summary="Delete a container")(self.delete)
        app.post("/logs", summary="Read what a container wrote")(self.logs)

    def index(self, request: Request) -> dict[str, Any]:
        """Tell of each container on this machine whether it runs, its image, and its domains."""
        if self._settings.private:
            self._allow(request)
        return self._deployments.overview()

    def new(self, body: bodies.New, request: Request) -> str:
        """Answer when the new container has answered; until then, the one that ran gets the requests."""
        self._allow(request, body)
        name = body.name or names.default_name(body.image)
        domain = self._deployments.deploy(
            body.image, name=name, variables=body.env or {}, parent=self._own_domain(request)
        )
        return f"Running on {domain}!"

    def redeploy(self, body: bodies.Named, request: Request) -> str:
        """Keep the variables as they are, and pull the image again."""
        self._allow(request, body)
        return f"Running on {self._deployments.redeploy(body.name)}!"

    def stop(self, body: bodies.Named, request: Request) -> bodies.Success:
        """Tell it to end, and kill it after ten seconds."""
        self._allow(request, body)
        self._deployments.stop(body.name)
        return bodies.Success()

    def run(self, body: bodies.Named, request: Request) -> bodies.Success:
        """Start the container that was stopped, with its port and its domains."""
        self._allow(request, body)
        self._deployments.run(body.name)
        return bodies.Success()

    def add_domain(self, body: bodies.AddDomain, request: Request) -> bodies.Success:
        """Let the container answer for the domain, which is no mistake if it does so already."""
        self._allow(request, body)
        if body.domain in {self._settings.domain, (request.url.hostname or "").lower()}:
            raise AppConflict("That domain is this service's own.")
        self._deployments.add_domain(body.name, body.domain, force=body.force)
        return bodies.Success()

    def delete(self, body: bodies.Delete, request: Request) -> bodies.Success:
        """Remove the container; what it has saved is kept for the next one of that name, unless it is purged."""
        self._allow(request, body)
        self._deployments.delete(body.name, purge=body.purge)
        return bodies.Success()

    def logs(self, body: bodies.Logs, request: Request) -> bodies.Log:
        """Return both of its streams, as the engine has them."""
        self._allow(request, body)
        return bodies.Log(logs=self._deployments.logs(body.name, body.lines))

    def _allow(self, request: Request, body: bodies.Request | None = None) -> None:
        header = request.headers.get("authorization", "")
        bearer = header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else None
        sent = body.secret if body is not None else None
        self._gate.check(bearer if sent is None else sent, _caller(request))

    def _own_domain(self, request: Request) -> str:
        if self._settings.domain is not None:
            return self._settings.domain
        return names.domain_name(request.url.hostname or "", "the name that the request was sent to")


def _caller(request: Request) -> str:
    """Return the address of who asks: what nginx says, which alone connects over the socket or from this machine."""
    peer = request.client.host if request.client else ""
    told = request.headers.get("x-real-ip", "") if peer in _LOCAL else ""
    try:
        return str(ipaddress.ip_address(told or peer))
    except ValueError:
        return "unknown"
