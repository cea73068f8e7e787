"""Names of options in messages: those that the user typed."""

from __future__ import annotations

import re

import click
import pytest

from exasol_ci_setup.cli.spelling import typed_name

SPACE = ("space", "create", "--image", "nginx:1")
STORAGE = ("-w", "123", "-s", "my-storage")
INSTANCE = ("deploy-instance", "--name", "a", "--path-to-key", "key.pub", "--instance-type", "t3.micro")
BUILDER = ("deploy-container-builder", "--name", "a", "--plan")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SPACE, "--space-name", "A_"), "--space-name 'A_' is invalid"),
        ((*SPACE, "--space-name=A_"), "--space-name 'A_' is invalid"),
        ((*SPACE, "--name", "A_"), "--name 'A_' is invalid"),
        ((*SPACE, "-n", "A_"), "-n 'A_' is invalid"),
        ((*SPACE, "-nA_"), "-n 'A_' is invalid"),
        ((*SPACE, "-sn", "A_"), "-sn 'A_' is invalid"),
        ((*SPACE, "-n", "a", "-cp", "70000"), "-cp 70000 is invalid"),
        ((*SPACE, "-n", "a", "--container-port", "70000"), "--container-port 70000 is invalid"),
        ((*SPACE, "-n", "a", "-d", "example.com", "--extra-host", "A_"), "--extra-host 'A_' is invalid"),
        ((*SPACE, "-n", "a", "--policy-arn", "x"), "--policy-arn 'x' is invalid"),
        (("storage", "create", "--workspace", "A_", "-s", "b/"), "--workspace 'A_': use .*\n  -s 'b/': use "),
        (("storage", "get-object", *STORAGE, "-src", ""), "-src '' is invalid"),
        (("storage", "put-object", *STORAGE, "--source", __file__, "-dst", ".."), "-dst '..' is invalid"),
        (("registry", "create", "--registry-name", "A_"), "--registry-name 'A_' is invalid"),
        ((*INSTANCE, "--subnet-id", "A_"), "--subnet-id 'A_' is invalid"),
        (
            (*BUILDER, "--bucket-name", "A_", "--repository", "A_"),
            "--bucket-name 'A_': use .*\n  --repository 'A_': use",
        ),
        (("secret", "create", "-n", "a", "-v", "x"), "-v does not accept a secret on the command line"),
    ],
)
def test_invalid_value_is_reported_under_typed_name(here, arguments, message):
    ran = here(*arguments)

    assert ran.code == 2
    assert re.search(message, ran.stderr), ran.stderr


def test_hint_has_typed_name(here):
    ran = here("secret", "create", "-n", "a", "-v", "x")

    assert "hint: use -v - to read it from standard input" in ran.stderr


def test_command_in_hint_keeps_its_options(here):
    ran = here("asset", "create", "-w", "123", "-s", "none", "-o", "x")

    assert "`exasol-ci-setup storage list --workspace-id 123`" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SPACE, "-n", "a", "-cp", "x"), "Invalid value for '-cp': 'x' is not a valid integer."),
        (SPACE, "Missing option '--name'."),
        (("asset", "create", *STORAGE, "-o", "x", "-vis", "all"), "Invalid value for '-vis': 'all' is not one of"),
    ],
)
def test_error_of_parser_names_one_spelling(here, arguments, message):
    ran = here(*arguments)

    assert ran.code == 2
    assert message in ran.stderr


def test_remark_on_option_without_effect_has_typed_name(here):
    ran = here("space", "list", "-rp")

    assert "-rp has no effect" in ran.stderr.splitlines()[0]
    assert "--rich-preview" not in ran.stderr


def test_value_after_separator_is_no_option():
    option = click.Option(["--name", "-n"])

    assert typed_name(option, ["exec", "--name", "web", "--", "sh", "-n"]) == "--name"
    assert typed_name(option, ["exec", "--", "sh", "-n"]) == "--name"
    assert typed_name(option, ["exec", "-n", "web"]) == "-n"
