"""All commands that use a Docker engine select the same one, as the `docker` program does."""

from __future__ import annotations

import pytest

from tests.docker import contexts

ADDRESS = "tcp://127.0.0.1:9"
COMMANDS = [("run-buildspec", "b.yml"), ("container-manager", "info")]


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    # No command needs the program to select the engine.
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "harpoon.yml").write_text("images: {a: {context: false, commands: [FROM scratch]}}\n")
    (tmp_path / "b.yml").write_text("version: 0.2\nphases: {build: {commands: [echo hi]}}\n")
    return tmp_path


@pytest.mark.parametrize("how", ["context use", "DOCKER_CONTEXT", "DOCKER_HOST"])
def test_commands_name_same_unreachable_engine(program, directory, monkeypatch, how):
    contexts.create(
        directory, "away", ADDRESS if how != "DOCKER_HOST" else "tcp://127.0.0.1:8", use=how != "DOCKER_CONTEXT"
    )
    if how != "context use":
        monkeypatch.setenv(how, ADDRESS if how == "DOCKER_HOST" else "away")

    ran = [program(*command) for command in COMMANDS]

    assert [each.code for each in ran] == [1, 1]
    assert ran[0].stderr == ran[1].stderr
    assert ran[0].stderr.startswith(
        f"error: the Docker engine at {ADDRESS} cannot be used: Connection refused\n\nhint: "
    )
    assert not (directory / ".run-buildspec").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_missing_context_is_error(program, directory, monkeypatch, command):
    contexts.create(directory, "away", ADDRESS)
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")

    ran = program(*command)

    assert ran.code == 1
    assert "the Docker context nowhere does not exist\n\nhint: `docker context ls`" in ran.stderr


def test_contexts_in_working_directory_are_not_used(program, directory, monkeypatch):
    contexts.create(directory, "away", ADDRESS)
    monkeypatch.setenv("DOCKER_CONFIG", str(directory / "other"))
    monkeypatch.setenv("HOME", str(directory / "home"))
    monkeypatch.setenv("DOCKER_CONTEXT", "away")

    ran = program("run-buildspec", "b.yml")

    assert ran.code == 1
    assert "the Docker context away cannot be read: " in ran.stderr
    assert "hint: `docker context use away`" in ran.stderr
