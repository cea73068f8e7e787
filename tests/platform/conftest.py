"""Fixtures for the tests of the platform."""

from __future__ import annotations

import os

import pytest

from tests.platform import fake_docker


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> fake_docker.FakeDocker:
    """A fake `docker`, first on the PATH."""
    fake, path = fake_docker.put_on_path(tmp_path_factory.mktemp("bin"), os.environ["PATH"])
    monkeypatch.setenv("PATH", path)
    return fake
