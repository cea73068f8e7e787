"""Fixtures: a sandbox in a thread for the session, an account for each test, and a state directory for tests with a process."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.config import Config

from exasol_ci_setup import sandbox
from exasol_ci_setup.sandbox import launch
from exasol_ci_setup.sandbox.daemon import DIRECTORY_VARIABLE
from exasol_ci_setup.sandbox.server import serve_in_thread
from exasol_ci_setup.sandbox.settings import (
    BUILD_SECONDS_VARIABLE,
    DELAY_VARIABLE,
    FAIL_VARIABLE,
    REGISTRY_VARIABLE,
    SOURCES_VARIABLE,
)
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exasol_ci_setup.sandbox.server import Server

_accounts = itertools.count(500_000_000_001)


@functools.cache
def _session() -> Any:
    """Return one session for all clients: reading the service models takes longer than most tests."""
    return botocore.session.get_session()


class Account:
    """One account in the sandbox, isolated from other tests."""

    def __init__(self, server: Server, number: str) -> None:
        self.server = server
        self.number = number
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = "eu-central-1") -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = _session().create_client(
                service,
                endpoint_url=self.server.url,
                region_name=region,
                aws_access_key_id=self.number,
                aws_secret_access_key="any",
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service, region]

    def slow_down(self, seconds: float) -> None:
        self.server.delays[self.number] = seconds

    def close(self) -> None:
        server = self.server
        for setting in (server.delays, server.build_seconds, server.sources, server.failures):
            setting.pop(self.number, None)
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[Server]:
    """Run the sandbox of the test session in a thread of this process."""
    with serve_in_thread() as server:
        yield server


@pytest.fixture
def account(sandbox_server: Server) -> Iterator[Account]:
    """Return an account that only this test uses."""
    account = Account(sandbox_server, str(next(_accounts)))
    yield account
    account.close()


@pytest.fixture
def other_account(sandbox_server: Server) -> Iterator[Account]:
    """Return a second account that only this test uses."""
    account = Account(sandbox_server, str(next(_accounts)))
    yield account
    account.close()


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set the state directory of the sandbox process that this test starts, and stop the process afterwards."""
    directory = tmp_path / "sandbox"
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(directory))
    # Sandboxes of concurrent test processes would use the same port after one of them stopped.
    monkeypatch.setattr(launch, "FIRST_PORT", free_port())
    for variable in (BUILD_SECONDS_VARIABLE, DELAY_VARIABLE, FAIL_VARIABLE, REGISTRY_VARIABLE, SOURCES_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    yield directory
    sandbox.stop()
