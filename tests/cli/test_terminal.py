"""Commands in a terminal: they end by themselves, however slowly the terminal is read, and whatever is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.pseudo_terminal import PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exasol_ci_setup.sandbox.server import Server

pytestmark = pytest.mark.live

SLOW = {"chunk": 256, "pause": 0.01}


THREADS = """
from threading import Thread
from exasol_ci_setup.cli.many import Many
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.stacks.graph import End, Ended

many = Many(Session(), shown={})

def work(name):
    for _ in range(20):
        with many.view(name, f"creating {name}") as view:
            view.tick(0.0)
            view.note("AWS did not answer")
    many.ended(Ended(name, End.DONE))

with many.table():
    threads = [Thread(target=work, args=(f"stack-{n}",), daemon=True) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("all ended")
"""


@pytest.fixture
def begin(server: Server, account_id: str, tmp_path: Path) -> Callable[..., PseudoTerminal]:
    """Run the program in a terminal, on an account of its own in the sandbox."""
    environment = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
        "HOME": str(tmp_path),
        "EXASOL_CI_SETUP_LINT_CACHE": "",
    }

    def run(*arguments: str, **terminal: Any) -> PseudoTerminal:
        return PseudoTerminal(*arguments, cwd=tmp_path, environment=environment, **terminal)

    return run


@pytest.fixture
def slow_aws(server: Server, account_id: str) -> None:
    server.delays[account_id] = 0.2


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """The file of a fleet whose stacks are in progress at the same time."""
    projects = "\n".join(
        f"  Repo{n:02}:\n    project_url: https://github.com/acme/repo-{n:02}\n    ci:" for n in range(1, 13)
    )
    credentials = "    source_credentials: {secret_name: github, secret_user_key: user, secret_token_key: token}"
    path = tmp_path / "fleet.yaml"
    path.write_text(f"targets:\n  ci:\n    region: eu-central-1\n{credentials}\nprojects:\n{projects}\n")
    return path


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program with registries that are deployed at the same time."""
    path = tmp_path / "program.py"
    path.write_text(
        "from exasol_ci_setup import HangarScope, Registry\n"
        "def hangar_run():\n"
        "    scope = HangarScope(name='team', region='eu-central-1')\n"
        "    for n in range(12):\n"
        "        Registry(name=f'r{n:02}', scope=scope).deploy()\n"
    )
    return path


def test_threads_that_print_below_a_table_never_block_each_other(tmp_path):
    with PseudoTerminal(cwd=tmp_path, environment={}, program=THREADS, chunk=4096, pause=0.01) as terminal:
        assert terminal.end() == 0
    assert terminal.text.count("AWS did not answer") == 320
    assert terminal.text.rstrip().endswith("all ended")
    assert terminal.is_cursor_visible


@pytest.mark.usefixtures("slow_aws")
def test_fleet_in_slow_resized_terminal_ends_by_itself(begin, fleet):
    with begin("deploy-fleet", str(fleet), "--concurrency", "13", "--no-lint", **SLOW) as terminal:
        terminal.answer("y")
        for size in ((20, 60), (50, 160), (40, 120)):
            seen = len(terminal.written)
            terminal.resize(*size)
            terminal.wait_for("Repo", after=seen)
        assert terminal.end() == 0
    assert "13 stacks: 13 done" in terminal.text
    assert terminal.is_cursor_visible


@pytest.mark.usefixtures("slow_aws")
def test_program_in_slow_terminal_ends_by_itself(begin, program):
    for command, reply in (("up", "y"), ("down", "y")):
        with begin(command, str(program), "--concurrency", "12", **SLOW) as terminal:
            terminal.answer(reply)
            assert terminal.end() == 0
        assert terminal.is_cursor_visible
