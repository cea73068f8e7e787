"""Results of `health` for replies of AWS and for machines of several kinds."""

from __future__ import annotations

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import EndpointConnectionError

from exasol_ci_setup import health
from exasol_ci_setup.aws import session as aws
from exasol_ci_setup.core.errors import SandboxError, SetupError
from exasol_ci_setup.health import account, machine, shipped
from exasol_ci_setup.health.check import PERMISSIONS
from tests.answers import ACCOUNT_ID, AwsError, DroppedConnectionError
from tests.docker import engine_server

ROOT = Path(__file__).parents[2]
ARN = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT_ID}:secret:Dockerhub-abcdef"
IDENTITY = {"UserId": "AIDA", "Account": ACCOUNT_ID, "Arn": f"arn:aws:iam::{ACCOUNT_ID}:user/jo"}
USER, TOKEN = "the-user-of-docker", "the-token-of-docker"
GITHUB = {"arn": "arn:aws:codebuild:x", "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"}
NO_STACK = AwsError("ValidationError", "Stack with id SLCSourceCredentials does not exist")
DENIED = AwsError("AccessDeniedException", "User is not authorized to perform: that")
EXPIRED = AwsError("ExpiredToken", "The security token included in the request is expired", status=403)
AWS_CODES = [subject.code for subject in (*health.SUBJECTS[2:11], health.SUBJECTS[13])]
ROLE = {
    "Path": "/",
    "RoleName": "AWSServiceRoleForECS",
    "RoleId": "AROA" * 4,
    "Arn": "arn:aws:iam::1:role/r",
    "CreateDate": 0,
}


def secret(text):
    return {"ARN": ARN, "Name": "Dockerhub", "SecretString": text}


@pytest.fixture
def healthy(answers):
    """An account without problems."""
    answers.on("sts", "GetCallerIdentity", IDENTITY)
    answers.on("cloudformation", "DescribeStacks", NO_STACK)
    answers.on("codebuild", "ListProjects", {"projects": []})
    answers.on("codebuild", "ListSourceCredentials", {"sourceCredentialsInfos": [GITHUB]})
    answers.on("iam", "GetRole", {"Role": ROLE})
    answers.on("secretsmanager", "DescribeSecret", {"ARN": ARN, "Name": "Dockerhub"})
    answers.on("secretsmanager", "GetSecretValue", secret(json.dumps({"User": USER, "AccessToken": TOKEN})))
    return answers


def problems(found):
    return [code for code, check in found.items() if check.status == "problem"]


def checked(opened, *, profile=None, sandbox=False, docker_secret=None):
    """The checks of the account, by code."""
    with ThreadPoolExecutor(8) as pool:
        found = list(
            account.checks(
                opened,
                pool,
                profile=profile,
                sandbox=sandbox,
                docker_secret=docker_secret or "Dockerhub",
                now=lambda: datetime.now(timezone.utc),
            )
        )
    assert [check.code for check in found] == AWS_CODES
    assert all(check.fix for check in found if check.status not in {"ok", "skipped"})
    return {check.code: check for check in found}


def test_valid_account_has_only_ok(healthy):
    found = checked(healthy.account)

    assert {check.status for check in found.values()} == {"ok"}
    assert found["E-CI-05"].message == f"arn:aws:iam::{ACCOUNT_ID}:user/jo in account {ACCOUNT_ID}"
    assert found["E-CI-10"].message == "secret 'Dockerhub' has the keys User and AccessToken"
    assert "PERSONAL_ACCESS_TOKEN" in found["E-CI-11"].message


def test_only_read_operations_are_called(healthy):
    checked(healthy.account)

    assert sorted(healthy.names()) == [
        "DescribeSecret",
        "DescribeStacks",
        "GetCallerIdentity",
        "GetRole",
        "GetSecretValue",
        "ListProjects",
        "ListSourceCredentials",
    ]


def test_expired_token_is_one_problem_with_fix(healthy):
    healthy.disturb = lambda _call: EXPIRED

    found = checked(healthy.account)

    assert problems(found) == ["E-CI-05"]
    assert "expired" in found["E-CI-05"].message
    assert "sign in again" in found["E-CI-05"].fix
    assert {found[code].message for code in AWS_CODES[4:]} == {"needs E-CI-05"}
    # A rejected request also contains the time.
    assert found["E-CI-06"].status == "ok"


@pytest.mark.parametrize(
    ("service", "operation", "code", "action"),
    [
        ("cloudformation", "DescribeStacks", "E-CI-07", "cloudformation:DescribeStacks"),
        ("codebuild", "ListProjects", "E-CI-08", "codebuild:ListProjects"),
        ("secretsmanager", "DescribeSecret", "E-CI-09", "secretsmanager:DescribeSecret"),
        ("codebuild", "ListSourceCredentials", "E-CI-11", "codebuild:ListSourceCredentials"),
    ],
)
def test_denied_call_is_one_problem_with_permission(healthy, service, operation, code, action):
    healthy.on(service, operation, DENIED)

    found = checked(healthy.account)

    assert [each for each, check in found.items() if check.status != "ok"] == [code]
    assert found[code].status == "problem"
    assert action in found[code].fix


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (AwsError("NoSuchEntity", status=404), "ok", "the deployment of the first cluster creates it"),
        (AwsError("AccessDenied", "not authorized", status=403), "warning", "AWSServiceRoleForECS cannot be read"),
    ],
)
def test_missing_or_hidden_role_of_ecs_is_no_problem(healthy, error, status, text):
    healthy.on("iam", "GetRole", error)

    found = checked(healthy.account)["E-CI-14"]

    assert found.status == status
    assert text in found.message


def test_throttling_is_waited_for(healthy):
    healthy.on("codebuild", "ListProjects", [AwsError("ThrottlingException", "slow"), {"projects": []}])

    assert checked(healthy.account)["E-CI-08"].status == "ok"


def test_permanent_throttling_is_problem_of_service(healthy):
    healthy.on("codebuild", "ListProjects", AwsError("ThrottlingException", "slow"))

    found = checked(healthy.account)

    assert found["E-CI-08"].status == "problem"
    assert "AWS throttled" in found["E-CI-08"].message
    assert found["E-CI-07"].status == "ok"


@pytest.mark.parametrize(
    "failure", [DroppedConnectionError, EndpointConnectionError(endpoint_url="https://codebuild.example")]
)
def test_unreachable_service_gets_two_attempts(healthy, failure):
    healthy.on("codebuild", "ListProjects", failure)

    found = checked(healthy.account)

    assert found["E-CI-08"].status == "problem"
    assert "check the network" in found["E-CI-08"].fix
    assert healthy.names().count("ListProjects") == 2


def test_missing_connection_is_one_problem(healthy):
    healthy.disturb = lambda _call: DroppedConnectionError()

    found = checked(healthy.account)

    assert [code for code, check in found.items() if check.status == "ok"] == ["E-CI-03", "E-CI-04"]
    assert problems(found) == ["E-CI-05"]
    assert "AWS did not answer" in found["E-CI-05"].message
    assert {found[code].message for code in AWS_CODES[3:]} == {"needs E-CI-05"}


def test_unexpected_exception_fails_only_its_check(healthy):
    healthy.on("codebuild", "ListProjects", ZeroDivisionError("odd"))

    found = checked(healthy.account)

    assert found["E-CI-08"].message == "ZeroDivisionError: odd"
    assert [code for code, check in found.items() if check.status != "ok"] == ["E-CI-08"]


def test_missing_secret_is_problem_with_create_command(healthy):
    missing = AwsError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    healthy.on("secretsmanager", "DescribeSecret", missing)
    healthy.on("secretsmanager", "GetSecretValue", missing)

    found = checked(healthy.account, docker_secret="my secret", profile="o'hara")

    # A missing secret proves that the lookup is allowed.
    assert found["E-CI-09"].status == "ok"
    assert found["E-CI-10"].status == "problem"
    assert found["E-CI-10"].message == "secret 'my secret' does not exist in eu-central-1"
    assert "create-secret --name 'my secret'" in found["E-CI-10"].fix
    assert "--region eu-central-1 --profile 'o'\"'\"'hara'`" in found["E-CI-10"].fix


def test_docker_secret_none_is_not_requested(healthy):
    for operation in ("DescribeSecret", "GetSecretValue"):
        healthy.on("secretsmanager", operation, AwsError("ResourceNotFoundException", "no"))

    found = checked(healthy.account, docker_secret="none")

    for code in ("E-CI-09", "E-CI-10"):
        assert (found[code].status, found[code].message) == ("ok", "not used: builds do not log in to Docker Hub")


def test_missing_secret_with_arn_has_no_create_command(healthy):
    missing = AwsError("ResourceNotFoundException", "no")
    healthy.on("secretsmanager", "DescribeSecret", missing)
    healthy.on("secretsmanager", "GetSecretValue", missing)

    assert checked(healthy.account, docker_secret=ARN)["E-CI-10"].fix == "name another secret with --docker-secret"


def test_secret_marked_for_deletion_has_restore_command(healthy):
    healthy.on("secretsmanager", "DescribeSecret", {"ARN": ARN, "Name": "Dockerhub", "DeletedDate": 1_700_000_000})
    healthy.on("secretsmanager", "GetSecretValue", AwsError("InvalidRequestException", "marked for deletion"))

    found = checked(healthy.account)["E-CI-10"]

    assert (found.status, found.message) == ("problem", "secret 'Dockerhub' is marked for deletion")
    assert "restore-secret --secret-id Dockerhub --region eu-central-1" in found.fix


@pytest.mark.parametrize("refusal", [DENIED, AwsError("DecryptionFailure", "no key"), AwsError("InternalServiceError")])
def test_unreadable_secret_value_is_warning(healthy, refusal):
    healthy.on("secretsmanager", "GetSecretValue", refusal)

    found = checked(healthy.account)["E-CI-10"]

    assert found.status == "warning"
    assert "could not be checked" in found.message
    assert "secretsmanager:GetSecretValue" in found.fix


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"User": USER}, "secret 'Dockerhub' has no text under the key AccessToken"),
        ({"User": "", "AccessToken": TOKEN}, "secret 'Dockerhub' has no text under the key User"),
        ({"User": " ", "AccessToken": 7}, "secret 'Dockerhub' has no text under the keys User and AccessToken"),
        ({"user": USER, "accesstoken": TOKEN}, "secret 'Dockerhub' has no text under the keys User and AccessToken"),
        ([USER, TOKEN], "secret 'Dockerhub' is not a JSON object with the keys User and AccessToken"),
        (None, "secret 'Dockerhub' is not a JSON object with the keys User and AccessToken"),
    ],
)
def test_secret_without_both_keys_is_problem(healthy, value, message):
    healthy.on("secretsmanager", "GetSecretValue", secret(json.dumps(value)))

    found = checked(healthy.account)["E-CI-10"]

    assert (found.status, found.message) == ("problem", message)
    assert "put-secret-value --secret-id Dockerhub" in found.fix


def test_binary_secret_is_problem(healthy):
    healthy.on("secretsmanager", "GetSecretValue", {"ARN": ARN, "SecretBinary": b"\x00\x01"})

    assert "is not a JSON object" in checked(healthy.account)["E-CI-10"].message


@pytest.mark.parametrize("text", [f"{USER}:{TOKEN}", f'{{"User": "{USER}", "AccessToken": "{TOKEN}"', "[" * 100_000])
def test_secret_without_json_is_problem_and_not_printed(healthy, caplog, text):
    healthy.on("secretsmanager", "GetSecretValue", secret(text))
    caplog.set_level(logging.DEBUG, logger="exasol_ci_setup")

    found = checked(healthy.account)["E-CI-10"]

    assert found.status == "problem"
    assert not [part for part in (USER, TOKEN, "[[[") if part in str(found) + caplog.text]


@pytest.mark.parametrize(
    ("skew", "status", "message"),
    [
        (timedelta(seconds=20), "ok", "within a minute of AWS"),
        (timedelta(minutes=2), "warning", r"1(19|20|21) s behind AWS"),
        (-timedelta(minutes=2), "warning", r"1(19|20|21) s ahead of AWS"),
        (timedelta(hours=1), "problem", r"3(599|600|601) s behind AWS, which rejects .*"),
        (-timedelta(hours=1), "problem", r"3(599|600|601) s ahead of AWS, which rejects .*"),
    ],
)
def test_skewed_clock_is_reported(healthy, skew, status, message):
    healthy.skew = skew

    found = checked(healthy.account)["E-CI-06"]

    assert found.status == status
    assert re.fullmatch(message, found.message)


def test_skewed_clock_is_reason_of_rejected_signature(healthy):
    healthy.skew = timedelta(hours=1)
    healthy.disturb = lambda _call: AwsError("SignatureDoesNotMatch", "Signature expired", status=403)

    found = checked(healthy.account)

    assert found["E-CI-06"].status == "problem"
    assert "time server" in found["E-CI-06"].fix
    assert found["E-CI-05"].status == "problem"


def test_clock_is_checked_with_other_service_without_sts(healthy):
    healthy.on("sts", "GetCallerIdentity", DroppedConnectionError)

    found = checked(healthy.account)

    assert (found["E-CI-05"].status, found["E-CI-06"].status) == ("problem", "ok")


@pytest.mark.parametrize("kinds", [[], [{**GITHUB, "serverType": "BITBUCKET"}]])
def test_missing_github_access_warns_with_two_fixes(healthy, kinds):
    healthy.on("codebuild", "ListSourceCredentials", {"sourceCredentialsInfos": kinds})

    found = checked(healthy.account)["E-CI-11"]

    assert found.status == "warning"
    assert "exasol-ci-setup deploy-source-credentials --secret-name" in found.fix
    assert "--connection-arn" in found.fix


@pytest.mark.parametrize(("minutes", "status"), [(10, "warning"), (60, "ok")])
def test_credentials_that_expire_soon_are_warning(healthy, minutes, status):
    expiry = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    fresh = {"access_key": "AKIDEXAMPLE", "secret_key": "dummy", "token": "dummy", "expiry_time": expiry.isoformat()}
    healthy.account.session._session._credentials = RefreshableCredentials.create_from_metadata(
        fresh, refresh_using=lambda: fresh, method="env"
    )

    found = checked(healthy.account)["E-CI-05"]

    assert found.status == status
    assert f"from env, valid until {expiry:%Y-%m-%d %H:%M} UTC" in found.message


def test_expired_credentials_without_renewal_are_problem(healthy):
    expiry = (datetime.now(timezone.utc) - timedelta(minutes=5)).isoformat()
    stale = {"access_key": "AKIDEXAMPLE", "secret_key": "dummy", "token": "dummy", "expiry_time": expiry}
    healthy.account.session._session._credentials = RefreshableCredentials.create_from_metadata(
        stale, refresh_using=lambda: stale, method="env"
    )

    found = checked(healthy.account)["E-CI-05"]

    assert found.status == "problem"
    assert "the AWS credentials have expired" in found.message
    assert healthy.calls == []


def test_source_of_credentials_is_printed(healthy):
    healthy.account.session._session._credentials = Credentials("AKIDEXAMPLE", "dummy", method="sso")

    assert checked(healthy.account)["E-CI-05"].message.endswith(", from sso")


def test_missing_credentials_make_no_call_and_have_fix():
    found = checked(aws.connect(region="eu-central-1"))

    assert found["E-CI-04"].status == "ok"
    assert found["E-CI-05"].message == "no AWS credentials were found"
    assert "aws configure" in found["E-CI-05"].fix
    assert problems(found) == ["E-CI-05"]
    assert {(found[code].status, found[code].message) for code in AWS_CODES[3:]} == {("skipped", "needs E-CI-05")}


def test_missing_sandbox_is_one_problem():
    error = SandboxError("the sandbox is not installed", hint="install it")

    found = checked(error, sandbox=True)

    assert found["E-CI-03"].status == "ok"
    assert problems(found) == ["E-CI-05"]
    assert found["E-CI-05"].message == "the sandbox is not installed"
    assert found["E-CI-04"].message == "needs E-CI-05"


def error_of(connect):
    with pytest.raises(SetupError) as caught:
        connect()
    return caught.value


def test_missing_region_and_credentials_are_both_reported():
    found = checked(error_of(aws.connect))

    assert found["E-CI-04"].message == "no AWS region is set"
    assert "--region" in found["E-CI-04"].fix
    assert found["E-CI-05"].message == "no AWS credentials were found"
    assert problems(found) == ["E-CI-04", "E-CI-05"]
    assert found["E-CI-07"].message == "needs E-CI-04"


def test_missing_region_does_not_check_credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")

    found = checked(error_of(aws.connect))
    assert problems(found) == ["E-CI-04"]
    assert found["E-CI-05"].message == "needs E-CI-04"


def test_incomplete_key_is_reported_as_incomplete(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")

    assert checked(aws.connect(region="eu-central-1"))["E-CI-05"].status == "problem"


def test_unknown_profile_is_reported_with_existing_ones(monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text("[profile beta]\nregion = eu-west-1\n[profile alpha]\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    found = checked(error_of(lambda: aws.connect("nosuch", "eu-central-1")), profile="nosuch")

    assert found["E-CI-03"].status == "problem"
    assert "'nosuch'" in found["E-CI-03"].message
    assert "alpha, beta" in found["E-CI-03"].fix
    assert problems(found) == ["E-CI-03"]
    assert found["E-CI-04"].message == "needs E-CI-03"


def test_existing_profile_is_ok(healthy):
    assert checked(healthy.account, profile="alpha")["E-CI-03"].message == "'alpha' exists"


def test_sandbox_uses_no_profile(healthy):
    assert "sandbox" in checked(healthy.account, sandbox=True)["E-CI-03"].message


def test_unreadable_configuration_is_problem_of_profile(monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text("[profile", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    found = checked(error_of(lambda: aws.connect(region="eu-central-1")))

    assert found["E-CI-03"].status == "problem"


@pytest.mark.parametrize("region", ["eu-centrl-1", "nowhere"])
def test_unknown_region_is_warning(region):
    found = checked(aws.connect(region=region))["E-CI-04"]

    assert found.status == "warning"
    assert "spelling" in found.fix


def test_unexpected_exception_of_connect_keeps_other_checks():
    def connect():
        raise ZeroDivisionError("odd")

    found = list(health.checks(connect))

    assert [check.code for check in found] == [subject.code for subject in health.SUBJECTS]
    assert found[2].message == "ZeroDivisionError: odd"
    assert found[0].status == "ok"


def test_templates_pass_linter_in_unknown_region():
    assert shipped.templates("eu-west-1").status == "ok"
    assert shipped.templates("eu-centrl-1").message.endswith("finds nothing for eu-central-1")


def test_samples_cover_every_template_of_stack():
    shipped_files = {path.name for path in (ROOT / "templates/cloudformation").glob("[!_]*.j2")}

    assert {sample.template for sample in shipped.samples()} == shipped_files


@pytest.mark.parametrize(
    ("system", "python", "status"),
    [
        ("Linux", (3, 10, 0), "ok"),
        ("Darwin", (3, 14, 1), "ok"),
        ("Windows", (3, 12, 0), "warning"),
        ("Linux", (3, 9, 7), "problem"),
    ],
)
def test_untested_platform_is_warning_and_old_python_is_problem(system, python, status):
    found = machine.platform_and_python(system, "arm64", python)

    assert found.status == status
    assert f"Python {'.'.join(map(str, python))} on {system} arm64" in found.message
    assert bool(found.fix) == (status != "ok")


@pytest.fixture
def path(monkeypatch, tmp_path):
    """A directory that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def command(path, script):
    (path / "aws").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (path / "aws").chmod(0o755)


def test_missing_aws_cli_is_warning(path):
    assert path.is_dir()
    assert machine.aws_command_line().status == "warning"


def test_version_of_aws_cli_is_printed(path):
    command(path, "echo aws-cli/2.30.1 Python/3.13 Linux")

    assert machine.aws_command_line() == health.SUBJECTS[1].ok(f"aws-cli/2.30.1 at {path}/aws")


def test_failing_aws_cli_is_warning_with_its_output(path):
    command(path, "echo 'no module named awscli' >&2; exit 3")

    found = machine.aws_command_line()

    assert found.status == "warning"
    assert "no module named awscli" in found.message


def test_aws_cli_that_cannot_run_is_warning(path):
    (path / "aws").write_text("#!/nowhere/at/all\n", encoding="utf-8")
    (path / "aws").chmod(0o755)

    assert machine.aws_command_line().status == "warning"


def test_answering_docker_engine_is_ok(monkeypatch):
    with engine_server.running() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)

        assert machine.docker_engine() == health.SUBJECTS[12].ok(f"{engine.url} answers, API 1.47")


def test_unreachable_docker_engine_is_warning(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    found = machine.docker_engine()

    assert found.status == "warning"
    assert "tcp://127.0.0.1:9" in found.message
    assert "containers on this machine" in found.fix


def test_codes_are_consecutive_and_documented():
    page = (ROOT / "docs/health.md").read_text(encoding="utf-8")

    subjects = (*health.SUBJECTS, PERMISSIONS)
    assert [subject.code for subject in subjects] == [f"E-CI-{number:02}" for number in range(1, 16)]
    for subject in subjects:
        assert f"| `{subject.code}` | {subject.name} |" in page
    assert len(re.findall(r"^\| `E-CI-", page, re.MULTILINE)) == len(subjects)
