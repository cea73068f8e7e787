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
    def reading(self) -> Iterator[None]:
        """Let the answers to this thread's requests be cut off. Raises ShuttingDown when that has happened."""
        thread = threading.get_ident()
        with self._lock:
            self._reading[thread] = []
        try:
            self._check()
            yield
            self._check()
        except Exception:
            self._check()
            raise
        finally:
            with self._lock:
                responses = self._reading.pop(thread)
            for response in responses:
                response.close()

    def end(self) -> None:
        """Cut them off, and those to come."""
        with self._lock:
            self._ended.set()
            for responses in self._reading.values():
                for response in responses:
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
