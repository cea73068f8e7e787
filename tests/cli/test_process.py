"""The installed program as a process: signals, streams, and the sandbox in the background."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

URL = "https://github.com/exasol/script-languages-release"
CREDENTIALS = (
    "deploy-source-credentials",
    *("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token", "--yes", "--no-lint"),
)
RELEASE = ("deploy-release-build", "--project", "Slc", "--project-url", URL, "--yes", "--no-lint")

pytestmark = pytest.mark.live


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "exasol_ci_setup", *arguments]


class Shell:
    """Runs the program with its own sandbox."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("EXASOL_CI_SETUP")},
            "EXASOL_CI_SETUP_SANDBOX_DIR": str(folder / "sandbox"),
            "HOME": str(folder),
        }
        self.folder = folder

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(*arguments),
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    shell.run("sandbox", "stop")


@pytest.fixture
def in_account(tmp_path, server, account_id):
    """Runs the program with an account in the sandbox of this process; tests can pause its operations."""
    shell = Shell(tmp_path)
    shell.environment |= {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
    }
    return shell


def until(process: subprocess.Popen[str], words: str) -> str:
    """Read stderr of the process until it contains `words`."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    pytest.fail(f"{words!r} never came:\n{said}")


def test_first_command_starts_sandbox_and_next_keeps_state(shell):
    first = shell.run("--sandbox", *CREDENTIALS)
    second = shell.run("list", EXASOL_CI_SETUP_SANDBOX="1")

    assert first.returncode == 0, first.stderr
    assert "starting the sandbox" in first.stderr
    assert "SLCSourceCredentials" in second.stdout
    assert "starting the sandbox" not in second.stderr


def test_rerun_after_kill_follows_operation(in_account, operations):
    operations.hold()
    process = in_account.begin(*RELEASE)
    until(process, "CREATE_IN_PROGRESS")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (stack,) = json.loads(f"[{in_account.run('status', '--output', 'json').stdout}]")
    assert stack["status"] == "CREATE_IN_PROGRESS"

    again = in_account.begin(*RELEASE)
    until(again, "following the operation in progress")
    operations.release()
    stdout, stderr = again.communicate()

    assert again.returncode == 0, stderr
    assert "CREATE_COMPLETE       SlcRelease" in stderr
    assert "SlcReleaseCodeBuild" in stdout
    (after,) = json.loads(f"[{in_account.run('status', '--output', 'json').stdout}]")
    assert after["id"] == stack["id"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_creation_exits_130_with_watch_hint(in_account, operations, number):
    operations.hold()
    process = in_account.begin(*RELEASE)
    until(process, "CREATE_IN_PROGRESS")

    process.send_signal(number)
    _, said = process.communicate()

    assert process.returncode == 130
    assert "AWS continues with stack SlcRelease" in said
    assert "watch SlcRelease" in said
    assert "Traceback" not in said

    operations.release()
    watched = in_account.run("watch", "SlcRelease")

    assert watched.returncode == 0
    assert "stack SlcRelease succeeded (CREATE_COMPLETE)" in watched.stderr


def test_closed_pipe_gives_no_traceback(shell):
    printing = command("validate-ci-build", "--offline", "--print-template", "--project", "P", "--project-url", URL)
    piped = subprocess.run(
        ["sh", "-c", f"{shlex.join(printing)} | head -1"],
        env=shell.environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "Traceback" not in piped.stderr
    assert piped.stdout.count("\n") == 1


@pytest.mark.parametrize(("redirection", "code"), [("<&-", 2), (">&-", 0), ("2>&-", 0), (">/dev/full", 1)])
def test_closed_or_full_stream_gives_no_traceback(in_account, redirection, code):
    in_account.run(*RELEASE)
    asking = [each for each in RELEASE if each != "--yes"] if redirection == "<&-" else ["status"]
    words = shlex.join(command(*asking, *(["--tag", "a=b"] if redirection == "<&-" else [])))

    ran = subprocess.run(
        ["sh", "-c", f"{words} {redirection}"], env=in_account.environment, capture_output=True, text=True, check=False
    )

    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    if redirection == ">/dev/full":
        assert "writing to stdout failed" in ran.stderr


def test_closed_pipe_does_not_stop_deployment(in_account):
    deploying = shlex.join(command(*RELEASE, "--output", "json"))

    subprocess.run(["sh", "-c", f"{deploying} | head -1"], env=in_account.environment, capture_output=True, check=True)

    assert "CREATE_COMPLETE" in in_account.run("status").stdout


def test_sandbox_ignores_aws_configuration_of_user(shell):
    (shell.folder / "broken").write_text("this is no configuration [")

    ran = shell.run("--sandbox", "list", AWS_PROFILE="nosuch", AWS_CONFIG_FILE=str(shell.folder / "broken"))

    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("page", [b"<html>log in first</html>", b"not xml"])
@pytest.mark.parametrize("status", [200, 403, 502])
def test_endpoint_that_is_not_aws_is_reported(shell, page, status):
    class Page(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if b"html" in page else "text/plain")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as portal:
        Thread(target=portal.serve_forever, daemon=True).start()
        ran = shell.run(
            "list",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{portal.server_port}",
            AWS_ACCESS_KEY_ID="x",
            AWS_SECRET_ACCESS_KEY="x",
            AWS_REGION="eu-central-1",
            AWS_MAX_ATTEMPTS="1",
        )
        portal.shutdown()

    assert ran.returncode == 4, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "hint:" in ran.stderr


def test_aws_cli_lists_same_stacks(shell):
    aws = shutil.which("aws", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if aws is None:
        pytest.skip("the AWS CLI is not installed")
    shell.run("--sandbox", *CREDENTIALS)
    environment = json.loads(shell.run("sandbox", "env", "--format", "json").stdout)

    ran = subprocess.run(
        [aws, "cloudformation", "describe-stacks", "--output", "json"],
        env={**shell.environment, **environment},
        capture_output=True,
        text=True,
        check=True,
    )

    (stack,) = json.loads(ran.stdout)["Stacks"]
    assert (stack["StackName"], stack["StackStatus"]) == ("SLCSourceCredentials", "CREATE_COMPLETE")


def test_offline_validation_needs_no_aws_and_home(tmp_path):
    ran = subprocess.run(
        command("validate-ci-build", "--offline", "--project", "Slc", "--project-url", URL),
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert not ran.stdout


def test_wheel_contains_templates_and_schemas(tmp_path):
    root = Path(__file__).parents[2]
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "site", wheel],
        check=True,
    )

    ran = subprocess.run(
        command("validate-release-build", "--offline", "--print-template", "--project", "Slc", "--project-url", URL),
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    package = tmp_path / "site" / "exasol_ci_setup"
    assert (package / "_templates" / "cloudformation").is_dir()
    assert (package / "fleets" / "fleet.schema.json").is_file()
    assert 'Location: "https://github.com/exasol/script-languages-release"' in ran.stdout
