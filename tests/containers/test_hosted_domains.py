"""Domains that change hands while something else is done with the app that had them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exasol_ci_setup.containers.hosted.deployments import Deployments
from exasol_ci_setup.containers.hosted.nginx import Reload
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.state import Phase, State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Files:
    """What nginx has, by domain."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def apply(self, files: Mapping[str, str | None]) -> Reload:
        for domain, text in files.items():
            if text is None:
                self.found.pop(domain, None)
            else:
                self.found[domain] = text
        return Reload()


class NoContainers:
    """An engine on which nothing runs."""

    def of(self, _app: str) -> list[Any]:
        return []


class Taking(State):
    """In which another app is given a domain as soon as the deletion of the one that has it is noted."""

    def mark(self, name: str, phase: Phase) -> None:
        super().mark(name, phase)
        self.give("shared.example.com", "app2")


def test_a_domain_that_was_taken_from_an_app_is_still_served_when_that_app_is_deleted(tmp_path: Path):
    state, files = Taking(tmp_path), Files()
    for port, name in enumerate(("app1", "app2"), 20000):
        state.begin(name, "demo:1", f"{name}.example.com")
        state.settle(name, image="demo:1", container=name, port=port, env_names=())
    state.give("shared.example.com", "app1")
    files.found["shared.example.com"] = "of app2, as it was written since"
    nginx: Any = files
    engine: Any = NoContainers()
    deployments = Deployments(Settings(state=tmp_path), state, engine, nginx, None)

    deployments.delete("app1", purge=False)

    assert state.app("app1") is None
    assert state.owner("shared.example.com") == "app2"
    assert "shared.example.com" in files.found
