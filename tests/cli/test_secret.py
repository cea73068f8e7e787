"""Command group `secret`: sources of values, and outputs that must not contain them."""

from __future__ import annotations

import base64
import os
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


@pytest.fixture
def given(program, live):
    """Run the program in this process; its standard input is `stdin`."""

    def run(*arguments: str, stdin: str | bytes):
        return program("secret", *arguments, account=live, stdin=stdin)

    return run


def test_only_get_prints_value_of_stdin(run, given, live):
    creating = run("create", "--name", "a", "--value", "-", "--log-level", "debug")
    # The process waits for its input now, or soon.
    seen = [Path(f"/proc/{creating.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    out, err = creating.communicate(f"{VALUE}\n".encode())
    got = run("get", "--name", "a", "--log-level", "debug")
    value, shown = got.communicate()
    others = [
        given(*words, "--log-level", "debug", stdin=VALUE)
        for words in (
            ("list", "--output", "json"),
            ("delete", "--name", "b", "--yes"),
            ("create", "--name", "a", "--value", "-"),
        )
    ]

    assert creating.returncode == 0
    assert b"secretsmanager CreateSecret" in err
    assert value == VALUE.encode()
    assert got.returncode == 0
    assert [ran.code for ran in others] == [0, 1, 1]
    assert "secretsmanager ListSecrets" in others[0].stderr
    for text in (*seen, out, err, shown, *(stream.encode() for ran in others for stream in (ran.stdout, ran.stderr))):
        assert VALUE.encode() not in text
    cfn = live.client("cloudformation")
    assert cfn.describe_stacks()["Stacks"] == []


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


def test_file_is_stored_and_printed_unchanged(here, run, tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\x00\n")
    here("secret", "create", "--name", "a", "--file", str(tmp_path / "key"))

    ran = here("secret", "get", "--name", "a", "--output", "json")

    assert base64.b64decode(ran.records[0]["value_base64"]) == b"\xff\x00\n"
    assert run("get", "--name", "a").communicate()[0] == b"\xff\x00\n"


@pytest.mark.parametrize(
    ("typed", "kept"), [(b"a\n", b"a"), (b"a\r\n", b"a"), (b"a\n\n", b"a\n"), (b"a", b"a"), (b"\xff\n", b"\xff\n")]
)
def test_last_line_break_of_stdin_is_removed(given, here, typed, kept):
    assert given("create", "--name", "a", "--value", "-", stdin=typed).code == 0

    stored = here("secret", "get", "--name", "a", "--output", "json").records[0]
    assert (
        base64.b64decode(stored["value_base64"]) == kept
        if "value_base64" in stored
        else stored["value"] == kept.decode()
    )


def test_bulk_create_reads_file_or_stdin(here, given, tmp_path):
    (tmp_path / ".env").write_text("A=1\nB='2 3'\n")

    assert here("secret", "bulk-create", "--file", str(tmp_path / ".env")).code == 0
    assert given("bulk-create", "--file", "-", stdin='{"c": "4"}').code == 0
    assert given("bulk-create", "--secrets", "-", stdin='[{"name": "d", "value": "5"}]').code == 0
    assert here("secret", "list").stdout.split() == ["NAME", "A", "B", "c", "d"]


def test_invalid_file_creates_nothing(here, tmp_path):
    (tmp_path / ".env").write_text(f"A=1\n{VALUE}\n")

    ran = here("secret", "bulk-create", "--file", str(tmp_path / ".env"))

    assert ran.code == 2
    assert "line 2 of the secrets is invalid" in ran.stderr
    assert VALUE not in ran.stderr
    assert here("secret", "list").stdout == ""


def test_delete_prompts_without_yes(here, given):
    given("create", "--name", "a", "--value", "-", stdin=VALUE)

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


def test_set_replaces_value_and_names_spaces(here, given):
    given("create", "--name", "k", "--value", "-", stdin="one")
    here("space", "create", "--name", "web", "--image", "nginx:1", "--secret", "X=k")
    refused = given("create", "--name", "k", "--value", "-", stdin="two")

    setting = given("set", "-n", "k", "--value", "-", "--output", "json", stdin=VALUE)

    assert "`exasol-ci-setup secret set --name k` replaces its value" in refused.stderr
    assert setting.code == 0
    assert "space web reads it with its next tasks: `exasol-ci-setup space restart --name web`" in setting.stderr
    assert setting.records[-1]["spaces"] == ["web"]
    assert VALUE not in setting.stdout + setting.stderr
    assert here("secret", "get", "--name", "k").stdout == VALUE
