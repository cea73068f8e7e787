"""The server of the hosted API: one process on a listening socket."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Final

from uvicorn import Config, Server
from uvicorn.config import LOGGING_CONFIG

from exasol_ci_setup.containers import web
from exasol_ci_setup.containers.hosted.app import create_app
from exasol_ci_setup.containers.hosted.locks import DirectoryLock
from exasol_ci_setup.containers.hosted.routes import LOGS
from exasol_ci_setup.containers.hosted.settings import deploy_key
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI

    from exasol_ci_setup.containers.hosted.settings import Settings

_BACKLOG: Final = 2048


def create(settings: Settings) -> FastAPI:
    """Create the application with the deploy key of the environment.

    Raises InputError for a missing key or an unusable state directory, and EngineUnavailableError if no Docker engine answers.
    """
    return create_app(settings, deploy_key(os.environ))


@contextlib.contextmanager
def locked_state(settings: Settings) -> Iterator[None]:
    """Lock the state directory. Raises InputError if another process serves it."""
    lock = DirectoryLock(settings.state, wait=False)
    try:
        yield
    finally:
        lock.release()


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or Ctrl-C; complete open requests first. The caller must lock the state directory."""
    config = Config(
        app,
        http=web.Protocol,
        lifespan="on",
        log_config=_log_config(),
        # The application itself reads the address that nginx forwards.
        proxy_headers=False,
        server_header=False,
    )
    # uvicorn raises SIGTERM again after its shutdown; ignore it, so that the exit code is 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    _Server(config).run(sockets=[listening])


class _Server(Server):
    """The server of uvicorn. It closes logs that callers follow before it waits for open requests."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Complete open requests, and stop."""
        for connection in tuple(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if (
                cycle is not None
                and cycle.scope["path"] == LOGS
                and cycle.response_started
                and not cycle.response_complete
            ):
                # Without its last chunk, the caller knows that the container has not ended.
                cycle.transport.close()
        self.config.app.state.end_streams()  # type: ignore[union-attr] # always the application of `create`
        await super().shutdown(sockets)


@contextlib.contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """Listen on a Unix socket at `path`, for this user and group only, and remove it at the end.

    The socket of a killed server is replaced. Raises InputError if another server answers, or the path cannot be used.
    """
    listening = socket.socket(socket.AF_UNIX)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                # A file that is not a socket also refuses connections. It must not be removed.
                if not path.is_socket():
                    raise InputError(f"--socket {path} cannot be used: it is not a socket") from None
                path.unlink()
            except FileNotFoundError:
                pass
            else:
                raise InputError(f"--socket {path} cannot be used: another server answers on it")
        # The mask applies from the creation of the socket, so that other users can never connect.
        mask = os.umask(0o117)
        try:
            listening.bind(str(path))
        finally:
            os.umask(mask)
        listening.listen(_BACKLOG)
    except InputError:
        listening.close()
        raise
    except OSError as error:
        listening.close()
        raise InputError(f"--socket {path} cannot be used: {error.strerror or error}") from error
    try:
        yield listening
    finally:
        listening.close()
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def tcp_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on a port of an address of this machine. Raises InputError if the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--host {host} --port {port} cannot be used: {getattr(error, 'strerror', None) or error}"
        ) from error
    with listening:
        yield listening


def _log_config() -> dict[str, Any]:
    """Return the logging configuration of uvicorn, with all output on stderr, and the loggers of this package."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["loggers"]["exasol_ci_setup"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
