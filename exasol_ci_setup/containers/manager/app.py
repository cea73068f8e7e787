"""The container manager's HTTP interface: what is asked, what is answered, and how each error is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from starlette.exceptions import HTTPException as StarletteHTTPException

from exasol_ci_setup.containers import web
from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.containers.manager.ports import Port
from exasol_ci_setup.containers.quotes import cut
from exasol_ci_setup.errors import EngineError, InputError, NoSuchImage, PortTaken, SetupError, ShuttingDown
from exasol_ci_setup.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from exasol_ci_setup.containers.manager.manager import Manager, Started

log = logging.getLogger(__name__)

# The first that fits counts. An image whose options cannot be followed here and now is in conflict with the manager's surroundings.
_STATUSES: Final[tuple[tuple[type[SetupError], int], ...]] = (
    (NoSuchImage, 404),
    (InputError, 409),
    (PortTaken, 409),
    (ShuttingDown, 503),
    (EngineError, 502),
)
_NAMES: Final = {
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    413: "BodyTooLarge",
}
_BAD_REQUEST: Final = 400
_MOST_PROBLEMS: Final = 10
_MOST_PORTS: Final = 1000
_LONGEST_NAME: Final = 255
_FAILED: Final = 500
# What an error may carry besides its message.
_FACTS: Final = ("wanted", "available", "output")

_WORD: Final = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
AskedPort = Annotated[
    Port,
    BeforeValidator(ports.parse),
    WithJsonSchema(
        {
            "description": "As `docker run --publish` has it; a host's port 0 is a free one.",
            "examples": [[0, 4545], ["127.0.0.1", 0, "53/udp"], "8080:6379", 6379],
            "anyOf": [*_WORD["anyOf"], {"type": "array", "items": _WORD, "minItems": 1, "maxItems": 3}],
        }
    ),
]


def _short(name: str) -> str:
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a name has at most {_LONGEST_NAME} characters")
    return name


# The constraint of pydantic itself refuses text that UTF-8 has no bytes for; such a name is one that does not exist.
ImageName = Annotated[str, AfterValidator(_short), WithJsonSchema({"type": "string", "maxLength": _LONGEST_NAME})]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageRequest(_Body):
    """Which image is meant."""

    image: ImageName = Field(description="A name below `images` in the configuration.")


class StartRequest(ImageRequest):
    """Which image's container is wanted, with which ports, and whether for its caller alone."""

    ports: list[AskedPort] = Field(max_length=_MOST_PORTS)
    lock: bool = Field(default=False, description="Wait until everyone who asked so before has unlocked the container.")


class StartAnswer(BaseModel):
    """The container."""

    ports: dict[str, int] = Field(description="The host's port of each port of the container, such as 4545 or 53/udp.")
    just_created: bool
    container_id: str


class ErrorAnswer(BaseModel):
    """What went wrong."""

    error: dict[str, Any] = Field(description="At least a `message`.")
    error_code: str


class _Ascii(JSONResponse):
    """JSON whose text can be encoded, whatever a caller sent and is told again."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode("ascii")


def create(manager: Manager, stopped: Callable[[list[str]], None], *, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application; `stopped` is called when nothing runs any more, with what could not be removed.

    Requests must name this host by ``localhost``, an IP address, or one of `hosts`.
    """
    app = web.create_api(
        lambda status, reason: _error(status, _NAMES[status], reason),
        hosts=hosts,
        schemes=("http",),
        title="Container manager",
        version=__version__,
        description="Containers on request, for tests.",
        redirect_slashes=False,
        default_response_class=_Ascii,
        separate_input_output_schemas=False,
        responses={code: {"model": ErrorAnswer} for code in (403, 408, 413)},
    )
    _add_errors(app)
    _describe(app)
    told = {code: {"model": ErrorAnswer} for code in (400, 404, 409, 502, 503)}

    @app.post("/start_container", responses=_only(told, 400, 404, 409, 502, 503))
    async def start_container(body: StartRequest, request: Request) -> StartAnswer:
        """Start the container of an image, unless it runs, and tell where its ports are."""
        started = await _unless_gone(request, manager, body)
        return StartAnswer(
            ports=dict(started.ports), just_created=started.just_created, container_id=started.container_id
        )

    @app.post("/stop_container", status_code=204, response_class=Response, responses=_only(told, 400, 404, 502))
    async def stop_container(body: ImageRequest) -> None:
        """Stop and remove the container of an image, and what ran only for it; one that does not run is no error."""
        await manager.stop(body.image)

    @app.post("/unlock_container", status_code=204, response_class=Response, responses=_only(told, 400, 404))
    async def unlock_container(body: ImageRequest) -> None:
        """Let the next caller who asked for the image with `lock` have its container."""
        manager.unlock(body.image)

    @app.get("/version", response_class=PlainTextResponse)
    async def version() -> str:
        """Tell the program and its version."""
        return f"exasol-ci-setup {__version__}"

    @app.get("/shutdown", status_code=204, response_class=Response)
    async def shutdown(request: Request) -> None:
        """Stop and remove every container, and end the manager."""
        if _may_be_of_a_page(request):
            raise HTTPException(403, "a page of another site cannot shut this down")
        stopped(await manager.shutdown())

    return app


def _may_be_of_a_page(request: Request) -> bool:
    """Return whether a page of another site may have sent a `GET`, which carries no `Origin`: as a picture, for example.

    Browsers name the site to trustworthy addresses only, such as 127.0.0.1: https://www.w3.org/TR/fetch-metadata/. To others, a
    browser is known by its `User-Agent`, which no page can change.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"none", "same-origin"}
    return request.headers.get("user-agent", "").startswith("Mozilla/")


def _only(told: dict[int, Any], *codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: told[code] for code in codes}


class _Gone(Exception):
    """Nobody waits for the answer any more."""


async def _unless_gone(request: Request, manager: Manager, body: StartRequest) -> Started:
    """Start the container; whoever hangs up meanwhile is not given a turn that nobody would end."""
    work = asyncio.create_task(manager.start(body.image, body.ports, lock=body.lock))
    gone = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _Gone
        started = work.result()
        if gone.done() and body.lock:
            manager.unlock(body.image)
        return started
    finally:
        for task in (work, gone):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, SetupError):
                await task


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(SetupError)
    async def refused(_request: Request, error: SetupError) -> Response:
        status = next((code for kind, code in _STATUSES if isinstance(error, kind)), _FAILED)
        if status >= _FAILED:
            log.warning("%s", error)
        facts = {name: list(value) if isinstance(value, tuple) else value for name, value in _facts(error)}
        hint = {"hint": error.hint} if error.hint else {}
        return _error(status, type(error).__name__, error.message, **hint, **facts)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        problems = [_problem(each) for each in error.errors()[:_MOST_PROBLEMS]]
        is_json = all(each["type"] != "json_invalid" for each in error.errors())
        return _error(
            _BAD_REQUEST,
            "BadRequest" if is_json else "BadJSON",
            "; ".join(f"{where}: {why}" if where else why for where, why in problems),
            errors=[{"path": where, "message": why} for where, why in problems],
        )

    @app.exception_handler(StarletteHTTPException)
    async def http(_request: Request, error: StarletteHTTPException) -> Response:
        name = _NAMES.get(error.status_code, "BadRequest")
        answer = _error(error.status_code, name, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(_Gone)
    async def gone(_request: Request, _error: _Gone) -> Response:
        return Response(status_code=_FAILED)

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, error: Exception) -> Response:
        # The server writes its traceback to the log.
        return _error(_FAILED, "InternalError", f"this should not have happened: {type(error).__name__}")


def _describe(app: FastAPI) -> None:
    described = app.openapi

    def without_422() -> dict[str, Any]:
        """Describe the interface without the status that FastAPI assumes, in place of which 400 is given."""
        schema = described()
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(name, None)
        return schema

    app.openapi = without_422  # type: ignore[method-assign] # as FastAPI's documentation has it


def _facts(error: SetupError) -> list[tuple[str, Any]]:
    return [(name, getattr(error, name)) for name in _FACTS if hasattr(error, name)]


def _problem(error: dict[str, Any]) -> tuple[str, str]:
    """Return where in the request something is wrong, and why."""
    if error["type"] == "json_invalid":
        return "", f"the body is not JSON: {error.get('ctx', {}).get('error', error['msg'])}"
    raised = error.get("ctx", {}).get("error")
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{cut(part)}" for part in error["loc"][1:])
    if not where:
        return "", "the body must be a JSON object, with the content type application/json"
    return where.lstrip("."), str(raised) if isinstance(raised, Exception) else str(error["msg"])


def _error(status: int, code: str, message: str, **facts: Any) -> Response:
    return _Ascii({"error": {"message": message, **facts}, "error_code": code}, status_code=status)
