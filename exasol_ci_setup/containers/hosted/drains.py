"""Replaced containers: each is kept until it has answered the requests that it has, over restarts of the service, too."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.state import Drain
from exasol_ci_setup.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.containers.hosted.state import App, State
    from exasol_ci_setup.containers.hosted.workers import Worker

_POLL_SECONDS: Final = 0.1


class Drains:
    """The replaced containers of a `state`; each has `seconds`, and `tidy` removes those of an app that need no more."""

    def __init__(self, state: State, seconds: float, tidy: Callable[[str], None]) -> None:
        self._state = state
        self._seconds = seconds
        self._tidy = tidy

    def of(self, before: App | None) -> Drain | None:
        """Return what is to be noted of the container that an app has, before another replaces it.

        Until it is known which workers of nginx have requests for it, it is kept for the whole time.
        """
        if before is None or before.container is None:
            return None
        return Drain(before.name, before.container, time.time() + self._seconds)

    def note_workers(self, app: str, workers: frozenset[Worker] | None) -> None:
        """Note which workers may have requests for the replaced container of an app, after nginx was switched."""
        # If it cannot be noted, the container is kept for longer than it needs.
        with contextlib.suppress(StateError):
            for drain in self._state.drains() if workers else ():
                if drain.app == app and drain.workers is None:
                    self._state.note_drain(replace(drain, until=time.time() + self._seconds, workers=workers))

    def answering(self) -> set[str]:
        """Return the replaced containers that may still have requests."""
        return {drain.container for drain in self._state.drains() if not drain.is_over()}

    def wait(self, app: str | None = None) -> None:
        """Remove the replaced containers of an app, or of all apps, when it is time, in threads of their own.

        The app is not locked meanwhile: a request for it that waits here is one of those that nginx's old workers have.
        """
        for drain in self._state.drains():
            if app in {None, drain.app}:
                threading.Thread(target=self._wait, args=(drain,), daemon=True).start()

    def _wait(self, drain: Drain) -> None:
        while not drain.is_over():
            time.sleep(_POLL_SECONDS)
        self._tidy(drain.app)
