"""Save the state of ministack to disk: one file for each service, written only after changes."""

from __future__ import annotations

import json
from typing import Any


class Saver:
    """Saves services whose state differs from their file.

    An unused service has no file, so that the next start does not load it.
    """

    def __init__(self, ministack: Any) -> None:
        from ministack.core import persistence

        self._ministack = ministack
        self._persistence = persistence
        self._saved: dict[str, int] = {}
        self._loaded: set[str] = set()
        self._load = ministack._get_module  # noqa: SLF001
        ministack._get_module = self._get_module  # noqa: SLF001

    def save(self) -> None:
        """Write the services that changed since they were saved or loaded."""
        for name, state in self._states():
            fingerprint = self._fingerprint(state)
            if self._saved.get(name) != fingerprint:
                self._persistence.save_state(name, state)
                self._saved[name] = fingerprint

    def forget(self) -> None:
        """Regard the current state as saved. Use it after a reset, which also deletes the files."""
        self._saved = {name: self._fingerprint(state) for name, state in self._states()}

    def _get_module(self, name: str) -> Any:
        module = self._load(name)
        if name not in self._loaded:
            self._loaded.add(name)
            # A service can load others, which are unused so far: CloudFormation loads nearly every service.
            for other, state in self._states():
                if other not in self._saved:
                    self._saved[other] = self._fingerprint(state)
        return module

    def _states(self) -> list[tuple[str, Any]]:
        getters = self._ministack._build_persistence_save_dict()  # noqa: SLF001
        # A service that could not be loaded returns None; its file must not change.
        return [(name, state) for name, get in getters.items() if (state := get()) is not None]

    def _fingerprint(self, state: Any) -> int:
        return hash(json.dumps(state, default=self._persistence._json_default))  # noqa: SLF001
