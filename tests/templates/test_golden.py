"""The templates of the build stacks, and their guarantees."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.constructs import (
    BuildkitBuilder,
    CiBuild,
    Construct,
    ContainerBuilder,
    Registry,
    ReleaseBuild,
    Scope,
    SourceCredentials,
    build,
)
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.template.lint import lint
from exasol_ci_setup.template.render import capabilities, parse, render, template_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = "https://github.com/exasol/script-languages-release"
CI = build(CiBuild, project="Slc", project_url=URL)
RELEASE = build(ReleaseBuild, project="Slc", project_url=URL)
SOURCE = build(SourceCredentials, secret_name="github", secret_user_key="user", secret_token_key="token")
MANY_OPTIONS = build(
    CiBuild,
    project="Slc",
    project_url=f"{URL}.git",
    stack_name="SlcCIBuild",
    bucket_name="slc-artifacts",
    branch_filter=r"^refs/heads/(main|release/\d+\.\d+)$",
    image="public.ecr.aws/docker/library/docker@sha256:" + "0" * 64,
    compute_type="BUILD_GENERAL1_2XLARGE",
    timeout_in_minutes=60,
    batch_timeout_in_minutes=480,
    log_retention_in_days=3653,
    artifact_retention_in_days=1,
    docker_secret_arn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:Dockerhub-a1B2c3",
    auto_retry_limit=2,
    cache="s3",
    path_filter="^images/",
    exclude_path_filter=r"\.md$",
    commit_message_filter="^release",
    exclude_commit_message_filter=r"\[skip ci\]",
    connection_arn="arn:aws:codestar-connections:eu-central-1:123456789012:connection/aEXAMPLE-8aad-4d5d",
    batch_limit=20,
)
CONNECTION = "arn:aws:codeconnections:eu-central-1:123456789012:connection/aEXAMPLE-8aad-4d5d"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_COMPANY = build(
    ReleaseBuild,
    project="Shop",
    project_url="https://github.example.com/shop/images",
    connection_arn=CONNECTION,
    image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/builder:1.4",
    architecture="arm64",
    privileged=False,
    buildspec="ci/release.yaml",
    docker_secret="none",
    policy_statements=[
        {
            "Sid": "Push",
            "Effect": "Allow",
            "Action": ["ecr:PutImage", "ecr:InitiateLayerUpload"],
            "Resource": "arn:aws:ecr:eu-central-1:123456789012:repository/shop/*",
            "Condition": {"StringEquals": {"aws:ResourceAccount": "123456789012"}},
        },
        {"Effect": "Deny", "NotAction": "ecr:*", "NotResource": "*"},
    ],
    managed_policy_arns=["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"],
    test_reports=True,
    permissions_boundary="arn:aws:iam::123456789012:policy/limit",
    role_path="/builds/",
    kms_key_arn=KEY,
    vpc_id="vpc-0123456789abcdef0",
    subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    security_groups=["sg-0123456789abcdef0"],
    queued_timeout_in_minutes=60,
    concurrent_build_limit=10,
)
GOLDEN = {
    "ci_build.yaml": CI,
    "ci_build_many_options.yaml": MANY_OPTIONS,
    "release_build_other_company.yaml": OTHER_COMPANY,
    "release_build.yaml": RELEASE,
    "source_credentials.yaml": SOURCE,
}
BUILDS = [pytest.param(construct, id=name) for name, construct in GOLDEN.items() if construct is not SOURCE]


@pytest.mark.parametrize("name", GOLDEN)
def test_template_matches_golden_file(name: str, golden: Callable[[str, str], None]):
    golden(name, render(GOLDEN[name]).body)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("name", GOLDEN)
def test_linter_has_no_findings(name: str, region: str):
    assert lint(render(GOLDEN[name]), region) == []


@pytest.mark.parametrize("cache", ["none", "docker", "source", "s3"])
def test_linter_has_no_findings_with_any_cache(cache: str):
    assert lint(render(build(ReleaseBuild, project="Slc", project_url=URL, cache=cache)), "eu-central-1") == []


def resources(construct: Construct) -> dict[str, Any]:
    found: dict[str, Any] = parse(render(construct).body)["Resources"]
    return found


def statements(construct: Construct) -> Iterator[dict[str, Any]]:
    """Return every statement of the roles' policies, except those of a user."""
    for resource in resources(construct).values():
        for policy in resource["Properties"].get("Policies", ()):
            if policy["PolicyName"] != "additional":
                yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def granted(construct: Construct) -> dict[str, Any]:
    """Return the resources of each allowed action."""
    return {
        action: statement["Resource"] for statement in statements(construct) for action in listed(statement["Action"])
    }


def arn(rest: str, **names: object) -> dict[str, Any]:
    return {"Fn::Sub": ["arn:${AWS::Partition}:" + rest, names]}


PROJECT_ARN = "codebuild:${AWS::Region}:${AWS::AccountId}:project/${Project}"


@pytest.mark.parametrize("construct", BUILDS)
def test_logical_ids_are_fixed(construct: Construct):
    assert set(resources(construct)) == {
        "ArtifactsBucket",
        "ArtifactsBucketPolicy",
        "BatchBuildRole",
        "CodeBuild",
        "CodeBuildLogGroup",
        "CodeBuildRole",
    }


def test_credentials_stack_contains_one_credential_by_reference():
    (credential,) = resources(SOURCE).items()
    assert credential == (
        "SourceCredential",
        {
            "Type": "AWS::CodeBuild::SourceCredential",
            "Properties": {
                "ServerType": "GITHUB",
                "AuthType": "PERSONAL_ACCESS_TOKEN",
                "Username": "{{resolve:secretsmanager:github:SecretString:user}}",
                "Token": "{{resolve:secretsmanager:github:SecretString:token}}",
            },
        },
    )


@pytest.mark.parametrize("construct", BUILDS)
def test_roles_have_no_wildcard_actions_or_resources(construct: Construct):
    for statement in statements(construct):
        assert statement["Effect"] == "Allow"
        assert "*" not in "".join(listed(statement["Action"]))
        if statement["Sid"] in {"LogInToRegistry", "FindNetwork"}:
            # Their actions support no resources.
            assert all(
                re.fullmatch(r"ecr:GetAuthorizationToken|ec2:Describe\w+", each) for each in listed(statement["Action"])
            )
            continue
        for resource in listed(statement["Resource"]):
            text = resource["Fn::Sub"] if isinstance(resource, dict) and "Fn::Sub" in resource else ""
            pattern = text[0] if isinstance(text, list) else text
            # The remaining wildcards are below a bucket, a secret prefix or report groups of this project, and in the network.
            for scope in (
                "${ArtifactsBucket.Arn}/*",
                "secret:${Prefix}*",
                "report-group/${Project}-*",
                "network-interface/*",
            ):
                pattern = pattern.removesuffix(scope)
            # An ID is unique in all accounts.
            pattern = re.sub(r":\*:(?=(subnet/\$\{Subnet\}|security-group/\$\{Group\})$)", "::", pattern)
            assert "*" not in pattern
            assert resource != "*"


@pytest.mark.parametrize("construct", [CI, RELEASE])
def test_build_role_has_exact_permissions(construct: CiBuild | ReleaseBuild):
    bucket = {"Fn::GetAtt": ["ArtifactsBucket", "Arn"]}
    objects = {"Fn::Sub": "${ArtifactsBucket.Arn}/*"}
    log_group = [
        arn(
            "logs:${AWS::Region}:${AWS::AccountId}:log-group:${Group}",
            Group={"Ref": "CodeBuildLogGroup"},
        ),
        {"Fn::GetAtt": ["CodeBuildLogGroup", "Arn"]},
    ]
    project = arn(PROJECT_ARN, Project=construct.codebuild_name)
    allowed = granted(construct)
    secret = allowed.pop("secretsmanager:GetSecretValue")
    assert allowed == {
        "logs:CreateLogGroup": log_group,
        "logs:CreateLogStream": log_group,
        "logs:PutLogEvents": log_group,
        "s3:GetBucketAcl": bucket,
        "s3:GetBucketLocation": bucket,
        "s3:GetObject": objects,
        "s3:GetObjectVersion": objects,
        "s3:PutObject": objects,
        "codebuild:StartBuild": project,
        "codebuild:StopBuild": project,
        "codebuild:RetryBuild": project,
    }
    if isinstance(construct, CiBuild):
        assert secret == arn(
            "secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${Secret}-??????", Secret="Dockerhub"
        )
    else:
        assert secret == arn(
            "secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${Prefix}*", Prefix="exasol-ci-setup/Slc/"
        )


def test_additional_statements_are_policy_of_build_role_alone():
    roles = {name: resources(OTHER_COMPANY)[name]["Properties"] for name in ("CodeBuildRole", "BatchBuildRole")}
    assert [policy["PolicyName"] for policy in roles["CodeBuildRole"]["Policies"]] == ["build", "additional"]
    assert roles["CodeBuildRole"]["Policies"][1]["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Sid": "Push",
            "Action": ["ecr:PutImage", "ecr:InitiateLayerUpload"],
            "Resource": ["arn:aws:ecr:eu-central-1:123456789012:repository/shop/*"],
            "Condition": {"StringEquals": {"aws:ResourceAccount": ["123456789012"]}},
        },
        {"Effect": "Deny", "NotAction": ["ecr:*"], "NotResource": ["*"]},
    ]
    assert roles["CodeBuildRole"]["ManagedPolicyArns"] == list(OTHER_COMPANY.managed_policy_arns)
    assert [policy["PolicyName"] for policy in roles["BatchBuildRole"]["Policies"]] == ["batch"]
    assert "ManagedPolicyArns" not in roles["BatchBuildRole"]


def test_boundary_and_path_apply_to_both_roles():
    for role in ("CodeBuildRole", "BatchBuildRole"):
        properties = resources(OTHER_COMPANY)[role]["Properties"]
        assert properties["PermissionsBoundary"] == "arn:aws:iam::123456789012:policy/limit"
        assert properties["Path"] == "/builds/"
        assert not {"PermissionsBoundary", "Path"} & resources(CI)[role]["Properties"].keys()


def test_docker_secret_none_grants_no_secret():
    of_ci = build(CiBuild, project="Slc", project_url=URL, docker_secret="none")
    assert "secretsmanager:GetSecretValue" not in granted(of_ci)
    assert granted(OTHER_COMPANY)["secretsmanager:GetSecretValue"]["Fn::Sub"][1] == {"Prefix": "exasol-ci-setup/Shop/"}


def test_role_pulls_image_from_its_repository_only():
    environment = resources(OTHER_COMPANY)["CodeBuild"]["Properties"]["Environment"]
    assert environment["ImagePullCredentialsType"] == "SERVICE_ROLE"
    repository = arn("${Repository}", Repository="ecr:eu-central-1:123456789012:repository/tools/builder")
    assert (
        granted(OTHER_COMPANY)["ecr:BatchGetImage"]
        == granted(OTHER_COMPANY)["ecr:GetDownloadUrlForLayer"]
        == repository
    )
    assert not [action for action in granted(MANY_OPTIONS) if action.startswith("ecr:")]
    assert "ImagePullCredentialsType" not in resources(MANY_OPTIONS)["CodeBuild"]["Properties"]["Environment"]


def test_container_builder_pulls_image_from_its_repository_only():
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/builder@sha256:" + "0" * 64
    builder = build(
        ContainerBuilder,
        name="build",
        asset="my-archives",
        registry="images",
        builder=build(BuildkitBuilder, name="host", image=image, architecture="arm64"),
    )
    properties = resources(builder)["Project"]["Properties"]["Environment"]
    assert (properties["Type"], properties["ImagePullCredentialsType"]) == ("ARM_CONTAINER", "SERVICE_ROLE")
    pull = next(each for each in statements(builder) if each["Sid"] == "PullBuildImage")
    assert pull["Resource"] == arn("${Repository}", Repository="ecr:eu-central-1:123456789012:repository/tools/builder")
    assert lint(render(builder), "eu-central-1") == []


def test_image_of_registry_in_program_is_pulled_with_output():
    registry = Registry(scope=Scope(region="eu-central-1", name="shop"), name="images")
    uri = placeholder(registry, "RepositoryUri")

    construct = build(CiBuild, project="Slc", project_url=URL, docker_secret="none", image=f"{uri}:1")

    assert resources(construct)["CodeBuild"]["Properties"]["Environment"]["ImagePullCredentialsType"] == "SERVICE_ROLE"
    assert granted(construct)["ecr:BatchGetImage"] == placeholder(registry, "RepositoryArn")


def test_only_releases_keep_versions_of_artifacts():
    release, of_ci = (resources(each)["ArtifactsBucket"]["Properties"] for each in (RELEASE, CI))
    assert release["VersioningConfiguration"] == {"Status": "Enabled"}
    assert release["LifecycleConfiguration"]["Rules"][0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 180}
    assert "VersioningConfiguration" not in of_ci
    assert "NoncurrentVersionExpiration" not in of_ci["LifecycleConfiguration"]["Rules"][0]


def test_webhook_is_omitted_for_enterprise_server():
    on_server = build(CiBuild, project="Slc", project_url=OTHER_COMPANY.project_url, connection_arn=CONNECTION)
    project = resources(on_server)["CodeBuild"]["Properties"]
    assert "Triggers" not in project
    assert project["Source"]["Type"] == "GITHUB_ENTERPRISE"


def test_webhook_filters_by_path_and_message():
    [group] = resources(MANY_OPTIONS)["CodeBuild"]["Properties"]["Triggers"]["FilterGroups"]
    assert group[2:] == [
        {"Type": "FILE_PATH", "Pattern": "^images/"},
        {"Type": "FILE_PATH", "Pattern": r"\.md$", "ExcludeMatchedPattern": True},
        {"Type": "COMMIT_MESSAGE", "Pattern": "^release"},
        {"Type": "COMMIT_MESSAGE", "Pattern": r"\[skip ci\]", "ExcludeMatchedPattern": True},
    ]


def test_docker_secret_has_arn_if_known():
    assert granted(MANY_OPTIONS)["secretsmanager:GetSecretValue"] == MANY_OPTIONS.docker_secret_arn


def test_build_role_allows_only_given_connection():
    uses = {action: where for action, where in granted(MANY_OPTIONS).items() if "connections:" in action}
    assert set(uses) == set(MANY_OPTIONS.connection_actions)
    assert set(uses.values()) == {MANY_OPTIONS.connection_arn}
    assert resources(MANY_OPTIONS)["CodeBuild"]["Properties"]["Source"]["Auth"] == {
        "Type": "CODECONNECTIONS",
        "Resource": MANY_OPTIONS.connection_arn,
    }


def test_build_can_retry_only_with_retry_limit():
    def of_a_build(construct: Construct) -> list[str]:
        (policy,) = resources(construct)["CodeBuildRole"]["Properties"]["Policies"]
        return [action for entry in policy["PolicyDocument"]["Statement"] for action in listed(entry["Action"])]

    assert "codebuild:RetryBuild" in of_a_build(MANY_OPTIONS)
    assert "codebuild:RetryBuild" not in of_a_build(CI)
    assert resources(MANY_OPTIONS)["CodeBuild"]["Properties"]["AutoRetryLimit"] == 2


@pytest.mark.parametrize("construct", BUILDS)
def test_only_codebuild_of_this_account_can_assume_roles(construct: CiBuild):
    found = resources(construct)
    conditions = {}
    for role in ("CodeBuildRole", "BatchBuildRole"):
        (statement,) = found[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "codebuild.amazonaws.com"}
        conditions[role] = statement["Condition"]["StringEquals"]
        assert conditions[role]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert conditions["CodeBuildRole"]["aws:SourceArn"] == arn(PROJECT_ARN, Project=construct.codebuild_name)


@pytest.mark.parametrize("construct", BUILDS)
def test_bucket_is_private_encrypted_and_expires_objects(construct: CiBuild):
    bucket = resources(construct)["ArtifactsBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["BucketKeyEnabled"] is True
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == construct.artifact_retention_in_days
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


@pytest.mark.parametrize("construct", BUILDS)
def test_bucket_requires_tls(construct: Construct):
    policy = resources(construct)["ArtifactsBucketPolicy"]["Properties"]
    assert policy["Bucket"] == {"Ref": "ArtifactsBucket"}
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["ArtifactsBucket", "Arn"]},
        {"Fn::Sub": "${ArtifactsBucket.Arn}/*"},
    ]


def test_push_to_matching_branch_starts_batch():
    project = resources(CI)["CodeBuild"]["Properties"]
    assert project["Triggers"] == {
        "Webhook": True,
        "BuildType": "BUILD_BATCH",
        "FilterGroups": [[{"Type": "EVENT", "Pattern": "PUSH"}, {"Type": "HEAD_REF", "Pattern": CI.branch_filter}]],
    }
    assert project["Name"] == "SlcCodeBuild"
    assert project["Source"]["BuildSpec"] == "aws-code-build/ci/buildspec.yaml"


def test_release_has_no_trigger():
    project = resources(RELEASE)["CodeBuild"]["Properties"]
    assert "Triggers" not in project
    assert project["Name"] == "SlcReleaseCodeBuild"
    assert project["Source"]["BuildSpec"] == "aws-code-build/release/buildspec.yaml"


@pytest.mark.parametrize("construct", BUILDS)
def test_log_group_precedes_project_and_expires(construct: CiBuild):
    found = resources(construct)
    key = {} if construct.kms_key_arn is None else {"KmsKeyId": construct.kms_key_arn}
    assert found["CodeBuildLogGroup"]["Properties"] == {
        "LogGroupName": construct.log_group_name,
        "RetentionInDays": construct.log_retention_in_days,
        **key,
    }
    assert found["CodeBuild"]["Properties"]["LogsConfig"] == {
        "CloudWatchLogs": {"Status": "ENABLED", "GroupName": {"Ref": "CodeBuildLogGroup"}},
        "S3Logs": {"Status": "ENABLED", "Location": {"Fn::Sub": "${ArtifactsBucket}/logs"}},
    }


@pytest.mark.parametrize("construct", BUILDS)
def test_batch_has_limit_and_status_per_build(construct: CiBuild):
    assert resources(construct)["CodeBuild"]["Properties"]["BuildBatchConfig"] == {
        "ServiceRole": {"Fn::GetAtt": ["BatchBuildRole", "Arn"]},
        "BatchReportMode": "REPORT_INDIVIDUAL_BUILDS",
        "TimeoutInMins": construct.batch_timeout_in_minutes,
        "Restrictions": {"MaximumBuildsAllowed": construct.batch_limit},
    }


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ("none", {"Type": "NO_CACHE"}),
        ("docker", {"Type": "LOCAL", "Modes": ["LOCAL_DOCKER_LAYER_CACHE"]}),
        ("source", {"Type": "LOCAL", "Modes": ["LOCAL_SOURCE_CACHE"]}),
        ("s3", {"Type": "S3", "Location": {"Fn::Sub": "${ArtifactsBucket}/cache"}}),
    ],
)
def test_cache_exists_only_if_requested(cache: str, expected: object):
    construct = build(CiBuild, project="Slc", project_url=URL, cache=cache)
    assert resources(construct)["CodeBuild"]["Properties"]["Cache"] == expected
    assert ("s3:ListBucket" in granted(construct)) is (cache == "s3")


@pytest.mark.parametrize("construct", BUILDS)
def test_stack_outputs_names_of_resources(construct: Construct):
    outputs = parse(render(construct).body)["Outputs"]
    assert {name: output["Value"] for name, output in outputs.items()} == {
        "ProjectName": {"Ref": "CodeBuild"},
        "ArtifactsBucketName": {"Ref": "ArtifactsBucket"},
        "LogGroupName": {"Ref": "CodeBuildLogGroup"},
    }


def test_only_build_stacks_need_iam_capability():
    assert capabilities(parse(render(CI).body)) == ("CAPABILITY_IAM",)
    assert capabilities(parse(render(RELEASE).body)) == ("CAPABILITY_IAM",)
    assert capabilities(parse(render(SOURCE).body)) == ()


@pytest.mark.parametrize("name", GOLDEN)
def test_template_is_readable(name: str):
    body = render(GOLDEN[name]).body
    assert body.isascii()
    assert body.endswith("\n")
    assert not body.endswith("\n\n")
    assert "\n\n\n" not in body
    assert not any(line != line.rstrip() for line in body.splitlines())
    assert "made by exasol-ci-setup deploy-" in body.splitlines()[1]


def test_templates_are_in_top_level_directory():
    assert template_directory() == Path(__file__).parents[2] / "templates"
    assert {path.name for path in (template_directory() / "cloudformation").iterdir()} >= {
        CiBuild.template,
        ReleaseBuild.template,
        SourceCredentials.template,
    }
