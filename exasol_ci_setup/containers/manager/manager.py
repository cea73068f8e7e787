"""Which containers run and for whom: each image started once for all who ask, and stopped when the last user is gone."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exasol_ci_setup.containers.manager import dockerfile
from exasol_ci_setup.containers.manager.locks import Turns
from exasol_ci_setup.errors import NoSuchImage, SetupError, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from exasol_ci_setup.containers.manager.config import Config, Image
    from exasol_ci_setup.containers.manager.images import Images
    from exasol_ci_setup.containers.manager.options import WaitCondition
    from exasol_ci_setup.containers.manager.ports import Port
    from exasol_ci_setup.containers.manager.run import Containers, Running
    from exasol_ci_setup.containers.manager.streams import Streams

log = logging.getLogger(__name__)

T = TypeVar("T")

_CALLERS: Final = ""  # a user of a container, besides the images that depend on it: whoever asks over HTTP
_THREADS: Final = 64


@dataclass(frozen=True)
class Started:
    """The answer to whoever asked for a container."""

    ports: Mapping[str, int]
    just_created: bool
    container_id: str


class Manager:
    """The state of a container manager. All of it belongs to one event loop; the engine is asked in threads."""

    def __init__(self, config: Config, images: Images, containers: Containers, streams: Streams) -> None:
        self._config = config
        self._images = images
        self._containers = containers
        self._streams = streams
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine")
        self._running: dict[str, Running] = {}
        self._users: defaultdict[str, set[str]] = defaultdict(set)
        # Of an image, one thing at a time is started or stopped; those that others need come after them, so there is no circle.
        self._guards: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turns: defaultdict[str, Turns] = defaultdict(Turns)
        self._under_way: dict[tuple[str, str], asyncio.Task[Any]] = {}
        # Containers whose own condition was met once.
        self._known_ready: set[str] = set()
        self._end: asyncio.Task[list[str]] | None = None

    async def start(self, name: str, ports: Sequence[Port], *, lock: bool = False) -> Started:
        """Return the container of an image, which is started if it does not run; with `lock` when it is the caller's turn.

        However many ask at the same time, it is built and started once, and only who came first is told that it was just created.
        Raises NoSuchImage, ShuttingDown, and whatever kept it from being started.
        """
        self._require(name)
        if lock:
            await self._turns[name].take()
        try:
            return await self._start(name, ports)
        except BaseException:
            if lock:
                self._turns[name].give()
            raise

    async def stop(self, name: str) -> None:
        """Stop and remove the container of an image, and what ran only for it; one that others need goes when they do.

        It is no error that it does not run. Raises NoSuchImage, and EngineError if it cannot be removed.
        """
        self._require_known(name)
        self._users[name].discard(_CALLERS)
        await self._removed_if_unused(name)

    def unlock(self, name: str) -> None:
        """Let the next caller who asked for this image with a lock have it. Raises NoSuchImage."""
        self._require_known(name)
        self._turns[name].give()

    async def shutdown(self) -> list[str]:
        """Start nothing any more, end what is being started, and remove every container; return what could not be removed."""
        if self._end is None:
            self._end = asyncio.create_task(self._shutdown())
        return await asyncio.shield(self._end)

    def _require_known(self, name: str) -> None:
        if name not in self._config.images:
            raise NoSuchImage(name, sorted(self._config.images))

    def _require(self, name: str) -> None:
        self._require_known(name)
        if self._end is not None:
            raise ShuttingDown("the container manager is shutting down")

    async def _start(self, name: str, ports: Sequence[Port]) -> Started:
        self._users[name].add(_CALLERS)
        try:
            running, just_created = await self._ready(name, ports)
        except SetupError:
            if name not in self._running:
                self._users[name].discard(_CALLERS)
            raise
        return Started(running.ports, just_created, running.id)

    async def _ready(
        self, name: str, ports: Sequence[Port], condition: WaitCondition | None = None
    ) -> tuple[Running, bool]:
        """Return the container of an image when it is ready, and whether this call made it; `condition` replaces its own."""
        first = ("start", name) not in self._under_way
        running, made = await self._together("start", name, lambda: self._ensure(name, ports))
        if condition is not None:
            await self._do(self._containers.wait, running, condition)
        elif self._config.images[name].wait_condition is not None and running.id not in self._known_ready:
            await self._together("wait", running.id, lambda: self._waited(running))
        return running, made and first

    async def _ensure(self, name: str, ports: Sequence[Port]) -> tuple[Running, bool]:
        image = self._config.images[name]
        async with self._guards[name]:
            self._require(name)
            others = await self._held(name, image)
            try:
                if running := self._running.get(name):
                    if now := await self._do(self._containers.look, running):
                        if now.others != others:
                            now = await self._do(self._containers.relinked, now, image, others)
                        self._running[name] = now
                        return now, False
                    log.info("%s: container %s has ended, another is made", name, running.id[:12])
                    await self._do(self._containers.remove, running)
                    del self._running[name]
                tag = await self._built(name)
                self._require(name)
                running = await self._do(
                    lambda: self._containers.start(name, image, tag=tag, asked=ports, others=others)
                )
            except BaseException:
                if name not in self._running:
                    await self._released(name, image)
                raise
            self._running[name] = running
            return running, True

    async def _held(self, name: str, image: Image) -> dict[str, str]:
        """Start what an image needs, note that it does, and return the ids of the containers."""
        for other in image.running:
            self._users[other].add(name)
        options = image.dependency_options
        found = await asyncio.gather(
            *(
                self._ready(other, (), options[other].wait_condition if other in options else None)
                for other in image.running
            ),
            return_exceptions=True,
        )
        failures = [each for each in found if isinstance(each, BaseException)]
        if failures:
            if name not in self._running:
                await self._released(name, image)
            raise failures[0]
        return {each[0].image: each[0].id for each in found if not isinstance(each, BaseException)}

    async def _released(self, name: str, image: Image) -> None:
        for other in image.running:
            self._users[other].discard(name)
            await self._removed_if_unused(other)

    async def _removed_if_unused(self, name: str) -> None:
        async with self._guards[name]:
            running = self._running.get(name)
            if self._users[name] or running is None:
                return
            await self._do(self._containers.remove, running)
            self._running.pop(name, None)
            await self._released(name, self._config.images[name])

    async def _waited(self, running: Running) -> None:
        """Wait until a container is ready by its own condition; it is removed if it does not get so."""
        condition = self._config.images[running.image].wait_condition
        assert condition is not None  # noqa: S101 - asked for only where there is one
        try:
            await self._do(self._containers.wait, running, condition)
        except SetupError:
            async with self._guards[running.image]:
                if (now := self._running.get(running.image)) and now.id == running.id:
                    await self._do(self._containers.remove, running)
                    del self._running[running.image]
                    await self._released(running.image, self._config.images[running.image])
            raise
        self._known_ready.add(running.id)

    async def _built(self, name: str) -> str:
        """Return the tag of an image, built after those that it is built from."""

        async def build() -> str:
            parents = dockerfile.parents(self._config.images[name].commands)
            tags = await asyncio.gather(*(self._built(parent) for parent in parents))
            return await self._do(self._images.built, name, dict(zip(parents, tags, strict=True)))

        return await self._together("build", name, build)

    async def _together(self, what: str, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the work, or wait for it if it is under way; whoever goes away does not end it for the others."""
        task: asyncio.Task[T] | None = self._under_way.get((what, key))
        if task is None:
            task = asyncio.create_task(work())
            self._under_way[what, key] = task

            def done(ended: asyncio.Task[T]) -> None:
                del self._under_way[what, key]
                # Asked for, as nobody may be left who would.
                if not ended.cancelled():
                    ended.exception()

            task.add_done_callback(done)
        return await asyncio.shield(task)

    async def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _shutdown(self) -> list[str]:
        log.info("shutting down")
        for turns in self._turns.values():
            turns.close()
        self._streams.end()
        while self._under_way:
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        # Those first that no other one needs, as they may want to say goodbye to those that they need.
        while self._running:
            needed = {other for name in self._running for other in self._config.images[name].running}
            last = [name for name in self._running if name not in needed]
            ended = await asyncio.gather(
                *(self._do(self._containers.remove, self._running.pop(name)) for name in last), return_exceptions=True
            )
            for failure in ended:
                if isinstance(failure, BaseException):
                    log.error("%s", failure)
        try:
            left = await self._do(self._containers.sweep)
        except SetupError as error:
            left = [error.message]
        for each in left:
            log.error("%s", each)
        self._threads.shutdown(wait=False)
        return left
