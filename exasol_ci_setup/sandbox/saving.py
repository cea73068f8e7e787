"""Writes what ministack holds to disk, one file for each service, and only those that have changed."""

from __future__ import annotations

import json
from typing import Any


class Saver:
    """Knows what of each service is on disk.

    A service that nobody used has no file, so that the next start does not load it.
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
        """Write the services that differ from what was saved, or loaded, last."""
        for name, state in self._states():
            fingerprint = self._fingerprint(state)
            if self._saved.get(name) != fingerprint:
                self._persistence.save_state(name, state)
                self._saved[name] = fingerprint

    def forget(self) -> None:
        """Take what the services hold now for saved: after a reset, which also removes the files."""
        self._saved = {name: self._fingerprint(state) for name, state in self._states()}

    def _get_module(self, name: str) -> Any:
        module = self._load(name)
        if name not in self._loaded:
            self._loaded.add(name)
            # Loading one may load others, all of them unused now: CloudFormation needs nearly every service.
            for other, state in self._states():
                if other not in self._saved:
                    self._saved[other] = self._fingerprint(state)
        return module

    def _states(self) -> list[tuple[str, Any]]:
        getters = self._ministack._build_persistence_save_dict()  # noqa: SLF001
        # None is what a service that could not be loaded answers; its file must stay.
        return [(name, state) for name, get in getters.items() if (state := get()) is not None]

    def _fingerprint(self, state: Any) -> int:
        return hash(json.dumps(state, default=self._persistence._json_default))  # noqa: SLF001
