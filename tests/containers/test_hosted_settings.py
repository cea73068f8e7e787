"""The settings of the hosted API: options, variables, and the deploy key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.containers.hosted.options import AppOptions
from exasol_ci_setup.containers.hosted.settings import PREFIX, Settings, child_environment, deploy_key
from exasol_ci_setup.core.errors import InputError


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_variables_are_read_and_options_have_precedence(monkeypatch: pytest.MonkeyPatch):
    values = {
        "STATE": "/srv/hosted",
        "DOMAIN": "Example.com",
        "PRIVATE": "1",
        "SSL": "",
        "NGINX": "sudo 'my nginx'",
        "ANSWER_SECONDS": "1.5",
        "DRAIN_SECONDS": "2m",
        "ALLOW_HOSTS": "CI.example.com builder",
        "MAX_BODY": "1g",
        "MEMORY": "64m",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)

    settings = Settings(domain="example.org", answer_seconds=None)

    assert settings.model_dump(include={"state", "domain", "private", "ssl", "nginx", "allow_hosts"}) == {
        "state": Path("/srv/hosted"),
        "domain": "example.org",
        "private": True,
        "ssl": False,
        "nginx": ("sudo", "my nginx"),
        "allow_hosts": ("ci.example.com", "builder"),
    }
    assert (settings.answer_seconds, settings.drain_seconds, settings.max_body) == (2, 120, 1 << 30)
    assert settings.hosts == frozenset({"example.org", "ci.example.com", "builder"})


def test_settings_have_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings()

    assert (settings.state, settings.hosts) == (tmp_path, None)
    assert settings.nginx == (("nginx",) if os.geteuid() == 0 else ("sudo", "-n", "nginx"))
    complete = settings.complete(AppOptions(memory="64m"))
    assert complete == AppOptions(memory="64m", pids=512, max_body="100m", timeout="60s")
    # Longer than nginx waits for data.
    assert settings.drain_of(AppOptions()) == 75
    assert settings.drain_of(AppOptions(timeout="10m")) == 615
    assert Settings(drain_seconds="1s").drain_of(AppOptions(timeout="10m")) == 1


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PRIVATE", "perhaps", "EXASOL_CI_SETUP_HOSTED_PRIVATE is invalid: "),
        ("ANSWER_SECONDS", "soon", "EXASOL_CI_SETUP_HOSTED_ANSWER_SECONDS is invalid: 'soon' is not a time"),
        ("DRAIN_SECONDS", "0", "EXASOL_CI_SETUP_HOSTED_DRAIN_SECONDS is invalid: '0' is not a time"),
        ("ALLOW_HOSTS", "a http://b", "is not a host name"),
        ("NGINX", "sudo 'nginx", "is not a command"),
        ("DOMAIN", "a; }", "is not a fully-qualified domain"),
        ("STATE", "/a b", "not allowed in the configuration of nginx"),
        ("MAX_BODY", "-1", "'-1' is not a size"),
        ("MEMORY", "1m", "use at least 6m"),
        ("PIDS", "0", "PIDS is invalid: use 1 or more"),
        ("CPUS", "nan", "use a number of processors"),
        ("TIMEOUT", "25h", "up to 24h"),
    ],
)
def test_invalid_variable_is_rejected(monkeypatch: pytest.MonkeyPatch, name, value, why):
    monkeypatch.setenv(f"{PREFIX}{name}", value)

    with pytest.raises(InputError, match=re.escape(why)):
        Settings()


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
