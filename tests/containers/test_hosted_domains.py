"""Domains of the API, and domains that are assigned to another app during an operation on their app."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.containers.hosted.certificates import Certificates
from exasol_ci_setup.containers.hosted.deployments import Deployments
from exasol_ci_setup.containers.hosted.nginx import Reload
from exasol_ci_setup.containers.hosted.releases import Release
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.state import App, Phase, State
from exasol_ci_setup.core.errors import AppConflictError, CertificateError, SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class FakeNginx:
    """The files of nginx, in memory."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def domains(self) -> set[str]:
        return set(self.files)

    def apply(self, files: Mapping[str, str | None]) -> Reload:
        for domain, text in files.items():
            if text is None:
                self.files.pop(domain, None)
            else:
                self.files[domain] = text
        return Reload()


class NoContainers:
    """An engine without containers."""

    def list_all(self) -> list[Any]:
        return []

    def list_app(self, _app: str) -> list[Any]:
        return []

    def remove_network(self, _app: str) -> None:
        pass


class ReassigningState(State):
    """A state that assigns a domain to another app as soon as the deletion of its app is recorded."""

    def set_phase(self, name: str, phase: Phase) -> None:
        super().set_phase(name, phase)
        self.assign_domain("shared.example.com", "app2")


def test_domain_reassigned_during_deletion_stays_served(tmp_path: Path):
    state, fake = ReassigningState(tmp_path), FakeNginx()
    for port, name in enumerate(("app1", "app2"), 20000):
        state.add_app(name, "demo:1", f"{name}.example.com")
        state.save_app(App(name, "demo:1", Phase.READY, name, port, (), ()))
    state.assign_domain("shared.example.com", "app1")
    fake.files["shared.example.com"] = "written for app2"
    nginx: Any = fake
    engine: Any = NoContainers()
    deployments = Deployments(Settings(state=tmp_path), state, engine, nginx, None)

    deployments.delete("app1", purge=False)

    assert state.app("app1") is None
    assert state.domain_owner("shared.example.com") == "app2"
    assert "shared.example.com" in fake.files


def test_app_cannot_get_domain_of_api(tmp_path: Path):
    state, nginx, engine = State(tmp_path), FakeNginx(), NoContainers()
    settings = Settings(state=tmp_path, domain="example.com", allow_hosts=("api.example.com",))
    fakes: tuple[Any, Any] = engine, nginx
    deployments = Deployments(settings, state, *fakes, None)
    state.add_app("app1", "demo:1", "app1.example.com")
    state.save_app(App("app1", "demo:1", Phase.READY, "app1", 20000, (), ()))

    with pytest.raises(AppConflictError, match="belongs to this service"):
        deployments.deploy("api", Release("demo:1", {}), parent="example.com")
    for domain in ("example.com", "api.example.com"):
        with pytest.raises(AppConflictError, match="belongs to this service"):
            deployments.add_domain("app1", domain, force=True)

    assert [app.domains for app in state.apps()] == [("app1.example.com",)]
    assert nginx.files == {}


@pytest.mark.timeout(60)
def test_operation_in_progress_does_not_delay_certificates_of_other_apps(tmp_path: Path):
    settings, state, certificates = Settings(state=tmp_path, ssl=True), State(tmp_path), Certificates(tmp_path)
    nothing: Any = NoContainers()
    nginx: Any = FakeNginx()
    deployments = Deployments(settings, state, nothing, nginx, certificates)
    state.add_app("app1", "demo:1", "app1.example.com")
    problems: list[SetupError] = []

    def renew() -> None:
        try:
            deployments.renew()
        except CertificateError as error:
            problems.append(error)

    # A pull can take hours.
    with deployments.locks.lock("app1"):
        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()

    assert [str(each) for each in problems] == [
        "app1.example.com has no certificate: an operation on app1 is in progress"
    ]
