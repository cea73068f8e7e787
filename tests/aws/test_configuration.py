"""Invalid AWS configuration of a machine, as botocore reports it."""

from __future__ import annotations

import os
import traceback

import pytest

from exasol_ci_setup.aws.session import connect, translate_aws_errors
from exasol_ci_setup.core.errors import CredentialsInvalidError, RegionMissingError
from tests.ports import free_port

SECRET = "s3cr3t"
KEYS = "aws_access_key_id = a\naws_secret_access_key = b\n"
OUTPUT = f'{{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "{SECRET}", "SessionToken": "t"'


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Return a function that writes a profile p, with a credential process that prints `output` if that is given."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    def write(settings: str = "", *, output: str | None = None, code: int = 0) -> None:
        if output is not None:
            program = tmp_path / "process"
            program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\necho {SECRET} >&2\nexit {code}\n")
            program.chmod(0o700)
            settings = f"credential_process = {program}"
        (tmp_path / "config").write_text(f"[profile p]\nregion = eu-central-1\n{settings}\n")

    return write


def failure(profile: str | None = "p") -> CredentialsInvalidError:
    """Return the error of a call with the profile. No test sends a request."""
    with pytest.raises(CredentialsInvalidError) as caught, translate_aws_errors():
        connect(profile, "eu-central-1").client("cloudformation").list_stacks()
    error = caught.value
    everything = f"{error.hint} {''.join(traceback.format_exception(error))}"
    assert SECRET not in everything
    assert error.exit_code == 4
    assert "\n" not in error.message
    return error


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (f"not json {SECRET}", 0),
        ("", 0),
        (f'["{SECRET}"]', 0),
        (f'{OUTPUT}, "Expiration": "{SECRET}"}}', 0),
        (OUTPUT.replace('"Version": 1', '"Version": 2') + "}", 0),
        (f'{{"Version": 1, "SecretAccessKey": "{SECRET}"}}', 0),
        (SECRET, 3),
    ],
)
def test_credential_process_without_credentials_is_named(configure, output, code):
    configure(output=output, code=code)

    error = failure()

    assert "credential_process of profile 'p'" in error.message
    assert "/process'" in error.message
    assert ("exited with code 3" in error.message) == (code == 3)
    assert "`aws configure get credential_process --profile p`" in error.hint


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("credential_process = corp-login --x", "No such file"),
        ("credential_process = {here}/config", "Permission denied"),
        ("credential_process = /bin/echo 'open", "No closing quotation"),
        ("role_arn = arn:aws:iam::123456789012:role/x\nweb_identity_token_file = /nonexistent/token", "No such file"),
        (f"{KEYS}endpoint_url = 127.0.0.1:4566", "Invalid endpoint"),
    ],
)
def test_invalid_setting_of_profile_is_named_with_its_value(configure, tmp_path, setting, reason):
    configure(setting.format(here=tmp_path))
    name, value = setting.splitlines()[-1].format(here=tmp_path).split(" = ")

    error = failure()

    assert reason in error.message
    assert f"{name} of profile 'p' is {value!r}" in error.message
    assert f"`aws configure get {name} --profile p`" in error.hint


@pytest.mark.parametrize(
    ("name", "value", "others"),
    [
        ("AWS_ENDPOINT_URL", "127.0.0.1:4566", {}),
        ("AWS_ENDPOINT_URL", "http://localhost:abc", {}),
        ("AWS_ENDPOINT_URL", "http://", {}),
        ("AWS_ENDPOINT_URL", "ftp://localhost", {}),
        ("AWS_ENDPOINT_URL", "http://[::1", {}),
        ("AWS_ENDPOINT_URL_CLOUDFORMATION", "127.0.0.1:1", {}),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent", {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x", {}),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "/nonexistent",
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x"},
        ),
        ("AWS_METADATA_SERVICE_TIMEOUT", "abc", {"AWS_EC2_METADATA_DISABLED": "false"}),
    ],
)
def test_invalid_variable_is_named_with_its_value(configure, monkeypatch, name, value, others):
    configure()
    if "ENDPOINT" in name:
        others = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for each, text in {name: value, **others}.items():
        monkeypatch.setenv(each, text)

    error = failure(None)

    assert f"({name} is {value!r})" in error.message
    assert f"`unset {name}`" in error.hint


def test_token_with_line_break_is_named_without_its_value(configure, monkeypatch):
    configure()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", f"{SECRET}\nb")

    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" in failure(None).message


def test_session_token_with_line_break_is_not_shown(configure, monkeypatch):
    configure()
    values = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": f"{SECRET}\nb"}
    for name, value in {**values, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}.items():
        monkeypatch.setenv(name, value)

    assert "line break" in failure(None).message


def test_exception_of_other_code_is_not_translated():
    with pytest.raises(ZeroDivisionError), translate_aws_errors():
        raise ZeroDivisionError


def test_missing_region_of_profile_has_one_command_as_hint(configure, tmp_path):
    configure()
    (tmp_path / "config").write_text("[profile 'my profile']\noutput = json\n")

    with pytest.raises(RegionMissingError) as caught:
        connect("my profile")

    assert "`aws configure set region eu-central-1 --profile 'my profile'`" in caught.value.hint


def test_file_that_cannot_be_parsed_is_named_in_hint(configure, tmp_path):
    configure()
    (tmp_path / "config").write_text("[profile p\n")

    assert str(tmp_path / "config") in failure(None).hint
