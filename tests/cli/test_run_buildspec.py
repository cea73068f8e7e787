"""`run-buildspec` where it does not come to a container: what is refused, and what there is without an engine."""

from __future__ import annotations

import pytest

BATCH = """
version: 0.2
batch:
  build-graph:
    - identifier: build_a
      env: {variables: {FLAVOR: a}}
      buildspec: ci/build.yaml
    - identifier: build_b
      env: {variables: {FLAVOR: b}}
      buildspec: ci/build.yaml
"""
BUILD = """
version: 0.2
env: {secrets-manager: {TOKEN: "gh:token"}}
phases: {build: {commands: ["true"]}}
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "batch.yaml").write_text(BATCH, encoding="utf-8")
    (tmp_path / "ci" / "build.yaml").write_text(BUILD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "buildspec not found: aws-code-build/ci/buildspec.yaml"),
        (["ci/batch.yaml"], "choose one with --flavor: a, b"),
        (["ci/batch.yaml", "--flavor", "c"], "ci/batch.yaml has no build for flavor 'c'"),
        (["ci/batch.yaml", "--build", "build_c"], "it has build_a, build_b"),
        (["ci/batch.yaml", "--build", "build_a", "--flavor", "a"], "--flavor and --build both select a build"),
        (["ci/build.yaml", "--flavor", "a"], "ci/build.yaml is not a batch"),
        (["ci/build.yaml"], "TOKEN (secrets-manager gh:token)"),
        (["ci/build.yaml", "--env", "=x"], "--env: no valid variable name"),
        (["ci/build.yaml", "--env-file", "none"], "none cannot be read: No such file"),
        (
            ["ci/build.yaml", "--env", "TOKEN=t", "--artifacts-dir", "ci"],
            "ci is not empty and was not created by run-buildspec",
        ),
        (
            ["ci/build.yaml", "--env", "TOKEN=t", "--artifacts-dir", "a" * 300],
            "cannot be used for artifacts: File name too",
        ),
        (["ci/build.yaml", "--source", "nowhere"], "nowhere"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_invalid_buildspec_options_exit_2(program, arguments, expected):
    ran = program("run-buildspec", *arguments)

    assert ran.code == 2
    assert expected in ran.stderr
    assert not ran.stdout


def test_buildspec_of_batch_is_relative_to_source(program, repository):
    (repository / "ci" / "build.yaml").unlink()

    ran = program("run-buildspec", "ci/batch.yaml", "--flavor", "a")

    assert ran.code == 2
    assert "buildspec not found: ci/build.yaml" in ran.stderr


def test_missing_docker_is_reported(program, repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))

    ran = program("run-buildspec", "ci/batch.yaml", "--flavor", "a", "--env", "TOKEN=t", "--output", "json")

    assert ran.code == 1
    (record,) = ran.records
    assert record["code"] == "engine-unavailable"
    assert "`docker` is not on the PATH" in record["message"]
    assert record["hint"]


def test_missing_engine_is_reported_with_reason_of_docker(program, repository, monkeypatch):
    docker = repository / "docker"
    docker.write_text(
        "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///x' >&2\nexit 1\n", encoding="utf-8"
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{repository}:/usr/bin:/bin")

    ran = program("run-buildspec", "ci/build.yaml", "--env", "TOKEN=t")

    assert ran.code == 1
    assert "the Docker engine cannot be used: Cannot connect to the Docker daemon at unix:///x" in ran.stderr
    assert "hint: " in ran.stderr
    assert not (repository / ".run-buildspec").exists()


def test_docker_that_cannot_start_is_reported(program, repository, monkeypatch):
    (repository / "docker").write_text("no program")
    (repository / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(repository))

    ran = program("run-buildspec", "ci/build.yaml", "--env", "TOKEN=t")

    assert ran.code == 1
    assert "docker cannot be run: Exec format error" in ran.stderr
