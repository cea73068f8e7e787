"""What the tests of the platform share."""

from __future__ import annotations

import os

import pytest

from tests.platform import docker_stand_in


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> docker_stand_in.StandIn:
    """A program in the place of `docker`, first on the PATH."""
    stand_in, path = docker_stand_in.put_on_path(tmp_path_factory.mktemp("bin"), os.environ["PATH"])
    monkeypatch.setenv("PATH", path)
    return stand_in
