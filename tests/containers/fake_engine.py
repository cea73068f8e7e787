"""A Docker engine in memory, for `Manager`, and requests to the application of a manager."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from exasol_ci_setup.containers.manager import config
from exasol_ci_setup.containers.manager.manager import Manager
from exasol_ci_setup.containers.manager.run import RunningContainer
from exasol_ci_setup.core.errors import ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from exasol_ci_setup.containers.manager.config import Image
    from exasol_ci_setup.containers.manager.options import WaitCondition
    from exasol_ci_setup.containers.manager.ports import Port

T = TypeVar("T")


class Gate:
    """Blocks calls from threads until it is opened. It belongs to the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrivals = asyncio.Semaphore(0)
        self._open = threading.Event()

    def arrive(self) -> None:
        self._loop.call_soon_threadsafe(self._arrivals.release)
        self._open.wait()

    async def arrival(self) -> None:
        """Wait for the next call."""
        await self._arrivals.acquire()

    def open(self) -> None:
        self._open.set()


class Engine:
    """The `Images`, `Containers` and `Streams` of a manager, in memory.

    `calls` lists the calls, such as ``build app``. `failures` maps calls to the errors that they raise. `alive` has the IDs of
    existing containers, `ended` those of containers that have ended. With `has_built`, builds succeed although their answers are
    aborted, because the engine has already finished them.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.alive: set[str] = set()
        self.ended: set[str] = set()
        self.dependencies: dict[str, Mapping[str, str]] = {}
        self.tags: dict[str, Mapping[str, str]] = {}
        self.has_built = False
        self.conditions: list[WaitCondition] = []
        self._numbers: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self._gates: dict[str, Gate] = {}
        self._is_aborted = False

    def hold(self, call: str) -> Gate:
        """Block later calls of `call` until the returned gate is opened."""
        self._gates[call] = Gate()
        return self._gates[call]

    def calls_of(self, verb: str) -> list[str]:
        """Return the names in the calls of `verb`, in order."""
        return [call.partition(" ")[2] for call in self.calls if call.startswith(f"{verb} ")]

    def release(self) -> None:
        """Open all gates."""
        for gate in self._gates.values():
            gate.open()

    def _answer(self, verb: str, name: str) -> None:
        call = f"{verb} {name}"
        self.calls.append(call)
        if call in self._gates:
            self._gates[call].arrive()
        if call in self.failures:
            raise self.failures[call]

    def ensure_built(self, name: str, tags: Mapping[str, str]) -> str:
        self.tags[name] = dict(tags)
        self._answer("build", name)
        if self._is_aborted and not self.has_built:
            raise ShuttingDownError("the answer was aborted")
        return f"{name}:tag"

    def start(
        self, name: str, image: Image, *, tag: str, requested: Sequence[Port], dependencies: Mapping[str, str]
    ) -> RunningContainer:
        assert tag == f"{name}:tag"
        assert set(dependencies) == set(image.required)
        self._answer("start", name)
        container = f"{name}-{next(self._numbers[name])}"
        self.alive.add(container)
        self.dependencies[container] = dict(dependencies)
        return RunningContainer(
            name, container, {str(port.container): 40_000 for port in requested}, None, dict(dependencies)
        )

    def inspect(self, running: RunningContainer) -> RunningContainer | None:
        self._answer("inspect", running.image)
        return None if running.id in self.ended else running

    def update_links(
        self, running: RunningContainer, image: Image, dependencies: Mapping[str, str]
    ) -> RunningContainer:
        assert set(dependencies) == set(image.required)
        self._answer("relink", running.image)
        self.dependencies[running.id] = dict(dependencies)
        return RunningContainer(running.image, running.id, running.ports, running.network, dict(dependencies))

    def wait(self, running: RunningContainer, condition: WaitCondition) -> None:
        self.conditions.append(condition)
        self._answer("wait", running.image)
        if self._is_aborted:
            raise ShuttingDownError("the answer was aborted")

    def remove(self, running: RunningContainer) -> None:
        self._answer("remove", running.image)
        self.alive.discard(running.id)

    def remove_all(self) -> list[str]:
        self._answer("remove_all", "")
        return sorted(self.alive)

    def end(self) -> None:
        """Abort answers that are being read, as `Streams.end` does."""
        self._is_aborted = True
        for call, gate in self._gates.items():
            if call.startswith(("build ", "wait ")):
                gate.open()


def run(images: str, scenario: Callable[[Manager, Engine], Awaitable[T]]) -> T:
    """Run `scenario` with a manager of `images` (YAML) and its engine; shut the manager down afterwards."""
    configuration = config.read({"images": yaml.safe_load(images)}, Path("/project/harpoon.yml"))

    async def run_scenario() -> T:
        engine = Engine()
        untyped: Any = engine
        manager = Manager(configuration, untyped, untyped, untyped)
        try:
            return await scenario(manager, engine)
        finally:
            engine.release()
            engine.failures.clear()
            await manager.shutdown()

    return asyncio.run(run_scenario())


async def settle() -> None:
    """Run all tasks of the event loop that wait for no thread."""
    for _ in range(10):
        await asyncio.sleep(0)


class Request:
    """A request to an ASGI application by a client that can disconnect, and its answer."""

    def __init__(
        self, app: Any, path: str, *, method: str = "POST", headers: Mapping[str, str] | None = None, **body: Any
    ):
        self._app = app
        self._body = json.dumps(body).encode() if method == "POST" else b""
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8080),
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in {
                    "Host": "127.0.0.1:8080",
                    "Content-Type": "application/json",
                    "Content-Length": str(len(self._body)),
                    **(headers or {}),
                }.items()
            ],
        }
        self._was_read = False
        self._disconnected = asyncio.Event()
        self._disconnect_after = ""
        self._earlier: set[asyncio.Task[Any]] = set()
        self.status = 0
        self.text = ""

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def send(self) -> asyncio.Task[Request]:
        self._earlier = asyncio.all_tasks()
        return asyncio.create_task(self._send_and_wait())

    def disconnect(self) -> None:
        self._disconnected.set()

    def disconnect_at_the_end_of(self, coroutine: str) -> None:
        """Disconnect when the task of the request that runs `coroutine`, a qualified name, ends."""
        self._disconnect_after = coroutine

    async def _send_and_wait(self) -> Request:
        await self._app(self._scope, self._receive, self._send)
        return self

    async def _receive(self) -> dict[str, Any]:
        if not self._was_read:
            self._was_read = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        if self._disconnect_after:
            # A callback of that task would run one iteration of the loop too late.
            while self._disconnect_after in {_function(task) for task in asyncio.all_tasks() - self._earlier}:  # noqa: ASYNC110
                await asyncio.sleep(0)
        else:
            await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.text += message.get("body", b"").decode()


def _function(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")
