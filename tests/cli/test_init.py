"""`init` as a user runs it: it prints commands, and calls no AWS API."""

from __future__ import annotations

import shlex
import subprocess

import click
import pytest

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    for arguments in (("init", "--quiet"), ("remote", "add", "origin", "git@github.com:Acme/my-shop.git")):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "EXASOL_CI_SETUP_SANDBOX"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def commands(text):
    return [shlex.split(line, comments=True) for line in text.splitlines() if line and not line.startswith("#")]


def parse(words):
    """Parse a printed command by its own options, which fails for an invalid one."""
    command = cli.get_command(click.Context(cli), words[1])
    if isinstance(command, click.Group):
        command, words = command.commands[words[2]], words[1:]
    command.make_context(words[1], words[2:], obj=Session())


def test_defaults_are_those_of_checkout(program):
    ran = program("init")

    assert (ran.code, ran.stderr) == (0, "")
    found = commands(ran.stdout)
    for words in found:
        if words[0] == PROGRAM:
            parse(words)
    assert [PROGRAM, "deploy-ci-build", "--project", "MyShop", "--project-url", "https://github.com/Acme/my-shop"] in [
        words[:6] for words in found
    ]
    assert [words[4] for words in found if words[0] == "aws"] == ["github", "Dockerhub"]
    assert found[-1][:4] == [PROGRAM, "delete", "MyShop", "SLCSourceCredentials"]
    assert all(words[words.index("--region") + 1] == "eu-central-1" for words in found if "--region" in words)


@pytest.mark.parametrize(
    ("more", "expected"),
    [((), "refs/heads/trunk"), (("--project-url", "https://github.com/acme/other"), "refs/heads/main")],
)
def test_started_build_is_of_checked_out_branch(program, checkout, more, expected):
    subprocess.run(["git", "-C", str(checkout), "symbolic-ref", "HEAD", "refs/heads/trunk"], check=True)

    step = next(words for words in commands(program("init", *more).stdout) if "start-ci-build" in words)

    assert step[step.index("--branch") + 1] == expected


def test_files_of_repository_with_dockerfile_build_its_image(program):
    step = next(words for words in commands(program("init").stdout) if "generate-buildspec" in words)
    assert step[2:] == ["--flavor", "app", "--build-command", "docker build ."]

    ran = program(*step[1:])

    assert ran.code == 0
    assert "warning" not in ran.stderr


def test_files_of_repository_with_flavors_build_them(program, checkout):
    (checkout / "flavors" / "one").mkdir(parents=True)
    (checkout / "build_config.json").write_text("{}", encoding="utf-8")
    step = next(words for words in commands(program("init").stdout) if "generate-buildspec" in words)

    assert step[2:] == ["--config-file", "build_config.json"]
    assert program(*step[1:]).code == 0


def test_builds_without_login_need_no_docker_secret(program):
    ran = program("init", "--docker-secret", "none", "--region", "eu-west-1", "--output", "json")

    words = [shlex.split(each, comments=True) for step in ran.records[:-1] for each in step["commands"]]
    assert [each[4] for each in words if each[0] == "aws"] == ["github"]
    assert all(each[-2:] == ["--region", "eu-west-1"] for each in words if "generate-buildspec" not in each)
    assert sum("none" in each for each in words) == 5


def test_sandbox_needs_no_secrets(program):
    ran = program("init", "--sandbox")

    assert ran.code == 0
    assert "aws " not in ran.stdout
    assert all("--sandbox" in words for words in commands(ran.stdout) if "generate-buildspec" not in words)


def test_missing_repository_is_error(tmp_path, monkeypatch, program):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("GIT_DIR", "/dev/null")

    ran = program("init")

    assert (ran.code, ran.stdout) == (2, "")
    assert "--project-url is missing" in ran.stderr


@pytest.mark.live
def test_questions_have_defaults(begin):
    answers = {
        "URL of the repository [https://github.com/Acme/my-shop]: ": "",
        "Name of the project [MyShop]: ": "Shop",
        "Secret for GitHub [github]: ": "",
        "Secret for Docker Hub, or none [Dockerhub]: ": "none",
    }
    with begin("init") as terminal:
        for question, answer in answers.items():
            terminal.wait_for(question)
            terminal.type(f"{answer}\r")
        assert terminal.end() == 0
    assert "deploy-ci-build --project Shop --project-url https://github.com/Acme/my-shop" in terminal.text
