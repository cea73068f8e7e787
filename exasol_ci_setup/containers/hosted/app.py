"""The hosted API over HTTP: checks who asks and what, hands it on, and answers in the words that its callers know."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from exasol_ci_setup.containers import engine, web
from exasol_ci_setup.containers.hosted import bodies
from exasol_ci_setup.containers.hosted.auth import Gate
from exasol_ci_setup.containers.hosted.certificates import Certificates
from exasol_ci_setup.containers.hosted.deployments import Deployments
from exasol_ci_setup.containers.hosted.instances import Instances
from exasol_ci_setup.containers.hosted.nginx import Nginx
from exasol_ci_setup.containers.hosted.revival import Revival
from exasol_ci_setup.containers.hosted.routes import Routes
from exasol_ci_setup.containers.hosted.state import State
from exasol_ci_setup.containers.quotes import truncate
from exasol_ci_setup.errors import (
    AppConflict,
    AppFailed,
    AppNotFound,
    CertificateError,
    DiskFull,
    EngineError,
    InputError,
    KeyRefused,
    NginxError,
    NginxRefused,
    SetupError,
    TooManyAttempts,
)
from exasol_ci_setup.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import FastAPI, Request, Response
    from starlette.types import Lifespan

    from exasol_ci_setup.containers.hosted.settings import Settings

# The first that fits counts.
_STATUSES: Final[tuple[tuple[type[SetupError], int], ...]] = (
    (InputError, 400),
    (AppFailed, 400),
    (NginxRefused, 400),
    (TooManyAttempts, 429),
    (KeyRefused, 403),
    (AppNotFound, 404),
    (AppConflict, 409),
    (DiskFull, 507),
    (EngineError, 502),
    (NginxError, 502),
    (CertificateError, 502),
)
_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": bodies.Failure, "description": "What was sent cannot be used, or what it leads to does not run"},
    403: {"model": bodies.Failure, "description": "The secret is missing or wrong, or a page of another site asks"},
    404: {"model": bodies.Failure, "description": "There is no such container or image"},
    409: {"model": bodies.Failure, "description": "The container's state, or another container, is in the way"},
    408: {"model": bodies.Failure, "description": "The body did not arrive in time"},
    413: {"model": bodies.Failure, "description": "The body is too large"},
    429: {"model": bodies.Failure, "description": "Too many wrong secrets"},
    502: {"model": bodies.Failure, "description": "The Docker engine, nginx or certbot failed"},
    507: {"model": bodies.Failure, "description": "The disk with the service's state is full"},
}
_RENEWAL_SECONDS: Final = 12 * 3600.0
_REVIVAL_SECONDS: Final = 5.0
_TAKEOVER_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


def create_app(settings: Settings, key: str) -> FastAPI:
    """Make the application for `settings`, whose callers know `key`.

    Raises InputError for a state directory that cannot be used, and EngineUnavailable if there is no Docker engine.
    """
    state = State(settings.state)
    # A pull says nothing for as long as the registry is silent.
    client = engine.connect(timeout=600, connections=64)
    instances = Instances(client, state.identity)
    deployments = Deployments(
        settings,
        state,
        instances,
        Nginx(settings.nginx, settings.state),
        Certificates(settings.state) if settings.ssl else None,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(deployments.recover)
        ending = threading.Event()
        repeated = [("revival.lock", _REVIVAL_SECONDS, Revival(state, instances).revive)]
        if settings.ssl:
            repeated.append(("renewal.lock", _RENEWAL_SECONDS, deployments.renew))
        for lock, seconds, action in repeated:
            threading.Thread(target=_repeat, args=(state, lock, seconds, action, ending), daemon=True).start()
        yield
        ending.set()
        client.close()

    return assemble(settings, Gate(state, key), deployments, lifespan)


def assemble(settings: Settings, gate: Gate, deployments: Deployments, lifespan: Lifespan[FastAPI]) -> FastAPI:
    """Return the application that checks requests, hands them to `deployments` and answers."""
    app = web.create_api(
        _failure,
        hosts=settings.hosts,
        # nginx ends TLS, so a page may be of either.
        schemes=("https", "http"),
        title="Hosted Docker API",
        version=__version__,
        lifespan=lifespan,
        responses=_FAILURES,
    )
    _answer_errors(app)
    _describe_errors(app)
    Routes(settings, gate, deployments).add_to(app)
    return app


def _repeat(state: State, lock: str, seconds: float, action: Callable[[], None], ending: threading.Event) -> None:
    """Call `action` every so many seconds in one of the workers; another takes over if that ends."""
    problem = ""
    while not ending.is_set():
        try:
            with state.locked_if_free(lock) as mine:
                while mine and not ending.is_set():
                    action()
                    problem = ""
                    ending.wait(seconds)
        except SetupError as error:
            # The same reason is not logged every few seconds.
            if str(error) != problem:
                _log.warning("%s", error)
            problem = str(error)
        except Exception:  # noqa: BLE001 - a thread that ends would never do it again
            _log.exception("%s failed", lock)
        ending.wait(min(seconds, _TAKEOVER_SECONDS))


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(SetupError)
    def of_ours(_request: Request, error: SetupError) -> Response:
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
        if status >= 500:  # noqa: PLR2004 - the server's errors
            _log.error("%s", error)
        headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyAttempts) else None
        return _failure(status, error.message, headers)

    @app.exception_handler(RequestValidationError)
    def of_the_body(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _failure(400, "The body is not JSON.")
        where = ".".join(truncate(str(each)) for each in first["loc"][1:])
        why = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
        return _failure(400, f"{where}: {why}" if where else f"The body cannot be used: {why}")

    @app.exception_handler(Exception)
    def of_anything_else(_request: Request, _error: Exception) -> Response:
        # The server logs it.
        return _failure(500, "The service failed; its log says why.")

    @app.exception_handler(HTTPException)
    def of_http(_request: Request, error: HTTPException) -> Response:
        return _failure(error.status_code, str(error.detail), dict(error.headers or {}))


def _describe_errors(app: FastAPI) -> None:
    described = app.openapi

    def openapi() -> dict[str, Any]:
        """Return the description as it is here: a wrong body is a 400, and each failure is JSON, where success is text, too."""
        found = described()
        for path in found["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                for status, response in operation["responses"].items():
                    if int(status) in _FAILURES:
                        response["content"] = {"application/json": next(iter(response["content"].values()))}
        for name in ("HTTPValidationError", "ValidationError"):
            found.get("components", {}).get("schemas", {}).pop(name, None)
        return found

    app.openapi = openapi  # type: ignore[method-assign] # the way that the framework's documentation shows


def _failure(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    # A body may hold what UTF-8 has no bytes for, and a reason may repeat it.
    text = reason.encode(errors="backslashreplace").decode()
    return JSONResponse({"success": False, "reason": text}, status_code=status, headers=headers)
