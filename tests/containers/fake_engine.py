"""A Docker engine in memory: the three parts that a container manager is given, and requests to a manager's application."""

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
from exasol_ci_setup.containers.manager.run import Running
from exasol_ci_setup.errors import ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from exasol_ci_setup.containers.manager.config import Image
    from exasol_ci_setup.containers.manager.options import WaitCondition
    from exasol_ci_setup.containers.manager.ports import Port

T = TypeVar("T")


class Gate:
    """Holds every call that arrives at it until it is opened. Belongs to the running event loop; calls arrive in threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrivals = asyncio.Semaphore(0)
        self._open = threading.Event()

    def arrive(self) -> None:
        self._loop.call_soon_threadsafe(self._arrivals.release)
        self._open.wait()

    async def arrival(self) -> None:
        """Wait until one more call has arrived."""
        await self._arrivals.acquire()

    def open(self) -> None:
        self._open.set()


class Engine:
    """Images, containers and long answers of an engine, in the form of a manager's `Images`, `Containers` and `Streams`.

    `calls` has what the engine was asked for, such as ``build app``; `failures` has what it answers with an error, by call;
    `ended` has ids of containers that ended by themselves, and `alive` those that exist. With `has_built`, builds succeed although
    their answers are cut off: the engine was already done.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.alive: set[str] = set()
        self.ended: set[str] = set()
        self.others: dict[str, Mapping[str, str]] = {}
        self.tags: dict[str, Mapping[str, str]] = {}
        self.has_built = False
        self.conditions: list[WaitCondition] = []
        self._numbers: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self._gates: dict[str, Gate] = {}
        self._is_cut_off = False

    def hold(self, call: str) -> Gate:
        """Let `call` wait for a gate from now on."""
        self._gates[call] = Gate()
        return self._gates[call]

    def asked(self, what: str) -> list[str]:
        """The names that were asked for with `what`, in order."""
        return [call.partition(" ")[2] for call in self.calls if call.startswith(f"{what} ")]

    def release(self) -> None:
        """Let all calls that wait continue."""
        for gate in self._gates.values():
            gate.open()

    def _answer(self, what: str, name: str) -> None:
        call = f"{what} {name}"
        self.calls.append(call)
        if call in self._gates:
            self._gates[call].arrive()
        if call in self.failures:
            raise self.failures[call]

    def built(self, name: str, tags: Mapping[str, str]) -> str:
        self.tags[name] = dict(tags)
        self._answer("build", name)
        if self._is_cut_off and not self.has_built:
            raise ShuttingDown("the answer was cut off")
        return f"{name}:tag"

    def start(self, name: str, image: Image, *, tag: str, asked: Sequence[Port], others: Mapping[str, str]) -> Running:
        assert tag == f"{name}:tag"
        assert set(others) == set(image.running)
        self._answer("start", name)
        made = f"{name}-{next(self._numbers[name])}"
        self.alive.add(made)
        self.others[made] = dict(others)
        return Running(name, made, {str(port.container): 40_000 for port in asked}, None, dict(others))

    def look(self, running: Running) -> Running | None:
        self._answer("look", running.image)
        return None if running.id in self.ended else running

    def relinked(self, running: Running, image: Image, others: Mapping[str, str]) -> Running:
        assert set(others) == set(image.running)
        self._answer("relink", running.image)
        self.others[running.id] = dict(others)
        return Running(running.image, running.id, running.ports, running.network, dict(others))

    def wait(self, running: Running, condition: WaitCondition) -> None:
        self.conditions.append(condition)
        self._answer("wait", running.image)
        if self._is_cut_off:
            raise ShuttingDown("the answer was cut off")

    def remove(self, running: Running) -> None:
        self._answer("remove", running.image)
        self.alive.discard(running.id)

    def sweep(self) -> list[str]:
        self._answer("sweep", "")
        return sorted(self.alive)

    def end(self) -> None:
        """Cut off what is being read, as `Streams.end` does."""
        self._is_cut_off = True
        for call, gate in self._gates.items():
            if call.startswith(("build ", "wait ")):
                gate.open()


def run(images: str, scenario: Callable[[Manager, Engine], Awaitable[T]]) -> T:
    """Run `scenario` with a manager of `images`, which are YAML, and its engine; shut the manager down in the end."""
    read = config.read({"images": yaml.safe_load(images)}, Path("/project/harpoon.yml"))

    async def managed() -> T:
        engine = Engine()
        part: Any = engine
        manager = Manager(read, part, part, part)
        try:
            return await scenario(manager, engine)
        finally:
            engine.release()
            engine.failures.clear()
            await manager.shutdown()

    return asyncio.run(managed())


async def settle() -> None:
    """Let everything happen that no thread has to happen for."""
    for _ in range(10):
        await asyncio.sleep(0)


class Request:
    """A request to an ASGI application by a client that may disconnect, and its answer."""

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
        self._gone = asyncio.Event()
        self._gone_after = ""
        self._earlier: set[asyncio.Task[Any]] = set()
        self.status = 0
        self.text = ""

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def send(self) -> asyncio.Task[Request]:
        self._earlier = asyncio.all_tasks()
        return asyncio.create_task(self._sent())

    def disconnect(self) -> None:
        self._gone.set()

    def disconnect_at_the_end_of(self, coroutine: str) -> None:
        """Disconnect at the moment when the request's own task of this coroutine function ends; it is a qualified name."""
        self._gone_after = coroutine

    async def _sent(self) -> Request:
        await self._app(self._scope, self._receive, self._send)
        return self

    async def _receive(self) -> dict[str, Any]:
        if not self._was_read:
            self._was_read = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        if self._gone_after:
            # A callback of that task would run one turn of the loop too late.
            while self._gone_after in {_function(task) for task in asyncio.all_tasks() - self._earlier}:  # noqa: ASYNC110
                await asyncio.sleep(0)
        else:
            await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.text += message.get("body", b"").decode()


def _function(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")
