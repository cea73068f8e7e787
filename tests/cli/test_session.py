"""Options that all commands share."""

from __future__ import annotations

import pytest

from exasol_ci_setup.cli.session import Session


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (Session(), "to watch it: `exasol-ci-setup watch Slc`"),
        (Session(sandbox=True), "to watch it: `exasol-ci-setup watch Slc --sandbox`"),
        (
            Session(profile="my profile", region="eu-west-1"),
            "to watch it: `exasol-ci-setup watch Slc --region eu-west-1 --aws-profile 'my profile'`",
        ),
    ],
)
def test_command_in_hint_gets_global_options(session, expected):
    assert session.with_global_options("to watch it: `exasol-ci-setup watch Slc`") == expected


def test_aws_command_in_hint_gets_aws_options(live):
    session = Session(profile="p", region="eu-west-1")
    in_the_sandbox = Session(sandbox=True)
    in_the_sandbox.__dict__["account"] = live

    assert (
        session.with_global_options("`aws cloudformation x`") == "`aws cloudformation x --region eu-west-1 --profile p`"
    )
    assert in_the_sandbox.with_global_options("`aws s3 ls`") == f"`aws s3 ls --endpoint-url {live.endpoint_url}`"


def test_hint_does_not_start_sandbox():
    session = Session(sandbox=True)

    assert session.with_global_options("`aws s3 ls`") == "`aws s3 ls`"
    assert "account" not in session.__dict__


def test_options_of_environment_are_not_added(monkeypatch):
    monkeypatch.setenv("EXASOL_CI_SETUP_SANDBOX", "1")

    assert Session(sandbox=True).with_global_options("`exasol-ci-setup watch Slc`") == "`exasol-ci-setup watch Slc`"


@pytest.mark.parametrize(
    "text",
    [
        "`aws configure` or `aws sso login`",
        "`exasol-ci-setup sandbox start`",
        "`exasol-ci-setup generate-buildspec`",
        "give --region",
    ],
)
def test_other_commands_are_unchanged(text):
    assert Session(sandbox=True, region="eu-west-1").with_global_options(text) == text


def test_existing_options_are_not_added():
    session = Session(sandbox=True, region="eu-west-1")

    completed = session.with_global_options("`exasol-ci-setup watch Slc --region eu-central-1`")

    assert completed == "`exasol-ci-setup watch Slc --region eu-central-1 --sandbox`"


def test_hint_works_for_region_of_stack(here):
    ran = here("status", "Nowhere", "--region", "eu-central-1")

    assert "`exasol-ci-setup list --region eu-central-1`" in ran.stderr


def test_sign_in_hint_names_profile():
    session = Session(profile="my profile", region="eu-west-1")

    assert session.with_global_options("`aws sso login`") == "`aws sso login --profile 'my profile'`"


def test_missing_sso_token_is_one_error_without_log(program, tmp_path, monkeypatch):
    (tmp_path / "config").write_text(
        "[profile sso]\nregion = eu-central-1\nsso_session = my\nsso_account_id = 123456789012\nsso_role_name = x\n"
        "[sso-session my]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-central-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))

    ran = program("list", "--aws-profile", "sso")

    assert ran.code == 4
    assert "WARNING" not in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "`aws sso login --profile sso`" in ran.stderr
