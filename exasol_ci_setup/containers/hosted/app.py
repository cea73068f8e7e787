"""The application of the hosted API: request checks, error answers, and background tasks."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from exasol_ci_setup.containers import web
from exasol_ci_setup.containers.failures import Failure, add_handlers, http_failure
from exasol_ci_setup.containers.hosted import bodies
from exasol_ci_setup.containers.hosted.auth import Authenticator
from exasol_ci_setup.containers.hosted.certificates import Certificates
from exasol_ci_setup.containers.hosted.deployments import Deployments
from exasol_ci_setup.containers.hosted.instances import Instances
from exasol_ci_setup.containers.hosted.nginx import Nginx
from exasol_ci_setup.containers.hosted.nginx_program import nginx_program
from exasol_ci_setup.containers.hosted.revival import Revival
from exasol_ci_setup.containers.hosted.routes import Routes
from exasol_ci_setup.containers.hosted.state import State
from exasol_ci_setup.core.errors import (
    AppConflictError,
    AppDoesNotAnswerError,
    AppNotFoundError,
    CertificateError,
    DiskFullError,
    EngineError,
    InputError,
    KeyRefusedError,
    NginxError,
    NginxRefusedError,
    SetupError,
    TooManyAttemptsError,
)
from exasol_ci_setup.core.version import __version__
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import FastAPI, Response
    from starlette.types import Lifespan

    from exasol_ci_setup.containers.hosted.settings import Settings

_STATUSES: Final[tuple[tuple[type[SetupError], int, str], ...]] = tuple(
    (kind, status, kind.__name__.removesuffix("Error"))
    for kind, status in (
        (InputError, 400),
        (AppDoesNotAnswerError, 400),
        (NginxRefusedError, 400),
        (TooManyAttemptsError, 429),
        (KeyRefusedError, 403),
        (AppNotFoundError, 404),
        (AppConflictError, 409),
        (DiskFullError, 507),
        (EngineError, 502),
        (NginxError, 502),
        (CertificateError, 502),
    )
)
_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": bodies.FailureAnswer, "description": description}
    for status, description in (
        (400, "The request is invalid, or the new container does not run"),
        (403, "The secret is missing or wrong, or the request is from a page of another site"),
        (404, "The container or image does not exist"),
        (409, "The request conflicts with the state of the container or with another container"),
        (408, "The body did not arrive in time"),
        (413, "The body is too large"),
        (429, "Too many wrong secrets"),
        (502, "The Docker engine, nginx or certbot failed"),
        (507, "The disk with the state directory is full"),
    )
}
_RENEWAL_SECONDS: Final = 12 * 3600.0
_REVIVAL_SECONDS: Final = 5.0
_MAX_THREADS: Final = 256
# Let's Encrypt accepts five failures of a domain in an hour: https://letsencrypt.org/docs/rate-limits/.
_RENEWAL_RETRY_SECONDS: Final = 900.0

_log = logging.getLogger(__name__)


def create_app(settings: Settings, key: str) -> FastAPI:
    """Create the application for `settings`; callers authenticate with `key`.

    Raises InputError for an unusable state directory, and EngineUnavailableError if no Docker engine answers.
    """
    state = State(settings.state)
    # Long, because a pull sends no data while it waits for the registry.
    client = engine.connect(timeout=600, connections=64)
    instances = Instances(client, state.identity, settings.subnets)
    deployments = Deployments(
        settings,
        state,
        instances,
        Nginx(nginx_program(settings), settings.state),
        Certificates(settings.state) if settings.ssl else None,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # Requests that wait for the lock of an app or for an image occupy a thread each; others must not wait for them.
        to_thread.current_default_thread_limiter().total_tokens = _MAX_THREADS
        await run_in_threadpool(deployments.recover)
        ending = threading.Event()
        revival = Revival(state, instances, deployments.locks)
        repeated = [(revival.revive, _REVIVAL_SECONDS, _REVIVAL_SECONDS)]
        if settings.ssl:
            repeated.append((deployments.renew, _RENEWAL_SECONDS, _RENEWAL_RETRY_SECONDS))
        threads = [threading.Thread(target=_repeat, args=(*each, ending), daemon=True) for each in repeated]
        for thread in threads:
            thread.start()
        yield
        ending.set()
        await run_in_threadpool(deployments.end)
        client.close()

    return assemble(settings, Authenticator(key), deployments, lifespan)


def assemble(
    settings: Settings, authenticator: Authenticator, deployments: Deployments, lifespan: Lifespan[FastAPI]
) -> FastAPI:
    """Return the application that checks requests and passes them to `deployments`."""
    app = web.create_api(
        lambda status, reason: _render_failure(http_failure(status, reason)),
        hosts=settings.hosts,
        # nginx terminates TLS, so an origin may have either scheme.
        schemes=("https", "http"),
        title="Hosted Docker API",
        version=__version__,
        lifespan=lifespan,
        responses=_FAILURES,
    )
    add_handlers(app, _render_failure, _STATUSES)
    routes = Routes(settings, authenticator, deployments)
    routes.add_to(app)
    app.state.end_streams = routes.log_streams.end
    return app


def _repeat(action: Callable[[], None], seconds: float, retry_seconds: float, ending: threading.Event) -> None:
    """Call `action` every `seconds`, and `retry_seconds` after an error."""
    problem = ""
    while not ending.is_set():
        pause = retry_seconds
        try:
            action()
            problem, pause = "", seconds
        except SetupError as error:
            # A repeated reason is logged once.
            if str(error) != problem:
                _log.warning("%s", error)
            problem = str(error)
        except Exception:  # noqa: BLE001 - the thread must not end
            _log.exception("a repeated task failed")
        ending.wait(pause)


def _render_failure(failure: Failure) -> Response:
    wait = failure.error.seconds if isinstance(failure.error, TooManyAttemptsError) else None
    headers = {**failure.headers, **({"Retry-After": str(wait)} if wait is not None else {})}
    # A reason may quote text of the body that UTF-8 cannot encode.
    reason = failure.message.encode(errors="backslashreplace").decode()
    return JSONResponse({"success": False, "reason": reason}, status_code=failure.status, headers=headers)
