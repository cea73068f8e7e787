"""Tests of the process of the registry that serves ECR: started on request, and ended with the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from exasol_ci_setup import sandbox
from exasol_ci_setup.core.errors import InputError, SandboxError
from exasol_ci_setup.sandbox import registry
from exasol_ci_setup.sandbox.server import serve_in_thread
from exasol_ci_setup.sandbox.settings import REGISTRY_VARIABLE
from tests.registry import Pusher, require_program, tags
from tests.sandbox.test_cli import run

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live


def client(url: str, region: str, account: str) -> Any:
    return botocore.session.get_session().create_client(
        "ecr", endpoint_url=url, region_name=region, aws_access_key_id=account, aws_secret_access_key="any"
    )


def test_repository_has_registry_address_only_while_it_runs(account: Account, tmp_path: Path) -> None:
    require_program()
    ecr = account.client("ecr")
    ecr.create_repository(repositoryName="team/app")

    def uri() -> str:
        return str(ecr.describe_repositories(repositoryNames=["team/app"])["repositories"][0]["repositoryUri"])

    on_aws = f"{account.number}.dkr.ecr.eu-central-1.amazonaws.com/team/app"
    assert uri() == on_aws
    with registry.running(tmp_path) as running:
        assert uri() == f"{running.address}/{account.number}/eu-central-1/team/app"
    assert uri() == on_aws


def test_server_in_thread_has_registry_on_request() -> None:
    require_program()
    with serve_in_thread(with_registry=True) as server:
        ecr = client(server.url, server.region, "500000000999")
        data = ecr.get_authorization_token()["authorizationData"][0]
        ecr.close()
    assert data["proxyEndpoint"] == f"http://{server.registry}"


def running_registries(directory: Path) -> list[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f"serve {directory}" in line]


def test_sandbox_starts_and_ends_its_registry(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_program()
    started = run("start", "--registry")
    assert started.exit_code == 0, started.output
    endpoint = sandbox.find()
    assert endpoint is not None
    assert (
        f"ECR is the registry at {endpoint.registry}\nDocker engine that builds images: {endpoint.engine}\n"
        in started.stderr
    )
    assert f"registry {endpoint.registry}" in run("status").stdout.splitlines()
    assert "stop it first" not in run("start", "--registry").stderr
    ecr = client(endpoint.url, endpoint.region, endpoint.account)
    ecr.create_repository(repositoryName="team/app")
    digest = Pusher(ecr).push("team/app", "one", "1.0")
    assert running_registries(state_dir)

    assert run("stop").exit_code == 0
    assert not running_registries(state_dir)

    monkeypatch.setenv(REGISTRY_VARIABLE, "1")
    again = sandbox.ensure()
    assert again.registry == endpoint.registry
    assert (again.url, tags(ecr)) == (endpoint.url, {digest: ["1.0"]})

    sandbox.reset()
    ecr.create_repository(repositoryName="team/app")
    assert tags(ecr) == {}
    ecr.close()


def test_registry_ends_with_killed_sandbox(state_dir: Path) -> None:
    require_program()
    endpoint = sandbox.ensure(registry=True)
    os.kill(endpoint.pid, signal.SIGKILL)
    # The kernel closes the pipe to the registry's guard at the end of the process; then the guard sends a signal.
    for _ in range(1000):
        if not running_registries(state_dir):
            return
    pytest.fail("the registry runs on")


def test_running_sandbox_does_not_start_registry_later(state_dir: Path) -> None:
    require_program()
    sandbox.ensure()
    assert "to change its registry, stop it first" in run("start", "--registry").stderr
    assert "registry" not in run("status").stdout
    assert not (state_dir / "registry").exists()


def test_reset_of_stopped_sandbox_deletes_images(state_dir: Path) -> None:
    require_program()
    sandbox.ensure(registry=True)
    sandbox.stop()
    data = state_dir / "registry" / "data"
    data.mkdir(exist_ok=True)
    sandbox.reset()
    assert not data.exists()


def test_missing_registry_program_has_hint(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    failed = run("start", "--registry")
    assert isinstance(failed.exception, SandboxError)
    assert "neither `docker-registry` nor `registry` is on PATH" in str(failed.exception)
    assert "apt-get install docker-registry" in failed.exception.hint
    assert not state_dir.exists()


def test_invalid_flag_variable_is_named(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REGISTRY_VARIABLE, "maybe")
    failed = run("start")
    assert isinstance(failed.exception, InputError)
    assert str(failed.exception) == f"invalid {REGISTRY_VARIABLE}: 'maybe' is not 1 or 0"
    assert not state_dir.exists()
