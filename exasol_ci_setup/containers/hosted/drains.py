"""Replaced containers, which are kept until they have answered their open requests, also over restarts."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.state import Drain
from exasol_ci_setup.core.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.containers.hosted.state import App, State
    from exasol_ci_setup.containers.hosted.workers import Worker

_POLL_SECONDS: Final = 0.1


class Drains:
    """The replaced containers of a `state`. Each is kept for up to `seconds`; `reconcile` removes those of an app."""

    def __init__(self, state: State, seconds: float, reconcile: Callable[[str], None]) -> None:
        self._state = state
        self._seconds = seconds
        self._reconcile = reconcile

    def plan(self, before: App | None) -> Drain | None:
        """Return the drain for the current container of an app, before another container replaces it.

        Until the workers of nginx with requests for it are known, the container is kept for the whole time.
        """
        if before is None or before.container is None:
            return None
        return Drain(before.name, before.container, time.time() + self._seconds)

    def note_workers(self, app: str, workers: frozenset[Worker] | None) -> None:
        """Record the workers of nginx that may have requests for the replaced container of an app."""
        # If the record fails, the container is kept longer than needed.
        with contextlib.suppress(StateError):
            for drain in self._state.drains() if workers else ():
                if drain.app == app and drain.workers is None:
                    self._state.save_drain(replace(drain, until=time.time() + self._seconds, workers=workers))

    def active_containers(self) -> set[str]:
        """Return the IDs of replaced containers that may still have requests."""
        return {drain.container for drain in self._state.drains() if not drain.is_over()}

    def wait(self, app: str | None = None) -> None:
        """Remove the replaced containers of an app, or of all apps, in background threads when their drain is over.

        The app is not locked meanwhile: other operations on it need not wait for open requests.
        """
        for drain in self._state.drains():
            if app in {None, drain.app}:
                threading.Thread(target=self._wait, args=(drain,), daemon=True).start()

    def _wait(self, drain: Drain) -> None:
        while not drain.is_over():
            time.sleep(_POLL_SECONDS)
        self._reconcile(drain.app)
