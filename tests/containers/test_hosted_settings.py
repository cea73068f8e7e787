"""The settings of the hosted API: options, variables, and the deploy key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.containers.hosted.settings import Settings, child_environment, deploy_key, from_environment
from exasol_ci_setup.core.errors import InputError


def test_settings_survive_round_trip_through_environment():
    settings = Settings(
        state=Path("/srv/hosted"),
        domain="example.com",
        private=True,
        ssl=True,
        nginx=("sudo", "my nginx"),
        answer_seconds=1.5,
        drain_seconds=2.5,
        allow_hosts=("ci.example.com", "builder"),
    )

    assert from_environment(settings.variables()) == settings
    assert from_environment(Settings(state=Path("/srv")).variables()) == Settings(state=Path("/srv"))
    assert from_environment({}).state == Path.cwd()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRIVATE", "perhaps"),
        ("ANSWER_SECONDS", "soon"),
        ("DRAIN_SECONDS", "late"),
        ("ALLOW_HOSTS", "a http://b"),
        ("NGINX", "sudo 'nginx"),
        ("DOMAIN", "a; }"),
        ("STATE", "/a b"),
    ],
)
def test_invalid_variable_is_rejected(name, value):
    with pytest.raises(InputError):
        from_environment({f"EXASOL_CI_SETUP_HOSTED_{name}": value})


def test_key_comes_from_variable_or_credential(tmp_path: Path):
    (tmp_path / "deploy_key").write_text("from systemd\n")

    assert deploy_key({"DEPLOY_KEY": "a"}) == "a"
    assert deploy_key({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "from systemd"
    assert deploy_key({"DEPLOY_KEY": "a", "CREDENTIALS_DIRECTORY": str(tmp_path)}) == "a"
    assert child_environment({"DEPLOY_KEY": "a", "CREDENTIALS_DIRECTORY": "b", "PATH": "c"}) == {"PATH": "c"}


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_missing_or_empty_key_is_rejected(tmp_path: Path, content):
    if content is not None:
        (tmp_path / "deploy_key").write_text(content)

    for environment in ({}, {"DEPLOY_KEY": " "}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}):
        with pytest.raises(InputError, match="DEPLOY_KEY is not set"):
            deploy_key(environment)


@pytest.mark.parametrize("command", ["serve", "gunicorn"])
def test_start_without_key_is_rejected(tmp_path: Path, command):
    environment = {name: value for name, value in os.environ.items() if name != "DEPLOY_KEY"}
    module = {
        "serve": ["-m", "exasol_ci_setup", "hosted", "serve"],
        "gunicorn": ["-c", "import exasol_ci_setup.containers.hosted.wsgi"],
    }

    ran = subprocess.run(
        [sys.executable, *module[command]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert ran.returncode == (2 if command == "serve" else 1)
    assert ran.stderr.startswith("error: the deploy key is missing: DEPLOY_KEY is not set\n\nhint: ")
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []
