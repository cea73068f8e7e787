"""Command group `secret`: sources of values, and outputs that must not contain them."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

VALUE = "t0p-s3cr3t"


@pytest.fixture
def run(live, server):
    """Start the program as a process that uses the sandbox; `keys` are environment variables."""
    keys = live.session.get_credentials()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_REGION": live.region,
        "AWS_ENDPOINT_URL": server.url,
    }

    def start(*arguments: str, **more) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "exasol_ci_setup", "secret", *arguments],
            env=environment,
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
        )

    return start


def test_only_get_prints_value_of_stdin(run, live):
    creating = run("create", "--name", "a", "--value", "-", "--log-level", "debug")
    # The process waits for its input now, or soon.
    seen = [Path(f"/proc/{creating.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    out, err = creating.communicate(f"{VALUE}\n".encode())
    listing = run("list", "--log-level", "debug", "--output", "json")
    deleting_nothing = run("delete", "--name", "b", "--yes", "--log-level", "debug")
    again = run("create", "--name", "a", "--value", "-", "--log-level", "debug")
    got = run("get", "--name", "a", "--log-level", "debug")
    *others, (value, shown) = (
        process.communicate(VALUE.encode()) for process in (listing, deleting_nothing, again, got)
    )

    assert creating.returncode == 0
    assert b"secretsmanager CreateSecret" in err
    assert value == VALUE.encode()
    assert got.returncode == 0
    for text in (*seen, out, err, shown, *(stream for pair in others for stream in pair)):
        assert VALUE.encode() not in text
    cfn = live.client("cloudformation")
    assert cfn.describe_stacks()["Stacks"] == []


def test_terminal_prompts_for_hidden_value(run):
    theirs, ours = pty.openpty()
    process = run("create", "--name", "a", stdin=ours, stdout=ours, stderr=ours)
    os.close(ours)
    shown = b""
    for question in (b"Value: ", b"confirmation: "):
        while question not in shown:
            shown += os.read(theirs, 1024)
        os.write(theirs, f"{VALUE}\n".encode())
    try:
        while more := os.read(theirs, 1024):
            shown += more
    except OSError:
        pass
    os.close(theirs)

    assert process.wait() == 0
    assert VALUE.encode() not in shown
    assert run("get", "--name", "a").communicate()[0] == VALUE.encode()


@pytest.mark.parametrize("arguments", [["--value", VALUE], ["-v", VALUE], [f"--value={VALUE}"], [f"-v{VALUE}"]])
def test_value_as_argument_exits_2_with_reason(here, arguments):
    ran = here("secret", "create", "--name", "a", *arguments)

    assert ran.code == 2
    assert "other users can see it in the list of processes" in ran.stderr
    assert re.search("use (--value|-v) - to read it from standard input", ran.stderr)
    assert VALUE not in ran.stderr
    assert "no secrets in" in here("secret", "list").stderr


@pytest.mark.parametrize("command", [["create", "--name", "a"], ["bulk-create"]])
def test_unexpected_argument_is_not_printed(here, command):
    ran = here("secret", *command, VALUE)

    assert ran.code == 2
    assert VALUE not in ran.stderr


def test_bulk_values_as_argument_exit_2(here):
    ran = here("secret", "bulk-create", "--secrets", f'{{"a": "{VALUE}"}}')

    assert ran.code == 2
    assert VALUE not in ran.stderr


def test_file_is_stored_unchanged(here, tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\x00\n")
    here("secret", "create", "--name", "a", "--file", str(tmp_path / "key"))

    ran = here("secret", "get", "--name", "a", "--output", "json")

    assert base64.b64decode(ran.records[0]["value_base64"]) == b"\xff\x00\n"


@pytest.mark.parametrize(
    ("given", "kept"), [(b"a\n", b"a"), (b"a\r\n", b"a"), (b"a\n\n", b"a\n"), (b"a", b"a"), (b"\xff\n", b"\xff\n")]
)
def test_last_line_break_of_stdin_is_removed(run, given, kept):
    run("create", "--name", "a", "--value", "-").communicate(given)

    assert run("get", "--name", "a").communicate()[0] == kept


def test_bulk_create_reads_file_or_stdin(here, tmp_path, run):
    (tmp_path / ".env").write_text("A=1\nB='2 3'\n")

    assert here("secret", "bulk-create", "--file", str(tmp_path / ".env")).code == 0
    run("bulk-create", "--file", "-").communicate(b'{"c": "4"}')
    run("bulk-create", "--secrets", "-").communicate(b'[{"name": "d", "value": "5"}]')
    assert here("secret", "list").stdout.split() == ["NAME", "A", "B", "c", "d"]


def test_invalid_file_creates_nothing(here, tmp_path):
    (tmp_path / ".env").write_text(f"A=1\n{VALUE}\n")

    ran = here("secret", "bulk-create", "--file", str(tmp_path / ".env"))

    assert ran.code == 2
    assert "line 2 of the secrets is invalid" in ran.stderr
    assert VALUE not in ran.stderr
    assert here("secret", "list").stdout == ""


def test_delete_prompts_without_yes(here, run):
    run("create", "--name", "a", "--value", "-").communicate(VALUE.encode())

    asked = here("secret", "delete", "--name", "a")
    assert (asked.code, "--yes" in asked.stderr) == (2, True)

    ran = here("secret", "delete", "--name", "a", "--yes", "--output", "json")
    assert ran.code == 0
    assert ran.records[-1]["status"] == "deleted"
    assert here("secret", "get", "--name", "a").code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["get", "--name", "a"], 1, "secret 'a' does not exist"),
        (["get", "--name", "a b"], 2, "invalid name of a secret"),
        (["create", "--name", "a"], 2, "the value is needed, but there is no terminal"),
        (["create", "--name", "a", "--file", "/nowhere"], 2, "/nowhere cannot be read: No such file"),
        (["create", "--name", "a", "--file", "/x", "--value", "-"], 2, "contradict"),
        (["create"], 2, "--name"),
        (["bulk-create"], 2, "--file PATH or --secrets -"),
    ],
)
def test_invalid_secret_options_give_one_line_and_code(here, arguments, code, says):
    ran = here("secret", *arguments)

    assert ran.code == code
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_set_replaces_value_and_names_spaces(here, run):
    run("create", "--name", "k", "--value", "-").communicate(b"one")
    here("space", "create", "--name", "web", "--image", "nginx:1", "--secret", "X=k")
    refused = run("create", "--name", "k", "--value", "-").communicate(b"two")[1]

    setting = run("set", "-n", "k", "--value", "-", "--output", "json")
    out, err = setting.communicate(VALUE.encode())

    assert b"`exasol-ci-setup secret set --name k` replaces its value" in refused
    assert setting.returncode == 0
    assert b"space web reads it with its next tasks: `exasol-ci-setup space restart --name web`" in err
    assert json.loads(out.splitlines()[-1])["spaces"] == ["web"]
    assert VALUE.encode() not in out + err
    assert run("get", "--name", "k").communicate()[0] == VALUE.encode()
