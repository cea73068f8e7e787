"""The `docker` program: its arguments, its exit codes, and secrets that it must not show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exasol_ci_setup.core.errors import DockerFailedError, EngineUnavailableError
from exasol_ci_setup.docker import program
from tests.docker import fake_program

PASSWORD = "a-secret-password"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    fake, path = fake_program.put_on_path(tmp_path, os.environ["PATH"])
    monkeypatch.setenv("PATH", path)
    return fake


def test_failed_docker_login_keeps_exit_code(docker):
    docker.plan(login=3, login_says=f"no, not with {PASSWORD}")

    with pytest.raises(
        DockerFailedError, match="did not log in to host: docker login ended with exit code 3: no"
    ) as caught:
        program.login("host", "AWS", PASSWORD, print)

    assert caught.value.exit_code == 3
    assert PASSWORD not in str(caught.value)


def test_docker_ended_by_signal_has_shell_exit_code(docker):
    docker.plan(killed=["push"])

    with pytest.raises(DockerFailedError, match="exit code 137") as caught:
        program.push("image", print)

    assert caught.value.exit_code == 137


def test_paths_and_names_are_not_parsed_as_options(docker):
    program.build("image", dockerfile=Path("-f"), context=Path("--push"), say=print)
    program.push("--all-tags", print)

    assert docker.commands == ["build --platform linux/amd64 --tag image --file -f -- --push", "push -- --all-tags"]


def test_missing_docker_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailableError, match="`docker` is not on the PATH"):
        program.login("host", "AWS", PASSWORD, print)
