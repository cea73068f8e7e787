"""Streamed answers of the engine, such as that of a build, which another thread can abort."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.core.errors import ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient
    from requests import Response


class Streams:
    """The streamed answers that threads read. The engine cancels a build or a pull when its reader disconnects."""

    def __init__(self, client: DockerClient) -> None:
        self._lock = threading.Lock()
        self._reading: dict[int, list[Response]] = {}
        self._ended = threading.Event()
        client.api.hooks["response"].append(self._register)

    def pause(self, seconds: float) -> None:
        """Wait. Raises ShuttingDownError as soon as the answers are aborted."""
        self._ended.wait(seconds)
        self._check()

    @contextlib.contextmanager
    def reading(self, limit: float | None = None) -> Iterator[None]:
        """Make the answers to requests of this thread abortable.

        After `limit` seconds they are aborted. Raises ShuttingDownError if `end` aborts them.
        """
        thread = threading.get_ident()
        timer = threading.Timer(limit, self._end_thread, [thread]) if limit is not None else None
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
        """Abort all current and later answers."""
        with self._lock:
            self._ended.set()
            threads = list(self._reading)
        for thread in threads:
            self._end_thread(thread)

    def _end_thread(self, thread: int) -> None:
        with self._lock:
            for response in self._reading.get(thread, ()):
                _shut_down(response)

    def _check(self) -> None:
        if self._ended.is_set():
            raise ShuttingDownError

    def _register(self, response: Response, **_options: Any) -> None:
        with self._lock:
            responses = self._reading.get(threading.get_ident())
            if responses is not None:
                responses.append(response)
                if self._ended.is_set():
                    _shut_down(response)


def _shut_down(response: Response) -> None:
    # A completely read answer has no connection.
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        response.raw.shutdown()
