"""The options of `deploy-ci-build` and its siblings for the role, the host and the network of builds, as a user runs them."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.template.render import parse

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://github.com/example/shop"
CREDENTIALS = (
    "deploy-source-credentials",
    *("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token"),
)
PROJECT = ("--project", "Shop", "--project-url", URL)
BUCKET = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shop-models/*"}


@pytest.fixture
def statements(tmp_path: Path):
    """Return a function that writes the file for --policy-statements and returns its path."""

    def write(content: Any) -> str:
        path = tmp_path / "statements.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def template(ran: Any) -> dict[str, Any]:
    assert ran.code == 0, ran.stderr
    return parse(ran.stdout)


@pytest.mark.parametrize("kind", ["ci", "release"])
def test_statements_of_file_are_in_template(kind, program, statements):
    ran = program(
        *(f"validate-{kind}-build", *PROJECT, "--offline", "--print-template"),
        *("--policy-statements", statements([BUCKET])),
        *("--managed-policy-arn", "arn:aws:iam::aws:policy/A", "--managed-policy-arn", "arn:aws:iam::aws:policy/B"),
    )

    role = template(ran)["Resources"]["CodeBuildRole"]["Properties"]
    assert role["Policies"][1]["PolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::shop-models/*"]}
    ]
    assert role["ManagedPolicyArns"] == ["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[", "statements.json:1 "),
        ("{}", "is not a list of statements"),
        (["x"], "is not a list of statements"),
        ([{"Action": "s3:GetObject", "Resource": "*"}], "statement 1: Effect is required: Allow or Deny"),
        ([BUCKET, {**BUCKET, "Effect": "Permit"}], "statement 2: Effect 'Permit' is invalid: use 'Allow' or 'Deny'"),
        ([{**BUCKET, "Action": "GetObject"}], "statement 1: Action.0 'GetObject' is invalid: use an action"),
        ([{**BUCKET, "Resource": ["*", "shop"]}], "statement 1: Resource.1 'shop' is invalid: use the ARN"),
        ([{**BUCKET, "Resource": "arn:aws:s3:::${AWS::AccountId}"}], "${AWS::…} is not replaced"),
        ([{**BUCKET, "Principal": "*"}], "statement 1: Principal is invalid: unknown element"),
        ([{**BUCKET, "Condition": {"Fn::Sub": {"aws:x": "y"}}}], "'Fn::Sub' is no operator of a condition"),
        ([{**BUCKET, "Sid": "A"}, {**BUCKET, "Sid": "A"}], "two statements have the Sid A"),
        ([{**BUCKET, "Condition": {"StringEquals": {"aws:x": "{{resolve:ssm:x}}"}}}], "{{resolve:ssm:x}}"),
    ],
)
def test_invalid_statement_is_named_with_its_file(content, problem, program, statements):
    ran = program("validate-ci-build", *PROJECT, "--offline", "--policy-statements", statements(content))

    assert ran.code == 2
    assert problem in ran.stderr
    assert "hint: run" not in ran.stderr


def test_missing_file_of_statements_is_named(program):
    ran = program("validate-ci-build", *PROJECT, "--offline", "--policy-statements", "nowhere.json")

    assert ran.code == 2
    assert "nowhere.json cannot be read: the file does not exist" in ran.stderr


@pytest.mark.live
def test_update_that_adds_policies_needs_allow_broadening(here, statements):
    assert here(*CREDENTIALS, "--yes", "--no-lint").code == 0
    command = ("deploy-ci-build", *PROJECT, "--docker-secret", "none", "--yes", "--no-lint")
    assert here(*command).code == 0

    for option, value, words in (
        (
            "--policy-statements",
            statements([BUCKET]),
            "role CodeBuildRole may s3:GetObject on arn:aws:s3:::shop-models/*",
        ),
        ("--managed-policy-arn", "arn:aws:iam::aws:policy/A", "gets the managed policy arn:aws:iam::aws:policy/A"),
    ):
        refused = here(*command, option, value)
        assert (refused.code, words in refused.stderr) == (1, True), refused.stderr
        assert here(*command, option, value, "--allow-broadening").code == 0
    assert "up to date" in here(*command, "--managed-policy-arn", "arn:aws:iam::aws:policy/A").stderr


@pytest.mark.live
def test_docker_secret_none_deploys_without_secret(here, live):
    here(*CREDENTIALS, "--yes", "--no-lint")
    live.client("secretsmanager").delete_secret(SecretId="Dockerhub", ForceDeleteWithoutRecovery=True)

    for kind in ("ci", "release"):
        assert here(f"deploy-{kind}-build", *PROJECT, "--docker-secret", "none", "--yes", "--no-lint").code == 0
        refused = here(f"deploy-{kind}-build", *PROJECT, "--yes", "--no-lint")
        assert "secret 'Dockerhub' does not exist" in refused.stderr


@pytest.mark.live
def test_project_on_enterprise_server_prints_command_for_webhook(here, live):
    connection = "arn:aws:codeconnections:eu-central-1:111122223333:connection/1-a"
    url = ("--project", "Shop", "--project-url", "https://github.example.com/example/shop")

    refused = here("deploy-ci-build", *url, "--docker-secret", "none", "--yes", "--no-lint")
    ran = here("deploy-ci-build", *url, "--docker-secret", "none", "--connection-arn", connection, "--yes", "--no-lint")

    assert refused.code == 2
    assert "GitHub Enterprise Server" in refused.stderr
    assert ran.code == 0
    assert "run once `aws codebuild create-webhook --project-name ShopCodeBuild --build-type BUILD_BATCH" in ran.stderr
    [project] = live.client("codebuild").batch_get_projects(names=["ShopCodeBuild"])["projects"]
    assert (project["source"]["type"], "webhook" in project) == ("GITHUB_ENTERPRISE", False)


@pytest.mark.live
def test_host_and_network_reach_project(here, live):
    ran = here(
        *("deploy-release-build", *PROJECT, "--docker-secret", "none", "--yes", "--no-lint"),
        *("--connection-arn", "arn:aws:codeconnections:eu-central-1:111122223333:connection/1-a"),
        *("--architecture", "arm64", "--no-privileged", "--buildspec", "ci/release.yaml"),
        *("--vpc-id", "vpc-0123456789abcdef0", "--subnet-id", "subnet-0123456789abcdef0"),
        *(
            "--security-group",
            "sg-0123456789abcdef0",
            "--concurrent-build-limit",
            "4",
            "--queued-timeout-in-minutes",
            "30",
        ),
        *("--permissions-boundary", "arn:aws:iam::111122223333:policy/limit", "--role-path", "/builds/"),
    )

    assert ran.code == 0, ran.stderr
    [project] = live.client("codebuild").batch_get_projects(names=["ShopReleaseCodeBuild"])["projects"]
    assert project["environment"]["type"] == "ARM_CONTAINER"
    assert project["environment"]["image"] == "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    assert project["environment"]["privilegedMode"] is False
    assert project["source"]["buildspec"] == "ci/release.yaml"
    assert project["vpcConfig"]["subnets"] == ["subnet-0123456789abcdef0"]
    assert (project["concurrentBuildLimit"], project["queuedTimeoutInMinutes"]) == (4, 30)


@pytest.mark.live
def test_batch_of_own_images_succeeds_on_hosts_of_option(
    here, live, server, account_id, statements, tmp_path, monkeypatch
):
    repository = tmp_path / "shop"
    for name in ("api", "web", "worker"):
        (repository / "images" / name).mkdir(parents=True)
        (repository / "images" / name / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    monkeypatch.chdir(repository)
    server.sources[account_id] = {URL: repository}
    server.build_seconds[account_id] = 0.01
    size = ("--compute-type", "large")
    uri = re.search(r"^RepositoryUri +(.+)$", here("deploy-registry", "--name", "shop", "--yes").stdout, re.MULTILINE)
    assert uri

    generated = here(
        *(
            "generate-buildspec",
            "--flavor-root-path",
            "images",
            "--output-path",
            "ci",
            "--docker-secret",
            "none",
            *size,
        ),
        *("--build-command", 'docker build --tag "$IMAGE" "images/$FLAVOR"', "--variable", f"IMAGE={uri[1]}"),
    )
    [of_stack] = re.findall("^deploy the stack with (.*)$", generated.stderr, re.MULTILINE)
    here(*CREDENTIALS, "--yes", "--no-lint")
    push = {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "arn:aws:ecr:*:*:repository/shop"}
    deployed = here(
        *("deploy-ci-build", *PROJECT, *shlex.split(of_stack), "--policy-statements", statements([push])),
        *("--yes", "--no-lint"),
    )
    ran = here("start-ci-build", "--project", "Shop", "--branch", "main")

    assert (generated.code, deployed.code, ran.code) == (0, 0, 0), ran.stderr
    codebuild = live.client("codebuild")
    builds = codebuild.batch_get_builds(ids=codebuild.list_builds()["ids"])["builds"]
    assert {each["buildBatchArn"].rpartition("/")[2] for each in builds} == {ran.stdout.strip()}
    assert len(builds) == len(("DOWNLOAD_SOURCE", "api", "web", "worker"))
    assert {(each["buildStatus"], each["environment"]["computeType"]) for each in builds} == {
        ("SUCCEEDED", "BUILD_GENERAL1_LARGE")
    }


def test_error_names_repeatable_option(program):
    ran = program(
        *("validate-ci-build", "--offline", "--project", "A", "--project-url", "https://github.com/o/r"),
        *("--managed-policy-arn", "nope"),
    )

    assert ran.code == 2
    assert "error: --managed-policy-arn 'nope' is invalid" in ran.stderr
