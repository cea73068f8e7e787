"""The HTTP interface of the container manager: requests, answers and errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from exasol_ci_setup.containers import web
from exasol_ci_setup.containers.failures import Failure, add_handlers, http_failure
from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.containers.manager.ports import Port
from exasol_ci_setup.core.errors import (
    ContainerNotReadyError,
    EngineError,
    EngineUnavailableError,
    ImageNotBuiltError,
    InputError,
    NoSuchImageError,
    PortTakenError,
    SetupError,
    ShuttingDownError,
)
from exasol_ci_setup.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from exasol_ci_setup.containers.manager.manager import Manager, StartedContainer

# Status and `error_code`; the first match counts. Clients match them: keep them when a class is renamed.
# InputError is 409: the options of an image conflict with the environment of the manager.
_ERRORS: Final[tuple[tuple[type[SetupError], int, str], ...]] = (
    (NoSuchImageError, 404, "NoSuchImage"),
    (InputError, 409, "InputError"),
    (PortTakenError, 409, "PortTaken"),
    (ShuttingDownError, 503, "ShuttingDown"),
    (ImageNotBuiltError, 502, "ImageNotBuilt"),
    (ContainerNotReadyError, 502, "ContainerNotReady"),
    (EngineUnavailableError, 502, "EngineUnavailable"),
    (EngineError, 502, "EngineError"),
    (SetupError, 500, "SetupError"),
)
_MAX_PORTS: Final = 1000
_MAX_NAME_LENGTH: Final = 255
_SERVER_ERROR: Final = 500
# Attributes of errors that an answer contains besides the message.
_FACTS: Final = ("wanted", "available", "output")

_PORT_PART: Final = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
RequestedPort = Annotated[
    Port,
    BeforeValidator(ports.parse),
    WithJsonSchema(
        {
            "description": "A port as in `docker run --publish`; host port 0 selects a free port.",
            "examples": [[0, 4545], ["127.0.0.1", 0, "53/udp"], "8080:6379", 6379],
            "anyOf": [*_PORT_PART["anyOf"], {"type": "array", "items": _PORT_PART, "minItems": 1, "maxItems": 3}],
        }
    ),
]


def _check_length(name: str) -> str:
    if len(name) > _MAX_NAME_LENGTH:
        raise ValueError(f"a name has at most {_MAX_NAME_LENGTH} characters")
    return name


# Not a length constraint of pydantic: it rejects text that UTF-8 cannot encode. Such a name gets 404, as any unknown name.
ImageName = Annotated[
    str, AfterValidator(_check_length), WithJsonSchema({"type": "string", "maxLength": _MAX_NAME_LENGTH})
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageRequest(_Body):
    """A request that names an image."""

    image: ImageName = Field(description="A name below `images` in the configuration.")


class StartRequest(ImageRequest):
    """A request for the container of an image, with ports, and optionally with exclusive use."""

    ports: list[RequestedPort] = Field(max_length=_MAX_PORTS)
    lock: bool = Field(
        default=False, description="Wait until all earlier requests with `lock` have unlocked the container."
    )


class StartAnswer(BaseModel):
    """A running container."""

    ports: dict[str, int] = Field(description="The host port of each container port; keys such as 4545 or 53/udp.")
    just_created: bool
    container_id: str


class ErrorAnswer(BaseModel):
    """An error."""

    error: dict[str, Any] = Field(description="An object with at least a `message`.")
    error_code: str


class _AsciiJson(JSONResponse):
    """JSON in ASCII, so that an answer can quote text that UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode("ascii")


def create(manager: Manager, on_stopped: Callable[[list[str]], None], *, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application.

    After a shutdown request, the application calls `on_stopped` with descriptions of the containers that could not be removed.
    Requests must name this host by ``localhost``, an IP address, or one of `hosts`.
    """
    app = web.create_api(
        lambda status, reason: _render_failure(http_failure(status, reason)),
        hosts=hosts,
        schemes=("http",),
        title="Container manager",
        version=__version__,
        description="Containers on request, for tests.",
        redirect_slashes=False,
        default_response_class=_AsciiJson,
        separate_input_output_schemas=False,
        responses=_errors(403, 408, 413),
    )
    add_handlers(app, _render_failure, _ERRORS)
    app.add_exception_handler(_ClientDisconnectedError, _handle_disconnect)

    @app.post("/start_container", responses=_errors(400, 404, 409, 502, 503))
    async def start_container(body: StartRequest, request: Request) -> StartAnswer:
        """Start the container of an image, unless it runs already, and return its ports."""
        started = await _start_unless_disconnected(request, manager, body)
        return StartAnswer(
            ports=dict(started.ports), just_created=started.just_created, container_id=started.container_id
        )

    @app.post("/stop_container", status_code=204, response_class=Response, responses=_errors(400, 404, 502))
    async def stop_container(body: ImageRequest) -> None:
        """Stop and remove the container of an image and its unused dependencies; do nothing if it does not run."""
        await manager.stop(body.image)

    @app.post("/unlock_container", status_code=204, response_class=Response, responses=_errors(400, 404))
    async def unlock_container(body: ImageRequest) -> None:
        """Release the container of an image to the next request with `lock`."""
        manager.unlock(body.image)

    @app.get("/version", response_class=PlainTextResponse)
    async def version() -> str:
        """Return the name and the version of the program."""
        return f"exasol-ci-setup {__version__}"

    @app.get("/shutdown", status_code=204, response_class=Response)
    async def shutdown(request: Request) -> None:
        """Stop and remove all containers, and stop the manager."""
        if _may_come_from_page(request):
            raise HTTPException(403, "a page of another site cannot shut down the container manager")
        on_stopped(await manager.shutdown())

    return app


def _may_come_from_page(request: Request) -> bool:
    """Return whether a page of another site may have sent a `GET`, for example as the URL of an image.

    Such a request has no `Origin`. Browsers send `Sec-Fetch-Site` only to trustworthy addresses, such as 127.0.0.1:
    https://www.w3.org/TR/fetch-metadata/. For other addresses, `User-Agent` identifies a browser; no page can change it.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"none", "same-origin"}
    return request.headers.get("user-agent", "").startswith("Mozilla/")


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorAnswer} for status in statuses}


class _ClientDisconnectedError(Exception):
    """The client disconnected before the answer."""


async def _start_unless_disconnected(request: Request, manager: Manager, body: StartRequest) -> StartedContainer:
    """Start the container. If the client disconnects meanwhile, release the lock of the container."""
    work = asyncio.create_task(manager.start(body.image, body.ports, lock=body.lock))
    disconnect = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait((work, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _ClientDisconnectedError
        started = work.result()
        if disconnect.done() and body.lock:
            manager.unlock(body.image)
        return started
    finally:
        for task in (work, disconnect):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, SetupError):
                await task


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _render_failure(failure: Failure) -> Response:
    error = failure.error
    facts: dict[str, Any] = {}
    if error is not None:
        facts = {name: getattr(error, name) for name in _FACTS if hasattr(error, name)}
        facts |= {"hint": error.hint} if error.hint else {}
    if failure.problems:
        facts["errors"] = [{"path": where, "message": why} for where, why in failure.problems]
    content = {"error": {"message": failure.message, **facts}, "error_code": failure.code}
    return _AsciiJson(content, status_code=failure.status, headers=dict(failure.headers))


async def _handle_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_SERVER_ERROR)
