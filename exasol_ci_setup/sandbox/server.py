"""Serves ministack with this package's extensions: for good in a process of its own, or in a thread of a test session."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.errors import SandboxError
from exasol_ci_setup.sandbox import access, builds, deployment, docker_client, registry, switches
from exasol_ci_setup.sandbox.daemon import (
    ACCOUNT,
    ENDPOINT_FILE,
    IDENTITY_PATH,
    OBJECTS_DIR,
    REGION,
    REGISTRY_DIR,
    RESET_PATH,
    RUNNING_LOCK,
    SERVICES_DIR,
    Endpoint,
)
from exasol_ci_setup.sandbox.launch import LOG_FILE, PORT_FILE
from exasol_ci_setup.sandbox.saving import Saver
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence

    from exasol_ci_setup.sandbox.settings import Settings

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_SAVE_SECONDS = 0.5
_LOCK_SECONDS = 10.0


def _is_elsewhere(_on: bool) -> None:
    raise SandboxError("the access control of a sandbox in another process is set at its start")


@dataclass
class Server:
    """A sandbox that runs in this process.

    `delays` maps an account to the seconds that each resource operation takes in it, `build_seconds` to those that a build takes,
    `failures` to ``IDENTIFIER[:PHASE]`` of the builds that fail, and `sources` to the directories that stand for repositories,
    by URL. The key "" is for all other accounts. All may be changed at any time. `registry` is HOST:PORT of the registry that stands
    for ECR, empty if there is none. `control_access` is `access.control` for this server.
    """

    url: str
    delays: dict[str, float] = field(default_factory=dict)
    build_seconds: dict[str, float] = field(default_factory=dict)
    sources: dict[str, dict[str, Path]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    region: str = REGION
    account: str = ACCOUNT
    registry: str = ""
    control_access: Callable[[bool], None] = _is_elsewhere


class Application:
    """The ASGI application: answers who it is, resets, and leaves everything else to ministack.

    It answers the server's start and end itself, because ministack's own way would also start listeners for MQTT and SFTP,
    schedulers, and a sweep that removes Docker containers of other emulators on this machine.
    """

    def __init__(self, instance: str, *, persistent: bool, on_ready: Callable[[], None]) -> None:
        from exasol_ci_setup.sandbox import extensions  # ministack must see its settings first

        self.ministack = extensions.extended()
        self._end_interrupted_builds = extensions.end_interrupted_builds
        self._instance = instance
        self._saver = Saver(self.ministack) if persistent else None
        self._on_ready = on_ready
        self._changed = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/_"):
            await self._own(scope, receive, send)
        elif scope["type"] == "http" and registry.current() is not None and _is_from_a_page(scope):
            # ministack lets every page ask it anything, and with a registry a request may start a real build.
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
        # What ministack's worker threads use to call back into its services.
        self.ministack._MAIN_LOOP = asyncio.get_running_loop()  # noqa: SLF001
        saving = None
        if self._saver is not None:
            self.ministack._load_persisted_state()  # noqa: SLF001
            deployment.end_interrupted_operations()
            self._end_interrupted_builds()
            saving = asyncio.create_task(self._save_changes(self._saver))
            # It imports nearly every service, for 0.3 s of CPU time. Later, no request would be answered for that time.
            self.ministack._get_module("cloudformation")  # noqa: SLF001
        await send({"type": "lifespan.startup.complete"})
        self._on_ready()
        await receive()
        if saving is not None and self._saver is not None:
            saving.cancel()
            self._saver.save()
        await send({"type": "lifespan.shutdown.complete"})

    async def _save_changes(self, saver: Saver) -> None:
        """Save soon after each request, and while an operation runs: a SIGKILL then loses half a second at most."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            if self._changed:
                self._changed = deployment.an_operation_runs() or builds.any_runs()
                saver.save()


def _is_from_a_page(scope: Message) -> bool:
    """Whether a page in a browser sent a request: it may to this port, but not without naming its origin."""
    return any(name == b"origin" for name, _ in scope["headers"])


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _cancel_operations() -> None:
    """Cancel the stack operations and builds that run: each would go on creating resources in the emptied services."""
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


def _listening(ports: Sequence[int]) -> socket.socket:
    """Return a listening socket of the loopback interface, on the first free one of `ports` or any free port."""
    for port in (*ports, 0):
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            continue  # a server answers, and on some systems the bind below would succeed anyway
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            # With SO_REUSEADDR two sockets can be bound to a port; only one of them can listen.
            listening.listen(128)
        except OSError:
            listening.close()
            continue
        return listening
    raise SandboxError("the sandbox found no free port on this machine")


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _hold_running_lock(state_dir: Path) -> int:
    """Take the lock that says that a sandbox serves `state_dir`, write the process id into it, keep it until the process ends."""
    descriptor = os.open(state_dir / RUNNING_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            # One that is ending saves its state first; and whoever asks whether one runs holds the lock for a moment.
            if time.monotonic() > deadline:
                raise SandboxError(f"another sandbox uses {state_dir}") from None
            time.sleep(0.01)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def serve_forever(*, state_dir: Path, ports: Sequence[int], settings: Settings, ready_fd: int) -> None:
    """Serve until SIGTERM or SIGINT, keeping everything below `state_dir`.

    A line is written to `ready_fd` when requests are answered and the endpoint is recorded.
    """
    os.umask(0o077)
    _hold_running_lock(state_dir)
    listening = _listening(ports)
    url = _url(listening)
    port = url.rpartition(":")[2]
    # Read by ministack when it is imported.
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
            "SERVICES": "",
            # No service of the sandbox starts a container, or finds those of another emulator to remove.
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
    values = {
        name: getattr(endpoint, name) for name in ("url", "pid", "region", "account", "instance", "registry", "engine")
    }
    write_whole(endpoint.state_dir / ENDPOINT_FILE, json.dumps(values).encode())


@contextmanager
def serve_in_thread(*, with_registry: bool = False) -> Iterator[Server]:
    """Serve a sandbox in a thread of this process, on a free port, without anything on disk but the images of a registry.

    With a registry, ECR is a real one while the context is open, for whatever else this process serves too, and images are built if there is
    a Docker engine; SandboxError if the registry's program is not there. There is one set of services in a process, so a second server would show the same state. Tests isolate themselves by
    account: an access key of 12 digits is the id of the account that it works in.
    """
    listening = _listening(())
    url = _url(listening)
    root = logging.getLogger()
    # ministack configures logging when it is imported, unless somebody has done so.
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
        loop.run_until_complete(builds.all_ended())
        loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    try:
        with ExitStack() as stack:
            images = stack.enter_context(_registry_for_a_while()) if with_registry else None
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
def _registry_for_a_while() -> Iterator[registry.Registry]:
    with (
        tempfile.TemporaryDirectory(prefix="exasol-ci-setup-registry-") as directory,
        registry.running(Path(directory)) as running,
    ):
        docker_client.use(docker_client.find())
        try:
            yield running
        finally:
            docker_client.use(docker_client.FoundClient())
