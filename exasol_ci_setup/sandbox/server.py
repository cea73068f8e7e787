"""Serve ministack with the extensions of this package, in a separate process or in a thread of a test session."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
import signal
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.core.errors import SandboxError
from exasol_ci_setup.core.files import write_whole
from exasol_ci_setup.sandbox import access, builds, deployment, docker_client, ports, registry, switches
from exasol_ci_setup.sandbox.daemon import (
    ACCOUNT,
    ENDPOINT_FILE,
    IDENTITY_PATH,
    OBJECTS_DIR,
    REGION,
    REGISTRY_DIR,
    RESET_PATH,
    RUNNING_LOCK,
    SECRET_KEY,
    SERVICES_DIR,
    Endpoint,
)
from exasol_ci_setup.sandbox.launch import LOG_FILE, PORT_FILE
from exasol_ci_setup.sandbox.saving import Saver

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence

    from exasol_ci_setup.sandbox.settings import Settings

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_SAVE_SECONDS = 0.5
_LOCK_SECONDS = 10.0


def _reject_change(_on: bool) -> None:
    raise SandboxError(
        "access control cannot be changed: the sandbox runs in another process, which sets it at its start"
    )


@dataclass
class Server:
    """A sandbox in this process.

    These mappings have an account as key, and "" for all other accounts; they can change at any time. `delays` has the seconds of each
    resource operation, `build_seconds` those of each build, and `failures` has ``IDENTIFIER[:PHASE]`` of builds that fail. `sources` has the
    local directories of repositories by URL. `registry` is HOST:PORT of the registry that serves ECR, empty without one. `control_access` is
    `access.control` for this server.
    """

    url: str
    delays: dict[str, float] = field(default_factory=dict)
    build_seconds: dict[str, float] = field(default_factory=dict)
    sources: dict[str, dict[str, Path]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    region: str = REGION
    account: str = ACCOUNT
    registry: str = ""
    control_access: Callable[[bool], None] = _reject_change


class Application:
    """The ASGI application: serves its identity and the reset, and passes other requests to ministack.

    It handles start and shutdown itself. ministack's start would also start listeners for MQTT and SFTP and schedulers, and would remove
    Docker containers of other emulators on this machine.
    """

    def __init__(self, instance: str, *, persistent: bool, on_ready: Callable[[], None]) -> None:
        from exasol_ci_setup.sandbox import extensions  # noqa: PLC0415 - ministack must see its settings first

        self.ministack = extensions.load_ministack()
        self._end_interrupted_builds = extensions.end_interrupted_builds
        self._instance = instance
        self._saver = Saver(self.ministack) if persistent else None
        self._on_ready = on_ready
        self._changed = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan protocol."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/_"):
            await self._own(scope, receive, send)
        elif scope["type"] == "http" and registry.current() is not None and _is_from_a_page(scope):
            # ministack allows requests of all web pages, and with a registry a request can start a real build.
            await _answer(send, 403, {"message": "not for browsers"})
        else:
            self._changed = True
            await self.ministack.app(scope, receive, send)
            self._changed = True

    async def _own(self, scope: Message, receive: Receive, send: Send) -> None:
        if _is_from_a_page(scope):
            await _answer(send, 403, {"message": "not for browsers"})
        elif scope["path"] == IDENTITY_PATH:
            await _answer(send, 200, {"instance": self._instance, "pid": os.getpid()})
        elif scope["path"] == RESET_PATH and scope["method"] == "POST":
            _cancel_operations()
            self.ministack._reset_all_state()  # noqa: SLF001  (its HTTP form runs in a thread, beside running requests)
            if running := registry.current():
                running.forget()
            if self._saver is not None:
                self._saver.forget()
            await _answer(send, 200, {})
        else:
            await self.ministack.app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        # ministack's worker threads use the loop to call its services.
        self.ministack._MAIN_LOOP = asyncio.get_running_loop()  # noqa: SLF001
        saving = None
        if self._saver is not None:
            self.ministack._load_persisted_state()  # noqa: SLF001
            deployment.end_interrupted_operations()
            self._end_interrupted_builds()
            saving = asyncio.create_task(self._save_changes(self._saver))
            # This imports nearly every service and takes 0.3 s of CPU time. Later, it would delay requests by that time.
            self.ministack._get_module("cloudformation")  # noqa: SLF001
        await send({"type": "lifespan.startup.complete"})
        self._on_ready()
        await receive()
        if saving is not None and self._saver is not None:
            saving.cancel()
            self._saver.save()
        await send({"type": "lifespan.shutdown.complete"})

    async def _save_changes(self, saver: Saver) -> None:
        """Save soon after each request and during operations, so that a SIGKILL loses at most half a second."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            if self._changed:
                self._changed = deployment.is_any_running() or builds.is_any_running()
                saver.save()


def _is_from_a_page(scope: Message) -> bool:
    """Whether a web page sent a request: browsers add the Origin header."""
    return any(name == b"origin" for name, _ in scope["headers"])


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _cancel_operations() -> None:
    """Cancel running stack operations and builds, which would create resources in the emptied services."""
    for task in asyncio.all_tasks():
        code = getattr(task.get_coro(), "cr_code", None)
        if code is not None and "/services/cloudformation/" in code.co_filename.replace(os.sep, "/"):
            task.cancel()
    builds.cancel_all()


async def _serve(application: Application, listening: socket.socket, shutdown: asyncio.Event) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"
    await serve(application, config, shutdown_trigger=shutdown.wait)  # type: ignore[arg-type]


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _hold_running_lock(state_dir: Path) -> int:
    """Acquire the lock of `state_dir`, write the process id into it, and hold it until the process ends."""
    descriptor = os.open(state_dir / RUNNING_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            # A stopping sandbox holds the lock while it saves its state. A check whether one runs holds it briefly.
            if time.monotonic() > deadline:
                raise SandboxError(f"another sandbox uses {state_dir}") from None
            time.sleep(0.01)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def serve_forever(*, state_dir: Path, wanted_ports: Sequence[int], settings: Settings, ready_fd: int) -> None:
    """Serve until SIGTERM or SIGINT, with all state below `state_dir`.

    After the start, write a line to `ready_fd`: requests are answered, and the endpoint is recorded.
    """
    os.umask(0o077)
    _hold_running_lock(state_dir)
    listening = ports.listen(wanted_ports)
    url = _url(listening)
    port = url.rpartition(":")[2]
    # ministack reads these at its import.
    os.environ.update(
        {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state_dir / SERVICES_DIR),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state_dir / OBJECTS_DIR),
            "GATEWAY_PORT": port,
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "LOG_LEVEL": "WARNING",
            "AUTH": "false",
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "SERVICES": "",
            # Services of the sandbox must not start containers, or remove those of another emulator.
            "DOCKER_HOST": f"unix://{state_dir / 'no-docker.sock'}",
        }
    )

    async def run(endpoint: Endpoint) -> None:
        def ready() -> None:
            _record(endpoint, port)
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)

        shutdown = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
        application = Application(endpoint.instance, persistent=True, on_ready=ready)
        deployment.DELAYS[""] = settings.delay
        access.control(application.ministack, on=settings.access_control)
        settings.apply()
        await _serve(application, listening, shutdown)

    with ExitStack() as stack:
        images = stack.enter_context(registry.running(state_dir / REGISTRY_DIR)) if settings.registry else None
        stack.callback((state_dir / ENDPOINT_FILE).unlink, missing_ok=True)
        endpoint = Endpoint(
            url=url,
            pid=os.getpid(),
            region=REGION,
            account=ACCOUNT,
            state_dir=state_dir,
            log_file=state_dir / LOG_FILE,
            instance=secrets.token_hex(16),
            registry=images.address if images else "",
            engine=docker_client.FoundClient.from_settings(settings.docker).engine if images else "",
        )
        asyncio.run(run(endpoint))


def _record(endpoint: Endpoint, port: str) -> None:
    (endpoint.state_dir / PORT_FILE).write_text(port, encoding="ascii")
    values = {name: value for name, value in asdict(endpoint).items() if name not in {"state_dir", "log_file"}}
    write_whole(endpoint.state_dir / ENDPOINT_FILE, json.dumps(values).encode())


@contextmanager
def serve_in_thread(*, with_registry: bool = False) -> Iterator[Server]:
    """Serve a sandbox in a thread of this process, on a free port, with no files other than a registry's images.

    With a registry, it serves ECR in the whole process while the context is open, and images are built if a Docker engine is available. A process
    has one set of services, so a second server shows the same state. Tests use separate accounts: an access key of 12 digits is an account id.

    Raises SandboxError if the registry program is not installed.
    """
    listening = ports.listen(())
    url = _url(listening)
    root = logging.getLogger()
    # ministack configures logging at its import, unless the root logger has a handler.
    placeholder = logging.NullHandler()
    root.addHandler(placeholder)
    try:
        application = Application(secrets.token_hex(16), persistent=False, on_ready=lambda: None)
    finally:
        root.removeHandler(placeholder)
    loop = asyncio.new_event_loop()
    shutdown = asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(_serve(application, listening, shutdown))
        loop.run_until_complete(builds.wait_for_all())
        loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    try:
        with ExitStack() as stack:
            images = stack.enter_context(_temporary_registry()) if with_registry else None
            yield Server(
                url=url,
                control_access=lambda on: access.control(application.ministack, on=on),
                delays=deployment.DELAYS,
                build_seconds=switches.BUILD_SECONDS,
                sources=switches.SOURCES,
                failures=switches.FAILURES,
                registry=images.address if images else "",
            )
    finally:
        loop.call_soon_threadsafe(_cancel_operations)
        loop.call_soon_threadsafe(shutdown.set)
        thread.join()
        loop.close()
        for setting in (deployment.DELAYS, switches.BUILD_SECONDS, switches.SOURCES, switches.FAILURES):
            setting.clear()


@contextmanager
def _temporary_registry() -> Iterator[registry.Registry]:
    with (
        tempfile.TemporaryDirectory(prefix="exasol-ci-setup-registry-") as directory,
        registry.running(Path(directory)) as running,
    ):
        docker_client.use(docker_client.find())
        try:
            yield running
        finally:
            docker_client.use(docker_client.FoundClient())
