"""Fixtures for the tests of the platform."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.docker import engine_server, fake_program
from tests.docker.fake_program import FakeDocker


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    """A fake `docker`, first on the PATH, and an engine that answers."""
    fake, path = fake_program.put_on_path(tmp_path_factory.mktemp("bin"), os.environ["PATH"])
    monkeypatch.setenv("PATH", path)
    with engine_server.running() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        yield fake
