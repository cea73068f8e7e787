"""Commands of `hosted` for a remote host, against a host with nginx and the hosted API."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from click.testing import CliRunner, Result
from keyring.backend import KeyringBackend

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from tests.engine.hosted import KEY, Host, docker, request, until

pytestmark = pytest.mark.engine

# A proxy receives the whole address, so nginx of the test finds the host `example.com` without a name server.
ENVIRONMENT = {"EXASOL_CI_SETUP_HOSTED_URL": "http://example.com", "http_proxy": "http://127.0.0.1"}


class Keyring(KeyringBackend):
    """A keyring of this process."""

    priority = 1.0
    entries: dict[tuple[str, str], str] = {}  # noqa: RUF012 - one for all tests

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture(scope="module", autouse=True)
def key(shared_host: Host) -> Iterator[None]:
    """The key of the host in the keyring, by the command."""
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    (shared_host.folder / "key").write_text(f"{KEY}\n")
    (shared_host.folder / "key").chmod(0o600)
    ran = hosted("login", "--key-file", str(shared_host.folder / "key"))
    assert ran.exit_code == 0, ran.stderr
    yield
    keyring.set_keyring(before)


def hosted(command: str, *arguments: str, stdin: str | None = None, **environment: str) -> Result:
    """Run a command for the host, without TLS."""
    return CliRunner(env={**ENVIRONMENT, **environment}).invoke(
        cli, ["hosted", command, *arguments, "--allow-http"], prog_name=PROGRAM, obj=Session(), input=stdin
    )


def done(command: str, *arguments: str, **environment: str) -> str:
    ran = hosted(command, *arguments, **environment)
    assert ran.exit_code == 0, ran.stderr
    return ran.stdout


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def memory(host: Host, name: str) -> int:
    """Return the memory limit of the newest container of an app; older ones may still answer open requests."""
    return int(docker("inspect", "--format", "{{.HostConfig.Memory}}", host.containers(name)[0]))


def test_login_rejects_wrong_key():
    ran = hosted("login", "--key-file", "-", stdin="wrong")

    assert ran.exit_code == 1
    assert ran.stderr.startswith("error: http://example.com: The secret is wrong\n")
    assert list(Keyring.entries.values()) == [KEY]


def test_app_is_deployed_changed_and_rolled_back(shared_host: Host, tmp_path: Path):
    (tmp_path / "variables").write_text("# for the tests\nGREETING=from-file\n")
    deployed = done("deploy", "demo:1", "--name", "web", "--env-file", str(tmp_path / "variables"), "--memory", "64m")
    assert deployed == "Running on web.example.com!\n"
    assert request("web.example.com").text == "1 prod 8001 from-file -"
    assert memory(shared_host, "web") == 64 << 20

    # The value of a variable in the environment is in no argument.
    done("redeploy", "web", "--image", "demo:2", "--env", "GREETING", GREETING="from-environment")
    assert request("web.example.com").text == "2 prod 8001 from-environment -"
    assert memory(shared_host, "web") == 64 << 20
    done("rollback", "web")
    assert request("web.example.com").text == "1 prod 8001 from-file -"
    done("redeploy", "web", "--unset", "GREETING")
    assert request("web.example.com").text == "1 prod 8001 - -"


def test_apps_are_listed(shared_host: Host):
    shared_host.new("demo:1", "listed")

    assert ["listed", "running", "demo:1", "listed.example.com"] in [line.split() for line in done("list").splitlines()]
    found = records(done("list", "--output", "json"))
    app = next(each for each in found if each.get("name") == "listed")
    assert (app["type"], app["image"], app["running"]) == ("app", "demo:1", True)
    assert app["domains"] == ["listed.example.com"]
    assert (found[-1]["type"], found[-1]["status"]) == ("result", "listed")


def test_app_is_shown_with_its_releases():
    done("deploy", "demo:1", "--name", "shown", "--env", "GREETING=a-secret", "--memory", "64m")
    done("redeploy", "shown", "--image", "demo:2", "--unset", "GREETING")

    lines = dict(line.split(maxsplit=1) for line in done("get", "shown").splitlines())
    assert (lines["health"], lines["memory"], lines["domains"]) == ("healthy", "64m", "shown.example.com")
    assert records(done("get", "shown", "--output", "json"))[0]["memory"] == 64 << 20
    table = [line.split() for line in done("releases", "shown").splitlines()]
    assert [(row[:2], row[-2:]) for row in table[1:]] == [
        (["2", "(current)"], ["image,", "GREETING"]),
        (["1", table[2][1]], ["UTC", "demo:1"]),
    ]
    first, second, ended = records(done("releases", "shown", "--output", "json"))
    assert (first["type"], first["number"], first["image"], first["is_current"]) == ("release", 2, "demo:2", True)
    assert (second["number"], second["changes"], ended["releases"]) == (1, [], 2)


def test_app_is_stopped_started_and_deleted(shared_host: Host):
    shared_host.new("demo:1", "short")

    done("stop", "short")
    assert ["short", "stopped", "demo:1", "short.example.com"] in [line.split() for line in done("list").splitlines()]
    again = hosted("stop", "short")
    assert (again.exit_code, again.stdout) == (1, "")
    done("run", "short")
    until(lambda: request("short.example.com").status == 200)
    done("delete", "short", "--purge", "--yes")
    assert shared_host.containers("short") == []
    ran = hosted("delete", "short", "--yes")
    assert ran.exit_code == 1
    assert ran.stderr.splitlines() == [
        "error: http://example.com: That container doesn't exist",
        "",
        "hint: `exasol-ci-setup hosted list --url http://example.com` lists the apps and their domains",
    ]


def test_domain_is_added_and_removed(shared_host: Host):
    shared_host.new("demo:1", "named")

    done("add-domain", "named", "own.example.net")
    assert request("own.example.net").text.startswith("1 ")
    done("remove-domain", "named", "own.example.net")
    assert request("own.example.net").status != 200 or not request("own.example.net").text.startswith("1 ")


def test_log_is_printed(shared_host: Host):
    shared_host.new("demo:1", "logged")

    assert done("logs", "logged") == "this is an app\n"
    assert records(done("logs", "logged", "--lines", "1", "--output", "json"))[0]["message"] == "this is an app"


def follow_log(host: Host, name: str) -> subprocess.Popen[str]:
    key_file = str(host.folder / "key")
    return subprocess.Popen(
        host.program("hosted", "logs", name, "-f", "--allow-http", "--key-file", key_file),
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_log_is_followed_until_app_stops(shared_host: Host):
    shared_host.new("demo:1", "followed")
    program = follow_log(shared_host, "followed")
    assert program.stdout is not None
    with program:
        assert program.stdout.readline() == "this is an app\n"
        request("followed.example.com", "/sleep/0")
        assert program.stdout.readline() == "received /sleep/0\n"

        done("stop", "followed")

        assert program.stdout.read() == ""
    assert program.returncode == 0


def test_followed_log_of_running_app_fails_when_service_stops(shared_host: Host):
    shared_host.new("demo:1", "followed")
    program = follow_log(shared_host, "followed")
    assert program.stdout is not None
    with program:
        assert program.stdout.readline() == "this is an app\n"

        assert shared_host.stop() == 0
        shared_host.start("--answer-within", "5s")

        _, said = program.communicate()
    assert program.returncode == 1
    assert said.startswith("error: http://example.com has closed the log of followed\n")
    assert "Traceback" not in shared_host.log.read_text()


def test_failed_deployment_exits_1_with_reason(shared_host: Host):
    ran = hosted("deploy", "broken:1", "--name", "broken")

    assert ran.exit_code == 1
    assert "no configuration" in ran.stderr
    assert shared_host.containers("broken") == []
