"""A temporary home directory, a context, and the sandbox's access control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup.aws.context import Context
from tests.reporters import RecordingReporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.sandbox.server import Server


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


@pytest.fixture
def context(live: Account, reporter: RecordingReporter) -> Context:
    return Context(live, reporter=reporter)


@pytest.fixture
def enforced(server: Server) -> Iterator[None]:
    """The sandbox denies what policies do not allow."""
    server.control_access(True)
    yield
    server.control_access(False)
