"""`iam-policy` as a user runs it: without AWS, with JSON on stdout."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from exasol_ci_setup.access.deployer import LARGEST_POLICY
from tests.cli.test_interactive import DEPLOYED, FLEET, PROGRAM, SHOP
from tests.templates.samples import PUBLIC_KEY


def actions(document):
    return {action: each["Resource"] for each in document["Statement"] for action in as_list(each["Action"])}


def as_list(value):
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("kind", DEPLOYED)
def test_policy_of_construct_is_one_json_document(program, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.pub").write_text(PUBLIC_KEY)

    ran = program("iam-policy", kind, *DEPLOYED[kind], "--account", "123456789012", "--region", "eu-central-1")

    assert (ran.code, ran.stderr) == (0, "")
    assert len(ran.stdout) <= LARGEST_POLICY
    found = actions(json.loads(ran.stdout))
    assert "cloudformation:ExecuteChangeSet" in found
    secret = {"ci-build": "Dockerhub", "release-build": "Dockerhub", "source-credentials": "github"}.get(kind)
    arn = f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{secret}-*"
    assert found.get("secretsmanager:DescribeSecret") == (arn if secret else None)


def test_policy_of_project_needs_no_url(program):
    alone = program("iam-policy", "ci-build", "--project", "Shop")

    assert (alone.code, alone.stderr) == (0, "")
    assert alone.stdout == program("iam-policy", "ci-build", *SHOP).stdout
    assert "codebuild:ListSourceCredentials" in actions(json.loads(alone.stdout))


@pytest.mark.parametrize(
    ("kind", "action", "resource"),
    [
        ("ci-build", "codebuild:CreateProject", "arn:aws:codebuild:*:*:project/*CodeBuild"),
        ("release-build", "iam:PassRole", "arn:aws:iam::*:role/*Release-CodeBuildRole*"),
        ("source-credentials", "secretsmanager:DescribeSecret", "arn:aws:secretsmanager:*:*:secret:*-*"),
        ("registry", "ecr:CreateRepository", "arn:aws:ecr:*:*:repository/*"),
    ],
)
def test_omitted_name_is_wildcard(program, kind, action, resource):
    ran = program("iam-policy", kind)

    assert (ran.code, ran.stderr) == (0, "")
    assert resource in as_list(actions(json.loads(ran.stdout))[action])
    assert "xanynamex" not in ran.stdout.lower()


def test_policy_of_own_template_includes_uploads_and_nested_stacks(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner.yaml").write_text("Resources: {Queue: {Type: 'AWS::SQS::Queue'}}")
    outer = "Resources: {Inner: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: inner.yaml}}}"

    ran = program("iam-policy", "template", "-", "--stack-name", "app", "--template-bucket", "mine", stdin=outer)

    assert (ran.code, ran.stderr) == (0, "")
    found = actions(json.loads(ran.stdout))
    assert found["s3:PutObject"] == "arn:aws:s3:::mine/*"
    assert found["sqs:CreateQueue"] == "arn:aws:sqs:*:*:app-Inner-*-Queue*"


def test_policy_includes_templates_nested_in_nested_ones(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    stack = "{{Type: 'AWS::CloudFormation::Stack', Properties: {{TemplateURL: {}}}}}"
    (tmp_path / "outer.yaml").write_text(f"Resources: {{Middle: {stack.format('sub/middle.yaml')}}}")
    (tmp_path / "sub/middle.yaml").write_text(f"Resources: {{Deep: {stack.format('deep.yaml')}}}")
    (tmp_path / "sub/deep.yaml").write_text("Resources: {Queue: {Type: 'AWS::SQS::Queue'}}")
    (tmp_path / "fleet.yaml").write_text(
        "targets: {main: {region: eu-central-1}}\nstacks: {app: {template: outer.yaml}}\n"
    )

    for arguments in (("template", "outer.yaml", "--stack-name", "app"), ("fleet", "fleet.yaml")):
        ran = program("iam-policy", *arguments, "--region", "eu-central-1")

        assert (ran.code, ran.stderr) == (0, "")
        found = actions(json.loads(ran.stdout))
        assert found["sqs:CreateQueue"] == "arn:aws:sqs:eu-central-1:*:app-Middle-*-Deep-*-Queue*"


def test_policy_of_cloudformation_role_has_trust(program, tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")

    role = json.loads(program("iam-policy", "template", str(file), "--for", "cloudformation-role").stdout)
    caller = program("iam-policy", "template", str(file), "--role-arn", "arn:aws:iam::123456789012:role/cfn")

    assert role["TrustPolicy"]["Statement"][0]["Principal"] == {"Service": "cloudformation.amazonaws.com"}
    assert "cloudformation:CreateChangeSet" not in actions(role["Policies"][0])
    assert actions(json.loads(caller.stdout))["iam:PassRole"] == "arn:aws:iam::123456789012:role/cfn"
    assert "sns:CreateTopic" not in caller.stdout


def test_large_policy_is_printed_as_list_with_note(program):
    kinds = (
        *("Glue::Job", "RDS::DBInstance", "EKS::Cluster", "EC2::Instance", "Lambda::Function", "S3::Bucket"),
        *("DynamoDB::Table", "CloudFront::Distribution", "ApiGateway::RestApi", "Cognito::UserPool", "IAM::Role"),
    )
    body = json.dumps({"Resources": {f"R{number}": {"Type": f"AWS::{each}"} for number, each in enumerate(kinds)}})

    ran = program("iam-policy", "template", "-", stdin=body)

    documents = json.loads(ran.stdout)
    assert isinstance(documents, list)
    assert len(documents) > 1
    assert f"the policy is split into {len(documents)} documents" in ran.stderr


def test_policy_of_fleet_and_program_covers_their_stacks(program, tmp_path):
    own = "stacks:\n  own:\n    template: own.yaml\n    target: ci\n"
    (tmp_path / "fleet.yaml").write_text(FLEET + own)
    (tmp_path / "own.yaml").write_text("Resources: {Queue: {Type: 'AWS::SQS::Queue'}}")
    (tmp_path / "program.py").write_text(PROGRAM)

    fleet = program("iam-policy", "fleet", str(tmp_path / "fleet.yaml"))
    declared = program("iam-policy", "program", str(tmp_path / "program.py"), "--output", "json")

    assert (fleet.code, declared.code) == (0, 0)
    assert "stack/Shop/*" in fleet.stdout
    assert "stack/SLCSourceCredentials/*" in fleet.stdout
    assert ":own-Queue*" in fleet.stdout
    (record,) = declared.records
    assert record["type"] == "iam-policy"
    repositories = actions(record["policies"][0])["ecr:CreateRepository"]
    assert repositories == [f"arn:aws:ecr:eu-central-1:*:repository/team/{name}" for name in ("one", "two")]


def test_policies_are_written_to_files_with_commands_that_create_them(program, tmp_path: Path):
    into = tmp_path / "my policies"
    printed = json.loads(program("iam-policy", "registry", "--name", "images", "--for", "cloudformation-role").stdout)

    ran = program("iam-policy", "registry", "--name", "images", "--for", "cloudformation-role", "--into", str(into))

    assert (ran.code, ran.stderr) == (0, "")
    words = [shlex.split(line) for line in ran.stdout.splitlines()]
    assert [each[:5] for each in words] == [
        ["aws", "iam", "create-policy", "--policy-name", "exasol-ci-setup-images-1"],
        ["aws", "iam", "create-role", "--role-name", "exasol-ci-setup-images"],
    ]
    documents = [json.loads(Path(each[-1].removeprefix("file://")).read_text()) for each in words]
    assert documents == [*printed["Policies"], printed["TrustPolicy"]]


def test_files_of_earlier_longer_policy_are_reported(program, tmp_path: Path):
    (tmp_path / "exasol-ci-setup-images-2.json").write_text("{}")
    (tmp_path / "exasol-ci-setup-images-trust.json").write_text("{}")

    ran = program("iam-policy", "registry", "--name", "images", "--into", str(tmp_path))

    assert ran.code == 0
    longer = tmp_path / "exasol-ci-setup-images-2.json"
    assert ran.stderr == f"warning: {longer} remains from an earlier policy, and is not needed\n"
    assert longer.read_text() == "{}"


def test_policies_of_several_commands_share_folder(program, tmp_path: Path):
    fleet = tmp_path / "my fleet.yaml"
    fleet.write_text(
        "targets: {ci: {region: eu-central-1}}\nprojects: {Shop: {project_url: https://github.com/acme/shop, ci: }}\n"
    )
    into = tmp_path / "policies"
    kinds = (
        ("source-credentials",),
        ("ci-build", "--project", "Shop"),
        ("ci-build", "--project", "Blog"),
        ("ci-build",),
        ("fleet", str(fleet)),
    )
    for kind in kinds:
        assert program("iam-policy", *kind, "--into", str(into)).code == 0

    assert sorted(path.name for path in into.iterdir()) == [
        f"exasol-ci-setup-{name}-1.json" for name in ("Blog", "SLCSourceCredentials", "Shop", "ci-build", "my-fleet")
    ]


def test_folder_that_cannot_be_created_is_rejected(program, tmp_path: Path):
    (tmp_path / "file").write_text("")

    ran = program("iam-policy", "registry", "--name", "images", "--into", str(tmp_path / "file" / "sub"))

    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr == f"error: --into {tmp_path}/file/sub cannot be written: Not a directory\n"
