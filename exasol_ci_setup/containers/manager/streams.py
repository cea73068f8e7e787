"""Long answers of the engine, such as a build's, which can be cut off from another thread."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.errors import ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient
    from requests import Response


class Streams:
    """The long answers that are being read, each by a thread. The engine gives up a build or a pull whose reader is gone."""

    def __init__(self, client: DockerClient) -> None:
        self._lock = threading.Lock()
        self._reading: dict[int, list[Response]] = {}
        self._ended = threading.Event()
        client.api.hooks["response"].append(self._opened)

    @property
    def ended(self) -> bool:
        """Whether they have been cut off."""
        return self._ended.is_set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises ShuttingDown as soon as they are cut off."""
        self._ended.wait(seconds)
        self._check()

    @contextlib.contextmanager
    def reading(self, limit: float | None = None) -> Iterator[None]:
        """Let the answers to this thread's requests be cut off, also after `limit` seconds. Raises ShuttingDown when they all were."""
        thread = threading.get_ident()
        timer = threading.Timer(limit, self._end_of, [thread]) if limit is not None else None
        with self._lock:
            self._reading[thread] = []
        try:
            self._check()
            if timer:
                timer.start()
            yield
            self._check()
        except Exception:
            self._check()
            raise
        finally:
            if timer:
                timer.cancel()
            with self._lock:
                responses = self._reading.pop(thread)
            for response in responses:
                response.close()

    def end(self) -> None:
        """Cut them off, and those to come."""
        with self._lock:
            self._ended.set()
            threads = list(self._reading)
        for thread in threads:
            self._end_of(thread)

    def _end_of(self, thread: int) -> None:
        with self._lock:
            for response in self._reading.get(thread, ()):
                _cut(response)

    def _check(self) -> None:
        if self.ended:
            raise ShuttingDown("the container manager is shutting down")

    def _opened(self, response: Response, **_options: Any) -> None:
        with self._lock:
            responses = self._reading.get(threading.get_ident())
            if responses is not None:
                responses.append(response)
                if self.ended:
                    _cut(response)


def _cut(response: Response) -> None:
    # What was read to its end has no connection any more.
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        response.raw.shutdown()
