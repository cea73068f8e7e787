"""Completion of commands and options in a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from exasol_ci_setup.cli.commands.completion import SHELLS
from exasol_ci_setup.cli.main import COMMANDS, PROGRAM


def completed(*words: str, **variables: str) -> list[str]:
    """What bash would be offered for the last of these words, by the program as a process."""
    environment = {
        **os.environ,
        **variables,
        "_EXASOL_CI_SETUP_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join([PROGRAM, *words]),
        "COMP_CWORD": str(len(words)),
    }
    code = "from exasol_ci_setup.cli.main import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert not ran.stderr
    return [line.partition(",")[2] for line in ran.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_own_script(program, shell):
    ran = program("completion", shell)

    assert ran.code == 0
    assert "_EXASOL_CI_SETUP_COMPLETE" in ran.stdout
    assert f"{shell}_complete" in ran.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_accepts_script(program, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    ran = subprocess.run([shell, "-n"], input=program("completion", shell).stdout, text=True, check=False)

    assert ran.returncode == 0


def test_unknown_shell_is_bad_usage(program):
    assert program("completion", "csh").code == 2


def test_names_of_commands_are_completed():
    assert completed("deploy-ci") == ["deploy-ci-build"]
    assert set(completed("")) >= {name for section in COMMANDS.values() for name, _, _ in section}


def test_options_and_their_values_are_completed():
    assert "--project-url" in completed("deploy-ci-build", "--proj")
    assert completed("deploy-ci-build", "--on-failure", "ke") == ["keep"]


def test_commands_of_group_are_completed():
    assert completed("sandbox", "sta") == ["start", "status"]


def test_completion_of_command_imports_none():
    code = (
        "import sys; from exasol_ci_setup.cli.main import cli; import click\n"
        "found = cli.shell_complete(click.Context(cli), 'deploy')\n"
        "assert len(found) > 5\n"
        "print([name for name in sys.modules if name.startswith('exasol_ci_setup.cli.') and name.endswith('deploy')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


@pytest.mark.live
def test_names_of_stacks_are_completed(live, server, account_id, here):
    assert here("deploy-registry", "--name", "images", "--yes", "--no-lint").code == 0
    live.client("cloudformation").create_stack(
        StackName="registry-theirs", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )
    account = {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": account_id, "AWS_SECRET_ACCESS_KEY": "test"}
    (name,) = here("list").stdout.splitlines()[1].split()[:1]

    assert completed("status", "", AWS_REGION="eu-central-1", **account) == [name]
    assert completed("status", "--region", "eu-west-1", "", AWS_REGION="eu-central-1", **account) == []


def test_missing_sandbox_is_not_started_for_completion(tmp_path):
    assert completed("status", "", EXASOL_CI_SETUP_SANDBOX="1", EXASOL_CI_SETUP_SANDBOX_DIR=str(tmp_path / "x")) == []
    assert not (tmp_path / "x").exists()
