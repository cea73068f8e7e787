"""Restart of apps that should run but do not, for example after a crash of the Docker engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.state import Phase
from exasol_ci_setup.core.errors import EngineError

if TYPE_CHECKING:
    from exasol_ci_setup.containers.hosted.instances import Instances
    from exasol_ci_setup.containers.hosted.locks import AppLocks
    from exasol_ci_setup.containers.hosted.state import App, State

# A container that the engine restarts itself is "restarting".
_STOPPED: Final = frozenset({"created", "exited"})

_log = logging.getLogger(__name__)


class Revival:
    """Restarts the apps of a `state` whose containers ended without a request to stop them."""

    def __init__(self, state: State, instances: Instances, locks: AppLocks) -> None:
        self._locks = locks
        self._state = state
        self._instances = instances
        self._failing: dict[str, str] = {}

    def revive(self) -> None:
        """Start the apps that should run but do not; log a failed start once for each reason.

        An app that runs although it was stopped is recorded as running. Locked apps are skipped. Raises EngineError if the engine
        does not answer.
        """
        states = {each["Id"]: each["State"] for each in self._instances.list_all()}
        for app in self._state.apps():
            state = states.get(app.container or "")
            if app.phase is Phase.READY and state in (_STOPPED if app.should_run else {"running"}):
                with self._locks.try_lock(app.name) as free:
                    if free and self._state.app(app.name) == app:
                        self._correct(app)

    def _correct(self, app: App) -> None:
        try:
            container = self._instances.get(app.container)
            if container is not None and container.status == "running" and not app.should_run:
                self._state.set_should_run(app.name, should_run=True)
            elif container is not None and container.status in _STOPPED and app.should_run:
                self._instances.run(container)
                _log.warning("app %s had stopped and was started again", app.name)
            self._failing.pop(app.name, None)
        except EngineError as error:
            if self._failing.get(app.name) != error.message:
                _log.warning("app %s has stopped and cannot be started: %s", app.name, error)
            self._failing[app.name] = error.message
