"""Logs of apps that callers follow: a thread reads each log, and the event loop sends its lines."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final

from docker.errors import DockerException
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from exasol_ci_setup.core.errors import AppConflictError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from docker.types import CancellableStream

_MAX_STREAMS: Final = 64
_MAX_PENDING: Final = 1000


class LogStreams:
    """The logs that callers follow at the same time."""

    def __init__(self) -> None:
        self._open: set[CancellableStream[bytes]] = set()
        self._lock = threading.Lock()
        self._is_ended = False

    def add(self, stream: CancellableStream[bytes]) -> None:
        """Add a log of the engine. Raises AppConflictError, and closes the log, if too many logs are followed."""
        with self._lock:
            if len(self._open) < _MAX_STREAMS and not self._is_ended:
                self._open.add(stream)
                return
        stream.close()
        raise AppConflictError(f"More than {_MAX_STREAMS} logs are followed, or the service stops; try again later.")

    async def read(self, stream: CancellableStream[bytes]) -> AsyncIterator[bytes]:
        """Yield the parts of a log until it ends, the caller disconnects, or `end` is called."""
        loop = asyncio.get_running_loop()
        parts: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_PENDING)
        is_closed = threading.Event()

        def send(part: bytes | None) -> None:
            # Waits while a slow caller has not read the earlier parts.
            asyncio.run_coroutine_threadsafe(parts.put(part), loop).result()

        def copy() -> None:
            # The loop may have ended.
            with contextlib.suppress(RuntimeError, asyncio.CancelledError):
                # The engine may end, and closing the log interrupts a read.
                with contextlib.suppress(DockerException, RequestException, HTTPError, OSError, ValueError):
                    for part in stream:
                        if is_closed.is_set():
                            return
                        send(part)
                send(None)

        threading.Thread(target=copy, daemon=True).start()
        try:
            while (part := await parts.get()) is not None:
                yield part
        finally:
            is_closed.set()
            self._close(stream)
            # The thread may wait for space.
            while not parts.empty():
                parts.get_nowait()

    def end(self) -> None:
        """End all logs, and reject further ones."""
        with self._lock:
            self._is_ended = True
            streams = tuple(self._open)
        for stream in streams:
            self._close(stream)

    def _close(self, stream: CancellableStream[bytes]) -> None:
        with self._lock:
            self._open.discard(stream)
        # Over SSH, the client cannot close a log.
        with contextlib.suppress(OSError, AttributeError, DockerException):
            stream.close()
