"""Commands in a terminal: they end without hanging, also with a slow terminal or Ctrl-C."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.pseudo_terminal import LIMIT, PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typing_extensions import Self

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.sandbox.server import Server

pytestmark = pytest.mark.live

SLOW = {"chunk": 256, "pause": 0.01}
# Seconds. The process ends within 10 s; the rest is for a machine under load.
SOON = 40.0
UNCHANGED = "error: interrupted; nothing was changed"


THREADS = """
from threading import Thread
from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.core.task_graph import End, Ended

many = MultiStackReporter(Session(), shown={})

def work(name):
    for _ in range(20):
        with many.of(name).operation(name, f"creating {name}") as reporter:
            reporter.progress()
            reporter.note("AWS did not answer")
    many.result(Ended(name, End.DONE))

with many.table():
    threads = [Thread(target=work, args=(f"stack-{n}",), daemon=True) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("all ended")
"""


@pytest.fixture
def slow_aws(server: Server, account_id: str) -> None:
    server.delays[account_id] = 0.2


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet file whose stacks deploy in parallel."""
    projects = "\n".join(
        f"  Repo{n:02}:\n    project_url: https://github.com/acme/repo-{n:02}\n    ci:" for n in range(1, 8)
    )
    credentials = "    source_credentials: {secret_name: github, secret_user_key: user, secret_token_key: token}"
    path = tmp_path / "fleet.yaml"
    path.write_text(f"targets:\n  ci:\n    region: eu-central-1\n{credentials}\nprojects:\n{projects}\n")
    return path


@pytest.fixture
def registries(tmp_path: Path) -> Path:
    """A program with registries that deploy in parallel."""
    path = tmp_path / "program.py"
    path.write_text(
        "from exasol_ci_setup import HangarScope, Registry\n"
        "def hangar_run():\n"
        "    scope = HangarScope(name='team', region='eu-central-1')\n"
        "    for n in range(8):\n"
        "        Registry(name=f'r{n:02}', scope=scope).deploy()\n"
    )
    return path


def test_threads_that_print_with_table_do_not_deadlock(tmp_path):
    with PseudoTerminal(cwd=tmp_path, environment={}, program=THREADS, chunk=4096, pause=0.01) as terminal:
        assert terminal.end() == 0
    assert terminal.text.count("AWS did not answer") == 320
    assert terminal.text.rstrip().endswith("all ended")
    assert terminal.is_cursor_visible


class SilentAws:
    """A proxy to the sandbox that holds back the replies to some operations while it is open."""

    def __init__(self, url: str, *silent: str) -> None:
        ending = threading.Event()
        asked = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(url + self.path, body, dict(self.headers), method="POST")  # noqa: S310 - the sandbox
                try:
                    answer = urlopen(request)  # noqa: S310 - the sandbox
                except HTTPError as error:
                    answer = error
                with answer:
                    content = answer.read()
                if any(f"Action={operation}&".encode() in body for operation in silent):
                    asked.set()
                    ending.wait()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.asked = asked
        """Whether a reply is held back."""
        self._ending = ending
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def silent_aws(server: Server) -> Iterator[Callable[..., SilentAws]]:
    """Return a function that makes operations of AWS hang."""
    with ExitStack() as stack:
        yield lambda *operations: stack.enter_context(SilentAws(server.url, *operations))


def left(account: Account) -> list[str]:
    """Return the empty stacks and change sets that remain after an interrupted command."""
    cfn = account.client("cloudformation")
    stacks = [stack for page in cfn.get_paginator("describe_stacks").paginate() for stack in page["Stacks"]]
    empty = [stack["StackName"] for stack in stacks if stack["StackStatus"] == "REVIEW_IN_PROGRESS"]
    summaries = [cfn.list_change_sets(StackName=stack["StackName"])["Summaries"] for stack in stacks]
    return empty + [each["ChangeSetName"] for listed in summaries for each in listed]


def errors(terminal: PseudoTerminal) -> list[str]:
    return [line for line in terminal.text.splitlines() if line.startswith("error:")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_while_aws_hangs_ends_soon_and_next_run_cleans_up(begin, live, fleet, silent_aws, number):
    aws = silent_aws("CreateChangeSet")
    with begin("deploy-fleet", str(fleet), "--no-lint", AWS_ENDPOINT_URL=aws.url) as terminal:
        terminal.wait_for("checked 0 of 8 stacks")
        assert aws.asked.wait(LIMIT)
        terminal.send(number)
        assert terminal.end(SOON) == 130
    assert errors(terminal) == [UNCHANGED]
    assert terminal.is_cursor_visible
    assert left(live)

    with begin("deploy-fleet", str(fleet), "--no-lint", "--plan") as terminal:
        assert terminal.end() == 0
    assert left(live) == []


def test_next_plan_deletes_abandoned_change_set(begin, here, live, silent_aws):
    assert here("deploy-registry", "--name", "images", "--yes", "--no-lint").code == 0
    change = ("deploy-registry", "--name", "images", "--tag", "team=one", "--no-lint")
    aws = silent_aws("CreateChangeSet")
    with begin(*change, AWS_ENDPOINT_URL=aws.url) as terminal:
        assert aws.asked.wait(LIMIT)
        terminal.send(signal.SIGKILL)
        terminal.end()
    assert left(live)

    with begin(*change, "--plan") as terminal:
        assert terminal.end() == 0
    assert left(live) == []


@pytest.mark.parametrize("command", [("up", "program.py"), ("deploy-registry", "--name", "images")])
@pytest.mark.usefixtures("fleet", "registries")
def test_ctrl_c_while_planning_leaves_nothing(begin, live, silent_aws, command):
    aws = silent_aws("DescribeChangeSet")
    with begin(*command, "--no-lint", AWS_ENDPOINT_URL=aws.url) as terminal:
        assert aws.asked.wait(LIMIT)
        terminal.interrupt()
        assert terminal.end(SOON) == 130
    assert errors(terminal) == [UNCHANGED]
    assert terminal.is_cursor_visible
    with begin(*command, "--no-lint", "--plan") as terminal:
        assert terminal.end() == 0
    assert left(live) == []


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        (("deploy-fleet", "fleet.yaml"), "GetCallerIdentity"),
        (("up", "program.py"), "DescribeStacks"),
        (("down", "program.py"), "DescribeStacks"),
    ],
)
@pytest.mark.usefixtures("fleet", "registries")
def test_first_line_precedes_first_reply_of_aws(begin, silent_aws, command, operation):
    aws = silent_aws(operation)
    with begin(*command, AWS_ENDPOINT_URL=aws.url) as terminal:
        terminal.wait_for("checking 8 stacks …")
        assert aws.asked.wait(LIMIT)
        terminal.interrupt()
        assert terminal.end(SOON) == 130
    assert errors(terminal) == [UNCHANGED]


@pytest.mark.parametrize("command", [("deploy-fleet", "fleet.yaml"), ("up", "program.py")])
@pytest.mark.usefixtures("fleet", "registries")
def test_ctrl_c_while_deploying_prints_one_line(begin, live, server, account_id, command):
    server.delays[account_id] = 3.0
    with begin(*command, "--no-lint", **SLOW) as terminal:
        terminal.answer("y")
        terminal.wait_for("CREATE_IN_PROGRESS")
        terminal.interrupt()
        assert terminal.end(SOON) == 130
    (error,) = errors(terminal)
    assert error.startswith("error: interrupted; of 8 stacks ")
    assert "AWS may continue with " in error
    assert "had not begun" not in terminal.text
    assert terminal.is_cursor_visible
    assert left(live) == []


def test_ctrl_c_while_deleting_says_that_aws_continues(begin, here, server, account_id):
    assert here("deploy-registry", "--name", "images", "--yes", "--no-lint").code == 0
    server.delays[account_id] = 3.0
    with begin("delete", "images") as terminal:
        terminal.answer("y")
        terminal.wait_for("DELETE_IN_PROGRESS")
        terminal.interrupt()
        assert terminal.end(SOON) == 130
    assert errors(terminal) == ["error: stopped following: AWS continues to delete stack images"]
    assert terminal.is_cursor_visible


def test_signal_with_blocked_terminal_ends_process(begin, server, account_id, fleet):
    server.delays[account_id] = 3.0
    with begin("deploy-fleet", str(fleet), "--no-lint") as terminal:
        terminal.answer("y")
        terminal.wait_for("CREATE_IN_PROGRESS")
        terminal.fill()
        terminal.send(signal.SIGTERM)
        terminal.process.join(SOON)
        assert terminal.process.exitcode == 130


@pytest.mark.usefixtures("slow_aws")
def test_fleet_in_slow_resized_terminal_ends_by_itself(begin, fleet):
    with begin("deploy-fleet", str(fleet), "--concurrency", "8", "--no-lint", **SLOW) as terminal:
        terminal.answer("y")
        for size in ((20, 60), (50, 160), (40, 120)):
            seen = len(terminal.written)
            terminal.resize(*size)
            terminal.wait_for("Repo", after=seen)
        assert terminal.end() == 0
    assert "8 stacks: 8 done" in terminal.text
    assert terminal.is_cursor_visible


@pytest.mark.usefixtures("slow_aws")
def test_program_in_slow_terminal_ends_by_itself(begin, registries):
    for command, reply in (("up", "y"), ("down", "y")):
        with begin(command, str(registries), "--concurrency", "8", **SLOW) as terminal:
            terminal.answer(reply)
            assert terminal.end() == 0
        assert terminal.is_cursor_visible
