"""The container manager as a server: listening, ending on a signal, and the file that tells where it is."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from exasol_ci_setup.containers import engine, web
from exasol_ci_setup.containers.manager import app
from exasol_ci_setup.containers.manager.images import Images
from exasol_ci_setup.containers.manager.manager import Manager
from exasol_ci_setup.containers.manager.run import Containers
from exasol_ci_setup.containers.manager.streams import Streams
from exasol_ci_setup.errors import InputError, SetupError
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator
    from pathlib import Path

    from docker import DockerClient

    from exasol_ci_setup.containers.manager.config import Config

log = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_ANSWERS: Final = 5  # seconds for answers that are being sent when all containers are gone


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is a free one. Raises InputError for a host that is none, and SetupError if it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"{host!r} is not a host to listen on: {getattr(error, 'strerror', error)}") from None
    listening = socket.socket(family, kind, protocol)
    try:
        # What an earlier run left in the state TIME_WAIT is in nobody's way.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(socket.SOMAXCONN)
    except OSError as error:
        listening.close()
        hint = "name another port, or a file without a port for a free one" if error.errno == errno.EADDRINUSE else ""
        raise SetupError(f"{host}:{port} cannot be listened on: {error.strerror}", hint=hint) from None
    return listening


def serve(
    config: Config,
    listening: socket.socket,
    ready: Callable[[], None],
    *,
    file: Path | None = None,
    hosts: Collection[str] = (),
) -> list[str]:
    """Serve until a signal or a request ends it; return what could not be removed then.

    `hosts` are further names under which it may be reached. `ready` is called when requests are answered; before that `file`, if given, is written with the port and this process's id, and it is
    removed when no container runs any more. Raises EngineUnavailable, and InputError if the file cannot be written.
    """
    client = engine.connect(connections=64)
    try:
        return asyncio.run(_serve(config, client, listening, ready, file, hosts))
    finally:
        client.close()
        if file is not None:
            _forget(file)


async def _serve(
    config: Config,
    client: DockerClient,
    listening: socket.socket,
    ready: Callable[[], None],
    file: Path | None,
    hosts: Collection[str],
) -> list[str]:
    streams = Streams(client)
    containers = Containers(client, streams)
    manager = Manager(config, Images(client, streams, config), containers, streams)
    left: list[str] = []

    def stopped(remaining: list[str]) -> None:
        left[:] = remaining
        if file is not None:
            _forget(file)
        server.should_exit = True

    async def end() -> None:
        stopped(await manager.shutdown())

    def begun() -> None:
        for option in config.unused:
            log.warning("%s is not acted on", option)
        if file is not None:
            _announce(file, listening.getsockname()[1])
        log.info("manager %s is ready", containers.manager_id)
        ready()

    server = _Server(
        uvicorn.Config(
            app.create(manager, stopped, hosts=hosts),
            http=web.Protocol,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=_LAST_ANSWERS,
        ),
        begun,
        end,
    )
    try:
        await server.serve(sockets=[listening])
    finally:
        # Something else than a request or a signal may have ended it.
        await end()
    return left


class _Server(uvicorn.Server):
    """A server that tells when it is ready, and that lets a signal end the containers before itself."""

    def __init__(
        self, config: uvicorn.Config, begun: Callable[[], None], end: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        super().__init__(config)
        self._begun = begun
        self._end = end
        self._ending: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._begun()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals in place of uvicorn, which would wait for the callers first, and they for their containers."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, lambda: self._ending.add(loop.create_task(self._end())))
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _announce(file: Path, port: int) -> None:
    """Write the port and this process's id, all at once. Raises InputError if that cannot be done."""
    try:
        write_whole(file, f"{port}\n{os.getpid()}\n".encode("ascii"), mode=0o600)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error


def _forget(file: Path) -> None:
    """Remove the file, unless it is somebody else's by now."""
    with contextlib.suppress(OSError, ValueError):
        if file.is_file() and int(file.read_text(encoding="ascii").split()[1]) == os.getpid():
            file.unlink()
