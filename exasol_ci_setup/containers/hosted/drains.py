"""Replaced containers, which are kept until they have answered their open requests, also over restarts."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.state import Drain
from exasol_ci_setup.core.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.containers.hosted.options import AppOptions
    from exasol_ci_setup.containers.hosted.state import App, State
    from exasol_ci_setup.containers.hosted.workers import Worker

_POLL_SECONDS: Final = 0.2

_log = logging.getLogger(__name__)


class Drains:
    """The replaced containers of a `state`. Each is kept for up to `seconds_of` its options; `reconcile` removes those of an app."""

    def __init__(
        self, state: State, seconds_of: Callable[[AppOptions], float], reconcile: Callable[[str], None]
    ) -> None:
        self._state = state
        self._seconds_of = seconds_of
        self._reconcile = reconcile
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def plan(self, before: App | None) -> Drain | None:
        """Return the drain for the current container of an app, before another container replaces it.

        Until the workers of nginx with requests for it are known, the container is kept for the whole time.
        """
        if before is None or before.container is None:
            return None
        return Drain(before.name, before.container, time.time() + self._seconds_of(before.options))

    def note_workers(self, app: App, workers: frozenset[Worker] | None) -> None:
        """Record the workers of nginx that may have requests for the replaced container of an app; begin its time limit again."""
        # If the record fails, the container is kept longer than needed.
        with contextlib.suppress(StateError):
            for drain in self._state.drains() if workers else ():
                if drain.app == app.name and drain.workers is None:
                    until = time.time() + self._seconds_of(app.options)
                    self._state.save_drain(replace(drain, until=until, workers=workers))

    def active_containers(self) -> set[str]:
        """Return the IDs of replaced containers that may still have requests."""
        return {drain.container for drain in self._state.drains() if not drain.is_over()}

    def wait(self, app: str | None = None) -> None:
        """Remove the replaced containers of an app, or of all apps, in background threads when their drain is over.

        The app is not locked meanwhile: other operations on it need not wait for open requests.
        """
        with self._lock:
            for drain in self._state.drains():
                if app in {None, drain.app} and drain.container not in self._threads and not self._ending.is_set():
                    thread = threading.Thread(target=self._wait, args=(drain,), daemon=True)
                    self._threads[drain.container] = thread
                    thread.start()

    def end(self) -> None:
        """Complete the removals in progress. The state has the other drains, which the next process continues.

        To wait for them would block each restart for up to the drain time. Meanwhile, the API would not answer.
        """
        with self._lock:
            self._ending.set()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()
        if names := sorted({drain.app for drain in self._state.drains()}):
            _log.info(
                "replaced containers still answer open requests; the next start removes them: %s", ", ".join(names)
            )

    def _wait(self, drain: Drain) -> None:
        try:
            while not drain.is_over():
                if self._ending.wait(_POLL_SECONDS):
                    return
            self._reconcile(drain.app)
        finally:
            with self._lock:
                del self._threads[drain.container]
