"""The server of the hosted API: a listening socket, and one or more workers."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Final

from uvicorn import Config, Server
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import Multiprocess

from exasol_ci_setup.containers import web
from exasol_ci_setup.containers.hosted.settings import deploy_key
from exasol_ci_setup.containers.hosted.state import State
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exasol_ci_setup.containers.hosted.settings import Settings

_APPLICATION: Final = "exasol_ci_setup.containers.hosted.wsgi:app"
_BACKLOG: Final = 2048


def check(settings: Settings) -> None:
    """Check the deploy key, the state directory and the Docker engine.

    Raises InputError for the first two, and EngineUnavailableError if no engine answers.
    """
    deploy_key(os.environ)
    State(settings.state)
    engine.connect().close()


def serve(settings: Settings, listening: socket.socket, *, workers: int) -> None:
    """Serve on a listening socket with `workers` processes until SIGTERM or Ctrl-C; complete open requests first."""
    # Workers are new processes and read their settings from the environment.
    os.environ.update(settings.variables())
    config = Config(
        _APPLICATION,
        workers=workers,
        http=web.Protocol,
        lifespan="on",
        log_config=_log_config(),
        # The application itself reads the address that nginx forwards.
        proxy_headers=False,
        server_header=False,
    )
    # uvicorn raises SIGTERM again after its shutdown; ignore it, so that the exit code is 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    if workers > 1:
        Multiprocess(config, sockets=[listening]).run()
    else:
        Server(config).run(sockets=[listening])


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
