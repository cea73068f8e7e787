"""`run-task` and `service-logs`, and `Cluster.run_task` in programs, in the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from tests.answers import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from exasol_ci_setup.aws.session import Account

pytestmark = pytest.mark.live

FILE = """\
from exasol_ci_setup import Cluster, Container, Scope, Service


def hangar_run() -> None:
    scope = Scope(name="jobs", region="eu-central-1")
    container = Container(source="nginx", tag="1.27")
    services = [Service(name="web", container=container), Service(name="nightly", container=container, schedule="rate(1 day)")]
    cluster = Cluster(scope=scope, name="cluster", services=services)
    cluster.deploy()
    result = cluster.run_task("web", "migrate --all")
    print("RESULT", result.exit_code, len(result.log))
"""


STAND_IN = "This is the sandbox: it does not run the container"


@pytest.fixture
def run(live: Account, tmp_path, monkeypatch):
    (tmp_path / "program.py").write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Result:
        session = Session(clock=VirtualClock())
        session.__dict__["account"] = live
        return CliRunner().invoke(cli, arguments, prog_name=PROGRAM, obj=session)

    return command


def test_tasks_run_in_program_and_by_command(run: Callable[..., Result]):
    planned = run("plan", "program.py")
    assert "cluster cluster: a task of web with the command migrate --all would run" in planned.stderr
    deployed = run("up", "program.py", "--yes")
    assert deployed.exit_code == 0, deployed.output
    assert "RESULT 0 1" in deployed.stdout

    found = run("run-task", "jobs-cluster", "nightly", "--command", "clean 'old files'", "--env", "AGE=30")
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith(STAND_IN)
    assert "of service nightly ended with exit code 0" in found.stderr

    log = run("service-logs", "jobs-cluster", "nightly")
    assert log.stdout == found.stdout
    assert run("service-logs", "jobs-cluster", "nightly", "--lines", "0").exit_code == 2

    records = [
        json.loads(line) for line in run("run-task", "jobs-cluster", "web", "--output", "json").stdout.splitlines()
    ]
    assert [each["type"] for each in records] == ["task", "log", "result"]
    assert records[-1] == {**records[-1], "status": "succeeded", "changed": True}

    only_started = run("run-task", "jobs-cluster", "web", "--no-wait")
    assert (only_started.exit_code, only_started.stdout) == (0, "")
    unclear = run("run-task", "jobs-cluster")
    assert unclear.exit_code == 2
    assert "its services: nightly, web" in unclear.stderr
    unbalanced = run("run-task", "jobs-cluster", "web", "--command", "echo 'a")
    assert unbalanced.exit_code == 2
    assert "invalid --command: No closing quotation" in unbalanced.stderr
