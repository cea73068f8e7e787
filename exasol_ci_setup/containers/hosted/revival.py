"""Apps that should run and do not, as after a crash of the Docker engine: they are started again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.state import Phase
from exasol_ci_setup.errors import EngineError

if TYPE_CHECKING:
    from exasol_ci_setup.containers.hosted.instances import Instances
    from exasol_ci_setup.containers.hosted.state import App, State

# One that the engine starts again by itself is "restarting".
_STOPPED: Final = frozenset({"created", "exited"})

_log = logging.getLogger(__name__)


class Revival:
    """Starts the apps of a `state` whose containers ended although no caller stopped them."""

    def __init__(self, state: State, instances: Instances) -> None:
        self._state = state
        self._instances = instances
        self._failing: dict[str, str] = {}

    def revive(self) -> None:
        """Start the apps that should run and do not; log those that cannot be started, once for each reason.

        One that is seen running should run from then on. An app that is being changed is left to the one that changes it. Raises EngineError if the engine does not answer.
        """
        states = {each["Id"]: each["State"] for each in self._instances.everything()}
        for app in self._state.apps():
            state = states.get(app.container or "")
            if app.phase is Phase.READY and state in (_STOPPED if app.should_run else {"running"}):
                with self._state.locked_if_free(app.name) as free:
                    if free and self._state.app(app.name) == app:
                        self._put_right(app)

    def _put_right(self, app: App) -> None:
        try:
            container = self._instances.get(app.container)
            if container is not None and container.status == "running" and not app.should_run:
                self._state.intend(app.name, should_run=True)
            elif container is not None and container.status in _STOPPED and app.should_run:
                self._instances.run(container)
                _log.warning("app %s did not run, and was started again", app.name)
            self._failing.pop(app.name, None)
        except EngineError as error:
            if self._failing.get(app.name) != error.message:
                _log.warning("app %s does not run, and cannot be started: %s", app.name, error)
            self._failing[app.name] = error.message
