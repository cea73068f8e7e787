"""Runs the hosted API: listens first, then lets one or more workers answer."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers import engine
from exasol_ci_setup.containers.hosted.settings import deploy_key
from exasol_ci_setup.containers.hosted.state import State
from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exasol_ci_setup.containers.hosted.settings import Settings

_APPLICATION: Final = "exasol_ci_setup.containers.hosted.wsgi:app"
_BACKLOG: Final = 2048


def check(settings: Settings) -> None:
    """Raise InputError without a deploy key or a usable state directory, and EngineUnavailable without a Docker engine."""
    deploy_key(os.environ)
    State(settings.state)
    engine.connect().close()


def serve(settings: Settings, listening: socket.socket, *, workers: int) -> None:
    """Answer on a socket that listens, with so many processes, until SIGTERM or Ctrl-C; requests under way are ended first."""
    from uvicorn import Config, Server
    from uvicorn.supervisors import Multiprocess

    from exasol_ci_setup.containers import web

    # Workers are new processes, which read them again.
    os.environ.update(settings.variables())
    config = Config(
        _APPLICATION,
        workers=workers,
        http=web.Protocol,
        lifespan="on",
        log_config=_log_config(),
        # What nginx tells of a caller is read where it counts.
        proxy_headers=False,
        server_header=False,
    )
    # The server tells SIGTERM on when it has ended, to which there is nothing more to do.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    if workers > 1:
        Multiprocess(config, sockets=[listening]).run()
    else:
        Server(config).run(sockets=[listening])


@contextlib.contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """Listen at `path`, for this user and group only, and remove it at the end.

    What a killed server has left there is replaced. Raises InputError if one answers there, or the path cannot be used.
    """
    listening = socket.socket(socket.AF_UNIX)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                # So is the answer of a file that is no socket at all, which is not ours to remove.
                if not path.is_socket():
                    raise InputError(f"--socket {path} cannot be used: it is not a socket") from None
                path.unlink()
            except FileNotFoundError:
                pass
            else:
                raise InputError(f"--socket {path} cannot be used: another server answers there")
        # From its first moment on, nobody else may connect.
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
    """Listen on a port of an address of this machine. Raises InputError if that is not possible."""
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
    """Return the server's own way of logging, all of it to stderr, with what our modules say."""
    from uvicorn.config import LOGGING_CONFIG

    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["loggers"]["exasol_ci_setup"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
