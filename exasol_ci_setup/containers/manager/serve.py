"""The server of the container manager: its socket, its signals, and the file with its port."""

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

from exasol_ci_setup.containers import web
from exasol_ci_setup.containers.manager import app, ports
from exasol_ci_setup.containers.manager.images import Images
from exasol_ci_setup.containers.manager.manager import Manager
from exasol_ci_setup.containers.manager.run import Containers
from exasol_ci_setup.containers.manager.streams import Streams
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.core.files import write_whole
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator
    from pathlib import Path

    from docker import DockerClient

    from exasol_ci_setup.containers.manager.config import Config

log = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACEFUL_SHUTDOWN_SECONDS: Final = 5  # for pending answers, after all containers are removed


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 selects a free port.

    Raises InputError for an invalid host, and SetupError if the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"{host!r} is not a host to listen on: {getattr(error, 'strerror', error)}") from None
    listening = socket.socket(family, kind, protocol)
    try:
        # Connections of an earlier run in the state TIME_WAIT must not block the port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(socket.SOMAXCONN)
    except OSError as error:
        listening.close()
        hint = (
            "choose another port; a file without a port selects a free one" if error.errno == errno.EADDRINUSE else ""
        )
        raise SetupError(f"cannot listen on {host}:{port}: {error.strerror}", hint=hint) from None
    return listening


def serve(
    config: Config,
    listening: socket.socket,
    ready: Callable[[], None],
    *,
    file: Path | None = None,
    hosts: Collection[str] = (),
    publish_address: str = ports.LOOPBACK,
) -> list[str]:
    """Serve until a signal or a request stops the manager; return the reasons of failed removals.

    `hosts` are further accepted host names. Ports without an address are published on `publish_address`. `ready` is called when the manager answers requests. Before that, `file` receives the
    port and the process ID. It is removed after the last container. Raises EngineUnavailableError, and InputError if the file cannot be
    written.
    """
    client = engine.connect(connections=64)
    try:
        return asyncio.run(_serve(config, client, listening, ready, file, hosts, publish_address))
    finally:
        client.close()
        if file is not None:
            _remove_file(file)


async def _serve(
    config: Config,
    client: DockerClient,
    listening: socket.socket,
    ready: Callable[[], None],
    file: Path | None,
    hosts: Collection[str],
    publish_address: str,
) -> list[str]:
    streams = Streams(client)
    containers = Containers(client, streams, publish_address)
    manager = Manager(config, Images(client, streams, config), containers, streams)
    left: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    def on_stopped(remaining: list[str]) -> None:
        left[:] = remaining
        if file is not None:
            _remove_file(file)
        server.should_exit = True

    async def end() -> None:
        on_stopped(await manager.shutdown())

    def on_ready() -> None:
        if file is not None:
            _write_file(file, listening.getsockname()[1])
        log.info("manager %s is ready", containers.manager_id)
        ready()
        tasks.add(asyncio.create_task(manager.remove_leftovers()))

    server = _Server(
        uvicorn.Config(
            app.create(manager, on_stopped, hosts=hosts),
            http=web.Protocol,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_SECONDS,
        ),
        on_ready,
        end,
    )
    try:
        await server.serve(sockets=[listening])
    finally:
        # An error, too, may have stopped the server.
        await end()
    return left


class _Server(uvicorn.Server):
    """A server that reports readiness, and that removes the containers on a signal before it stops."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], end: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._end = end
        self._ending: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals instead of uvicorn, which would first wait for callers that wait for containers."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, lambda: self._ending.add(loop.create_task(self._end())))
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _write_file(file: Path, port: int) -> None:
    """Write the port and the process ID atomically. Raises InputError if that fails."""
    try:
        write_whole(file, f"{port}\n{os.getpid()}\n".encode("ascii"), mode=0o600)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error


def _remove_file(file: Path) -> None:
    """Remove the file, unless another process has replaced it."""
    with contextlib.suppress(OSError, ValueError):
        if file.is_file() and int(file.read_text(encoding="ascii").split()[1]) == os.getpid():
            file.unlink()
