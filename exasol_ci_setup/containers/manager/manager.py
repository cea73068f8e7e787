"""The running containers and their users: an image is started once for all callers, and stopped with its last user."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exasol_ci_setup.containers.manager import dockerfile
from exasol_ci_setup.containers.manager.locks import FifoLock
from exasol_ci_setup.containers.manager.options import WaitCondition
from exasol_ci_setup.core.errors import NoSuchImageError, SetupError, ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from exasol_ci_setup.containers.manager.config import Config, Image
    from exasol_ci_setup.containers.manager.images import Images
    from exasol_ci_setup.containers.manager.ports import Port
    from exasol_ci_setup.containers.manager.run import Containers, RunningContainer
    from exasol_ci_setup.containers.manager.streams import Streams

log = logging.getLogger(__name__)

T = TypeVar("T")

_CALLERS: Final = ""  # one user for all HTTP callers; the other users of a container are images
_THREADS: Final = 64


@dataclass(frozen=True)
class StartedContainer:
    """The answer to a request for a container."""

    ports: Mapping[str, int]
    just_created: bool
    container_id: str


class Manager:
    """The state of a container manager. It belongs to one event loop; calls of the engine run in threads."""

    def __init__(self, config: Config, images: Images, containers: Containers, streams: Streams) -> None:
        self._config = config
        self._images = images
        self._containers = containers
        self._streams = streams
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine")
        self._running: dict[str, RunningContainer] = {}
        self._users: defaultdict[str, set[str]] = defaultdict(set)
        # Only one start or stop of an image runs at a time. A dependent locks before its dependencies, which prevents deadlocks.
        self._image_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._caller_locks: defaultdict[str, FifoLock] = defaultdict(FifoLock)
        self._in_progress: dict[tuple[str, str], asyncio.Task[Any]] = {}
        # Containers whose wait condition was met once.
        self._known_ready: set[str] = set()
        self._shutdown_task: asyncio.Task[list[str]] | None = None

    async def start(self, name: str, ports: Sequence[Port], *, lock: bool = False) -> StartedContainer:
        """Return the container of an image; start it if it does not run. With `lock`, acquire its lock first.

        Concurrent calls share one build and one start; `just_created` is true for the first call only.
        Raises NoSuchImageError, ShuttingDownError, and the error that prevented the start.
        """
        self._require(name)
        if lock:
            await self._caller_locks[name].acquire()
        try:
            return await self._start(name, ports)
        except BaseException:
            if lock:
                self._caller_locks[name].release()
            raise

    async def stop(self, name: str) -> None:
        """Stop and remove the container of an image and its unused dependencies.

        A container that others need is removed with its last dependent. A container that does not run is no error.
        Raises NoSuchImageError, and EngineError if the container cannot be removed.
        """
        self._require_known(name)
        self._users[name].discard(_CALLERS)
        await self._remove_if_unused(name)

    def unlock(self, name: str) -> None:
        """Release the lock of an image to the next waiter. Raises NoSuchImageError."""
        self._require_known(name)
        self._caller_locks[name].release()

    async def remove_leftovers(self) -> None:
        """Remove what killed managers of this host left on the engine. A shutdown stops the removal."""
        try:
            await self._single_flight(
                "remove", "leftovers", lambda: self._run_in_thread(self._containers.remove_leftovers)
            )
        except ShuttingDownError:
            return
        except SetupError as error:
            log.warning("%s", error)

    async def shutdown(self) -> list[str]:
        """Stop all starts, remove all containers, and return the reasons of failed removals."""
        if self._shutdown_task is None:
            self._shutdown_task = asyncio.create_task(self._shutdown())
        return await asyncio.shield(self._shutdown_task)

    def _require_known(self, name: str) -> None:
        if name not in self._config.images:
            raise NoSuchImageError(name, sorted(self._config.images))

    def _require(self, name: str) -> None:
        self._require_known(name)
        if self._shutdown_task is not None:
            raise ShuttingDownError

    async def _start(self, name: str, ports: Sequence[Port]) -> StartedContainer:
        self._users[name].add(_CALLERS)
        try:
            running, just_created = await self._ensure_ready(name, ports)
        except SetupError:
            if name not in self._running:
                self._users[name].discard(_CALLERS)
            raise
        return StartedContainer(running.ports, just_created, running.id)

    async def _ensure_ready(
        self, name: str, ports: Sequence[Port], condition: WaitCondition | None = None
    ) -> tuple[RunningContainer, bool]:
        """Return the ready container of an image, and whether this call created it.

        `condition` replaces the wait condition of the image.
        """
        first = ("start", name) not in self._in_progress
        running, made = await self._single_flight("start", name, lambda: self._ensure_running(name, ports))
        if condition is not None:
            await self._run_in_thread(self._containers.wait, running, condition)
        elif self._find_condition(running) is not None and running.id not in self._known_ready:
            await self._single_flight("wait", running.id, lambda: self._wait_until_ready(running))
        return running, made and first

    async def _ensure_running(self, name: str, ports: Sequence[Port]) -> tuple[RunningContainer, bool]:
        image = self._config.images[name]
        async with self._image_locks[name]:
            self._require(name)
            dependencies = await self._start_dependencies(name, image)
            try:
                if running := self._running.get(name):
                    if now := await self._run_in_thread(self._containers.inspect, running):
                        if now.dependencies != dependencies:
                            now = await self._run_in_thread(self._containers.update_links, now, image, dependencies)
                        self._running[name] = now
                        return now, False
                    log.info("%s: container %s has ended and is recreated", name, running.id[:12])
                    await self._run_in_thread(self._containers.remove, running)
                    del self._running[name]
                tag = await self._build_image(name)
                self._require(name)
                running = await self._run_in_thread(
                    lambda: self._containers.start(name, image, tag=tag, requested=ports, dependencies=dependencies)
                )
            except BaseException:
                if name not in self._running:
                    await self._release_dependencies(name, image)
                raise
            self._running[name] = running
            return running, True

    async def _start_dependencies(self, name: str, image: Image) -> dict[str, str]:
        """Start the containers that an image needs, register it as their user, and return their IDs."""
        for other in image.required:
            self._users[other].add(name)
        options = image.dependency_options
        found = await asyncio.gather(
            *(
                self._ensure_ready(other, (), options[other].wait_condition if other in options else None)
                for other in image.required
            ),
            return_exceptions=True,
        )
        failures = [each for each in found if isinstance(each, BaseException)]
        if failures:
            if name not in self._running:
                await self._release_dependencies(name, image)
            raise failures[0]
        return {each[0].image: each[0].id for each in found if not isinstance(each, BaseException)}

    async def _release_dependencies(self, name: str, image: Image) -> None:
        for other in image.required:
            self._users[other].discard(name)
            await self._remove_if_unused(other)

    async def _remove_if_unused(self, name: str) -> None:
        async with self._image_locks[name]:
            running = self._running.get(name)
            if self._users[name] or running is None:
                return
            await self._run_in_thread(self._containers.remove, running)
            self._running.pop(name, None)
            await self._release_dependencies(name, self._config.images[name])

    def _find_condition(self, running: RunningContainer) -> WaitCondition | None:
        """Return the wait condition of a container; without one, a health check must succeed."""
        condition = self._config.images[running.image].wait_condition
        return WaitCondition() if condition is None and running.has_health_check else condition

    async def _wait_until_ready(self, running: RunningContainer) -> None:
        """Wait for the wait condition of a container; remove the container if it is not met."""
        condition = self._find_condition(running)
        try:
            await self._run_in_thread(self._containers.wait, running, condition)
        except SetupError:
            async with self._image_locks[running.image]:
                if (now := self._running.get(running.image)) and now.id == running.id:
                    await self._run_in_thread(self._containers.remove, running)
                    del self._running[running.image]
                    await self._release_dependencies(running.image, self._config.images[running.image])
            raise
        self._known_ready.add(running.id)

    async def _build_image(self, name: str) -> str:
        """Build an image after its parent images, and return its tag."""

        async def build() -> str:
            parents = dockerfile.parent_images(self._config.images[name].commands)
            tags = await asyncio.gather(*(self._build_image(parent) for parent in parents))
            return await self._run_in_thread(self._images.ensure_built, name, dict(zip(parents, tags, strict=True)))

        return await self._single_flight("build", name, build)

    async def _single_flight(self, what: str, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work`, or wait for it if it is in progress. A canceled caller does not cancel it for the others."""
        task: asyncio.Task[T] | None = self._in_progress.get((what, key))
        if task is None:
            task = asyncio.create_task(work())
            self._in_progress[what, key] = task

            def forget(finished: asyncio.Task[T]) -> None:
                del self._in_progress[what, key]
                # Retrieve the exception: asyncio warns if no caller is left to do it.
                if not finished.cancelled():
                    finished.exception()

            task.add_done_callback(forget)
        return await asyncio.shield(task)

    async def _run_in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _shutdown(self) -> list[str]:
        log.info("shutting down")
        for lock in self._caller_locks.values():
            lock.close()
        self._streams.end()
        while self._in_progress:
            await asyncio.gather(*self._in_progress.values(), return_exceptions=True)
        # Dependents first: they may still use their dependencies while they stop.
        while self._running:
            needed = {other for name in self._running for other in self._config.images[name].required}
            last = [name for name in self._running if name not in needed]
            ended = await asyncio.gather(
                *(self._run_in_thread(self._containers.remove, self._running.pop(name)) for name in last),
                return_exceptions=True,
            )
            for failure in ended:
                if isinstance(failure, BaseException):
                    log.error("%s", failure)
        try:
            left = await self._run_in_thread(self._containers.remove_all)
        except SetupError as error:
            left = [error.message]
        for each in left:
            log.error("%s", each)
        self._threads.shutdown(wait=False)
        return left
