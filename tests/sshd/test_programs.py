"""A program that runs a command on its instance, under `plan`, `up` and `down`."""

from __future__ import annotations

import logging
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

pytestmark = [pytest.mark.sshd, pytest.mark.live]

SOURCE = """
    from exasol_ci_setup import Instance, Scope

    class LocalInstance(Instance):
        # The address in the sandbox belongs to no machine.
        @property
        def public_ip(self):
            return "127.0.0.1"

    def hangar_run():
        scope = Scope(name="team", region="eu-central-1")
        box = LocalInstance(scope=scope, name="box", instanceType="t3.micro", path_to_key={key!r})
        box.deploy()
        result = box.run_command("echo run >> {trace}; echo hi", user={user!r}, port={port})
        print("result", result)
"""


@pytest.fixture
def run(live, monkeypatch, tmp_path) -> Iterator[Callable[..., Result]]:
    """Run the program on a separate account in the sandbox."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments: str) -> Result:
        session = Session()
        session.__dict__["account"] = live
        return CliRunner().invoke(cli, arguments, prog_name=PROGRAM, obj=session)

    yield run
    logging.getLogger().handlers.clear()
    logging.getLogger("exasol_ci_setup").setLevel(logging.NOTSET)


def write_program(folder: Path, **values: object) -> str:
    file = folder / "program.py"
    file.write_text(dedent(SOURCE).format(**values), encoding="utf-8")
    return str(file)


def test_command_runs_on_up_but_not_on_plan_or_down(run, key, machine, tmp_path):
    trace = tmp_path / "trace"
    file = write_program(tmp_path, key=str(key), trace=trace, user=machine.user, port=machine.port)

    plan = run("plan", file)
    assert plan.exit_code == 0, plan.output
    assert "instance box: would run 'echo…'" in plan.stderr
    assert not trace.exists()

    for runs in (1, 2):
        up = run("up", file, "--yes")
        assert up.exit_code == 0, up.output
        assert "'stdout': 'hi\\n', 'stderr': '', 'exit_status': 0}" in up.stdout
        assert trace.read_text(encoding="utf-8") == "run\n" * runs

    down = run("down", file, "--yes")
    assert down.exit_code == 0, down.output
    assert trace.read_text(encoding="utf-8") == "run\n" * 2


def test_rejected_key_ends_up_with_reason(run, key, make_key, make_server, tmp_path):
    machine = make_server(make_key(name="other"))
    file = write_program(tmp_path, key=str(key), trace=tmp_path / "trace", user=machine.user, port=machine.port)

    up = run("up", file, "--yes")

    assert up.exit_code == 1
    assert f"127.0.0.1 rejects user {machine.user!r} with the key {str(key)!r}" in up.stderr
    assert "hint: " in up.stderr
