"""Tests of the command group `sandbox`: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exasol_ci_setup import sandbox
from exasol_ci_setup.cli.commands.sandbox import sandbox as group
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.core.errors import InputError, SandboxError
from exasol_ci_setup.sandbox.daemon import ENDPOINT_FILE
from exasol_ci_setup.sandbox.server import Server
from tests.sandbox.codebuild import create_project, statuses
from tests.sandbox.codebuild import run as run_batch
from tests.sandbox.conftest import Account

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.live


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, obj=Session())


def test_each_command_has_help() -> None:
    for command in ("start", "stop", "status", "env", "reset"):
        shown = run(command, "--help")
        assert shown.exit_code == 0
        assert shown.output.startswith(f"Usage: sandbox {command}")


def test_sandbox_is_started_shown_and_stopped(state_dir: Path) -> None:
    started = run("start")
    endpoint = sandbox.find()
    assert endpoint is not None
    assert (started.exit_code, started.stdout) == (0, "")
    assert f"the sandbox is running at {endpoint.url}" in started.stderr
    again = run("start", "--delay", "1")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "already running" in again.stderr
    assert "stop it first" in again.stderr
    status = run("status")
    assert status.exit_code == 0
    assert dict(line.split(maxsplit=1) for line in status.stdout.splitlines()) == {
        "url": endpoint.url,
        "process": str(endpoint.pid),
        "account": endpoint.account,
        "region": "eu-central-1",
        "state": str(state_dir),
        "log": str(state_dir / "sandbox.log"),
    }
    assert run("stop").stderr == "stopped the sandbox\n"
    status = run("status")
    assert (status.exit_code, status.stdout, status.stderr) == (1, "", "the sandbox is not running\n")
    stopped = run("stop")
    assert (stopped.exit_code, stopped.stderr) == (0, "the sandbox is not running\n")


def test_output_of_env_configures_clients_in_shell(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = sandbox.ensure()
    assert endpoint.state_dir == state_dir
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.example.org")
    script = run("env").stdout + "env"
    shown = subprocess.run(
        ["sh", "-ec", script], env=dict(os.environ), check=True, capture_output=True, text=True
    ).stdout
    variables = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert {name: variables[name] for name in sandbox.environment(endpoint)} == sandbox.environment(endpoint)
    assert "AWS_PROFILE" not in variables
    assert "AWS_ENDPOINT_URL_S3" not in variables
    assert json.loads(run("env", "--format", "json").stdout) == sandbox.environment(endpoint)


def test_env_without_sandbox_makes_eval_fail(state_dir: Path) -> None:
    shown = run("env")
    assert isinstance(shown.exception, SandboxError)
    assert "`exasol-ci-setup sandbox start`" in shown.exception.hint
    assert subprocess.run(["sh", "-c", f'eval "{shown.stdout}"'], check=False).returncode == 1
    assert (run("env", "--format", "json").stdout, run("env", "--format", "fish").stdout) == ("", "false\n")
    assert run("env", "--help").stdout.startswith("Usage:")
    assert not state_dir.exists()


def test_sandbox_without_answer_is_reported_as_running(state_dir: Path) -> None:
    record = state_dir / ENDPOINT_FILE
    sandbox.ensure()
    record.write_text(record.read_text().replace('"instance": "', '"instance": "another'), encoding="utf-8")
    for command in ("env", "status", "start", "reset --yes"):
        shown = run(*command.split())
        assert shown.exit_code == 1
        assert "runs but does not answer" in str(shown.exception)
        assert shown.stdout == ("false\n" if command == "env" else "")
    assert run("stop").stderr == "stopped the sandbox\n"


def test_reset_needs_confirmation(state_dir: Path) -> None:
    assert isinstance(run("reset").exception, InputError)
    confirmed = run("reset", "--yes")
    assert (confirmed.exit_code, confirmed.stdout, confirmed.stderr) == (0, "", "reset the sandbox: it is empty\n")
    assert not state_dir.exists()


@pytest.mark.parametrize("delay", ["-1", "soon", "3601"])
def test_invalid_delay_is_bad_usage(delay: str, state_dir: Path) -> None:
    assert run("start", "--delay", delay).exit_code == 2
    assert not state_dir.exists()


def test_options_set_build_time_and_source(state_dir: Path, tmp_path: Path) -> None:
    spec = tmp_path / "buildspec.yml"
    spec.write_text("version: 0.2\nbatch: {build-list: [{identifier: mine}]}\nphases: {build: {commands: [make]}}\n")
    assert run("start", "--build-seconds", "0", "--source", f"https://github.com/a/b={tmp_path}").exit_code == 0
    endpoint = sandbox.find()
    assert endpoint is not None
    assert endpoint.state_dir == state_dir
    account = Account(Server(endpoint.url), endpoint.account)
    create_project(account, source={"type": "GITHUB", "location": "https://github.com/a/b"})
    assert statuses(run_batch(account)) == {"mine": "SUCCEEDED"}
    account.close()
    again = run("start", "--build-seconds", "1", "--source", f"https://github.com/a/b={tmp_path}")
    assert "to change its build seconds and sources, stop it first" in again.stderr


@pytest.mark.parametrize("source", ["nothing", "=here", "https://github.com/a/b="])
def test_invalid_source_is_bad_usage(source: str, state_dir: Path) -> None:
    assert isinstance(run("start", "--source", source).exception, InputError)
    assert not state_dir.exists()
