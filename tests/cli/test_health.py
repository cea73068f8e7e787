"""`health` as text and JSON, and secrets that it never shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from exasol_ci_setup.aws.session import Account
from exasol_ci_setup.health import SUBJECTS, permissions
from tests.answers import ACCOUNT_ID, AwsError

ROOT = Path(__file__).parents[2]
ARN = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT_ID}:secret:Dockerhub-abcdef"
USER, TOKEN = "the-user-of-docker", "the-token-of-docker"
ROLE = {"Path": "/", "RoleName": "r", "RoleId": "AROA" * 4, "Arn": "arn:aws:iam::1:role/r", "CreateDate": 0}
CODES = [subject.code for subject in SUBJECTS]


@pytest.fixture
def account(answers, monkeypatch, tmp_path):
    """An account without problems, except for CodeBuild's access to GitHub, on a machine without Docker."""
    answers.on(
        "sts", "GetCallerIdentity", {"Account": ACCOUNT_ID, "Arn": f"arn:aws:iam::{ACCOUNT_ID}:user/jo", "UserId": "A"}
    )
    answers.on("cloudformation", "DescribeStacks", AwsError("ValidationError", "Stack does not exist"))
    answers.on("codebuild", "ListProjects", {"projects": []})
    answers.on("codebuild", "ListSourceCredentials", {"sourceCredentialsInfos": []})
    answers.on("iam", "GetRole", {"Role": ROLE})
    answers.on("secretsmanager", "DescribeSecret", {"ARN": ARN, "Name": "Dockerhub"})
    answers.on(
        "secretsmanager",
        "GetSecretValue",
        {"ARN": ARN, "SecretString": json.dumps({"User": USER, "AccessToken": TOKEN})},
    )
    (tmp_path / "aws").write_text("#!/bin/sh\necho aws-cli/2.30.1 Python/3.13\n", encoding="utf-8")
    (tmp_path / "aws").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    return answers.account


def codes(text):
    return re.findall(r"^\w+ +(E-CI-\d+)", text, re.MULTILINE)


def same_everywhere(text, tmp_path):
    """What is this machine's own, replaced."""
    text = re.sub(r"exasol-ci-setup \S+, Python \S+ on \w+ \w+", "VERSIONS", text)
    return text.replace(str(tmp_path), "PATH")


def test_checks_are_aligned_list_with_fixes(program, account, tmp_path):
    ran = program("health", account=account)

    assert ran.code == 0
    assert (
        same_everywhere(ran.stdout, tmp_path)
        == f"""\
ok       E-CI-01  platform and Python  VERSIONS
ok       E-CI-02  AWS CLI              aws-cli/2.30.1 at PATH/aws
ok       E-CI-03  AWS profile          not set: the default credential chain of AWS is used
ok       E-CI-04  AWS region           eu-central-1
ok       E-CI-05  AWS credentials      arn:aws:iam::{ACCOUNT_ID}:user/jo in account {ACCOUNT_ID}
ok       E-CI-06  clock                within a minute of AWS
ok       E-CI-07  CloudFormation       answers in eu-central-1 and allows cloudformation:DescribeStacks
ok       E-CI-08  CodeBuild            answers in eu-central-1 and allows codebuild:ListProjects
ok       E-CI-09  Secrets Manager      answers in eu-central-1 and allows secretsmanager:DescribeSecret
ok       E-CI-10  Docker secret        secret 'Dockerhub' has the keys User and AccessToken
warning  E-CI-11  source credentials   CodeBuild has no access to GitHub in eu-central-1: \
deploy-ci-build needs --connection-arn
                  fix: run `exasol-ci-setup deploy-source-credentials --secret-name github --secret-user-key user \
--secret-token-key token`, or pass --connection-arn to deploy-ci-build
ok       E-CI-12  templates            all 12 of them render, and cfn-lint finds nothing for eu-central-1
warning  E-CI-13  Docker engine        the Docker engine at tcp://127.0.0.1:9 cannot be used: Connection refused
                  fix: install and start Docker, or select another engine with DOCKER_HOST or `docker context use`; \
`docker version` shows whether it answers; only needed to run containers on this machine
ok       E-CI-14  role of ECS          AWSServiceRoleForECS exists
"""
    )
    assert ran.stderr == "\n0 problems, 2 warnings, 12 ok\n"


def test_json_has_record_per_check_and_result(program, account):
    ran = program("health", "--output", "json", account=account)

    assert ran.code == 0
    *checks, result = ran.records
    assert [check["code"] for check in checks] == CODES
    assert {check["type"] for check in checks} == {"problem"}
    assert checks[3] == {
        "type": "problem",
        "schema": "exasol-ci-setup/2",
        "code": "E-CI-04",
        "name": "AWS region",
        "status": "ok",
        "message": "eu-central-1",
        "fix": "",
    }
    assert result == {
        "type": "result",
        "schema": "exasol-ci-setup/2",
        "status": "healthy",
        "problems": 0,
        "warnings": 2,
        "ok": 12,
        "skipped": 0,
    }


def test_problem_exits_1_and_is_counted(program, account, answers):
    answers.on("codebuild", "ListProjects", AwsError("AccessDeniedException", "no\x1b[31m way"))

    ran = program("health", account=account)

    assert ran.code == 1
    assert "problem  E-CI-08  CodeBuild            AWS does not allow ListProjects: no\\x1b[31m way\n" in ran.stdout
    assert ran.stderr == "\n1 problem, 2 warnings, 11 ok\n"


def test_docker_secret_option_sets_name(program, account, answers):
    program("health", "--docker-secret", "mine", account=account)

    assert answers.of("DescribeSecret") == answers.of("GetSecretValue") == [{"SecretId": "mine"}]


@pytest.mark.parametrize(
    ("reply", "style"),
    [
        ({"ARN": ARN, "SecretString": json.dumps({"User": USER, "AccessToken": TOKEN})}, "json"),
        ({"ARN": ARN, "SecretString": json.dumps({"User": USER, TOKEN: ""})}, "text"),
        ({"ARN": ARN, "SecretString": f'{{"User": "{USER}", "AccessToken": {TOKEN}}}'}, "text"),
    ],
)
def test_value_of_secret_is_neither_shown_nor_logged(program, account, answers, caplog, reply, style):
    answers.on("secretsmanager", "GetSecretValue", reply)

    ran = program("health", "--log-level", "debug", "--output", style, account=account)

    assert answers.of("GetSecretValue")
    everything = ran.stdout + ran.stderr + caplog.text
    assert "E-CI-10" in everything
    assert USER not in everything
    assert TOKEN not in everything


def test_unknown_profile_is_problem_in_list(program):
    ran = program("health", "--aws-profile", "nosuch", "--region", "eu-central-1")

    assert ran.code == 1
    assert codes(ran.stdout) == CODES
    assert "problem  E-CI-03  AWS profile          AWS profile 'nosuch' does not exist" in ran.stdout


def test_unknown_profile_of_environment_is_problem(program, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nosuch")

    ran = program("health", "--output", "json")

    assert ran.code == 1
    assert [check["code"] for check in ran.records[:-1]] == CODES
    assert ran.records[2]["status"] == "problem"
    assert "nosuch" in ran.records[2]["message"]


@pytest.mark.live
def test_sandbox_has_no_problem(program, live):
    ran = program("health", "--output", "json", account=live)

    assert ran.code == 0
    assert {check["status"] for check in ran.records[2:10]} == {"ok"}


def test_missing_aws_setup_lists_fix_per_problem(tmp_path):
    environment = {"HOME": str(tmp_path), "PATH": os.defpath, "PYTHONPATH": str(ROOT)}

    ran = subprocess.run(
        [sys.executable, "-m", "exasol_ci_setup", "health"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 1, ran.stderr
    assert codes(ran.stdout) == CODES
    lines = ran.stdout.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(("warning", "problem")):
            assert following.strip().startswith("fix: ")
    assert "no AWS region is set" in ran.stdout
    assert re.fullmatch(r"\n2 problems, \d+ warnings?, \d+ ok, 7 skipped\n", ran.stderr)


@pytest.fixture
def user(server, live, account_id):
    """Function that creates a role with a policy, and returns the account of a session of it."""

    def create(name, document):
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"}, "Action": "sts:AssumeRole"}
        iam, sts = live.client("iam"), live.client("sts")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="deploy", PolicyDocument=document)
        keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="deploying")["Credentials"]
        session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], live.region)
        return Account(session, live.region, server.url)

    return create


@pytest.mark.live
def test_permissions_for_kind_are_checked(program, user):
    policy = program("iam-policy", "ci-build", "--project", "Shop").stdout
    wanted = ("health", "--for", "ci-build", "--project", "Shop", "--output", "json")

    complete = program(*wanted, account=user("complete", policy))
    partial = program(
        *wanted, account=user("partial", policy.replace("codebuild:CreateProject", "codebuild:ListProjects"))
    )
    other = program("health", "--for", "ci-build", "--project", "Other", account=user("other", policy))

    assert [complete.records[-2][key] for key in ("code", "status")] == ["E-CI-15", "ok"]
    assert partial.records[-2]["status"] == "problem", partial.stdout
    assert "lacks 1 permission for deploying ci-build: codebuild:CreateProject" in partial.records[-2]["message"]
    assert "`exasol-ci-setup iam-policy ci-build --project Shop`" in partial.records[-2]["fix"]
    assert re.search(r"lacks \d+ permissions for deploying ci-build: .* and \d+ more", other.stdout)
    # Without access to GitHub, the first deployment fails.
    assert (complete.code, [each["code"] for each in complete.records if each.get("status") == "problem"]) == (
        1,
        ["E-CI-11"],
    )


@pytest.mark.live
def test_root_user_has_all_permissions(here):
    ran = here("health", "--for", "registry")

    assert "E-CI-15  permissions" in ran.stdout
    assert "has all permissions of the account" in ran.stdout


def test_permissions_that_cannot_be_simulated_are_warning(answers):
    arn = "arn:aws:sts::123456789012:assumed-role/dev/session"
    answers.on("sts", "GetCallerIdentity", {"Arn": arn, "Account": "123456789012", "UserId": "x"})
    answers.on("iam", "GetRole", AwsError("AccessDenied", "no"))

    found = permissions.check(
        answers.account, permissions.Wanted("registry", "exasol-ci-setup iam-policy registry", lambda *_: [])
    )

    assert (found.status, found.code) == ("warning", "E-CI-15")
    assert "iam:SimulatePrincipalPolicy" in found.fix


def test_project_needs_kind(program):
    assert program("health", "--project", "Shop").code == 2
