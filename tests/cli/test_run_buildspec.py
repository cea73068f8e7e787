"""`run-buildspec` without a container: rejected input, and a missing engine."""

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


def test_missing_engine_is_reported_in_json(program, repository, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    ran = program("run-buildspec", "ci/batch.yaml", "--flavor", "a", "--env", "TOKEN=t", "--output", "json")

    assert ran.code == 1
    (record,) = ran.records
    assert record["code"] == "engine-unavailable"
    assert "tcp://127.0.0.1:9" in record["message"]
    assert record["hint"]
    assert not (repository / ".run-buildspec").exists()
