"""The parameters of CI and release builds follow the rules of AWS and GitHub."""

from __future__ import annotations

import re

import pytest

from exasol_ci_setup.builds.buildspecs import Options
from exasol_ci_setup.constructs import CiBuild, ReleaseBuild, build
from exasol_ci_setup.core.errors import InputError

URL = "https://github.com/exasol/script-languages-release"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Dockerhub-a1B2c3"


NETWORK = {
    "vpc_id": "vpc-0123456789abcdef0",
    "subnet_ids": ["subnet-0123456789abcdef0"],
    "security_groups": ["sg-0123456789abcdef0"],
}


def ci(**values: object) -> CiBuild:
    return build(CiBuild, **{"project": "Slc", "project_url": URL, **values})


@pytest.mark.parametrize("project", ["S", "Slc", "script-languages", "a" * 121])
def test_names_derived_from_valid_project_are_valid(project: str):
    for construct in (ci(project=project), build(ReleaseBuild, project=project, project_url=URL)):
        assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", construct.stack_name)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,149}", construct.codebuild_name)
        assert re.fullmatch(r"[.\-_/#A-Za-z0-9]{1,512}", construct.log_group_name)


@pytest.mark.parametrize(
    "project", ["", "1a", "-a", "a_b", "a b", "a.b", "a/b", "ä", "a" * 122, "a\n", "${AWS::Region}"]
)
def test_project_with_invalid_derived_name_is_rejected(project: str):
    with pytest.raises(InputError, match="--project "):
        ci(project=project)


def test_project_names_are_stable():
    assert ci().codebuild_name == "SlcCodeBuild"
    assert build(ReleaseBuild, project="Slc", project_url=URL).codebuild_name == "SlcReleaseCodeBuild"


def test_name_of_codebuild_project_can_be_set():
    construct = build(ReleaseBuild, project="Slc", project_url=URL, codebuild_name="SlcPub_Build")

    assert construct.codebuild_name == "SlcPub_Build"
    assert construct.log_group_name == "/aws/codebuild/SlcPub_Build"
    assert construct.stack_name == "SlcRelease"


@pytest.mark.parametrize("name", ["a", "-ab", "a.b", "a" * 151, "ab\n"])
def test_invalid_name_of_codebuild_project_is_rejected(name: str):
    with pytest.raises(InputError, match="--codebuild-name "):
        ci(codebuild_name=name)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"{URL}.git",
        "https://github.com/a/b",
        "https://github.com/some-one/re.po_with-all.of.it",
        "https://github.com/managed_corp/.github",
        "https://github.com/a/...",
    ],
)
def test_repository_url_is_accepted(url: str):
    assert ci(project_url=url).project_url == url
    assert ci(project_url=f"{url}/").project_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/a/b",
        "http://github.com/a/b",
        "git@github.com:a/b.git",
        "ssh://git@github.com/a/b",
        "https://github.com/a",
        "https://github.com/a/",
        "https://github.com/a/b//",
        "https://github.com/a/../",
        "https://github.com/a/.git/",
        "https://github.com/a/b/tree/main",
        "https://github.com/a/b?x=1",
        "https://github.com/a/b#x",
        "https://github.com/a/..",
        "https://github.com/a/.git",
        "https://github.com/../b",
        "https://github.com/-a/b",
        "https://github.com/a.b/c",
        "https://github.com/a/b c",
        "https://github.com/a/ü",
        "https://token@github.com/a/b",
        "https://github.com:443/a/b",
        "https://gist.github.com/a/b",
        "https://githubXcom/a/b",
        "https://gitlab.com/a/b",
        "https://bitbucket.org/a/b",
    ],
)
def test_other_url_is_rejected_with_rule_and_example(url: str):
    with pytest.raises(InputError, match=r"--project-url .*on github\.com.*such as https://github\.com/exasol/"):
        ci(project_url=url)


SERVER_URL = "https://github.example.com/some-one/re.po"
CONNECTION = "arn:aws:codeconnections:eu-central-1:123456789012:connection/1-a"


@pytest.mark.parametrize("url", [SERVER_URL, "https://github.com.example.org/a/b"])
def test_url_of_enterprise_server_requires_connection(url: str):
    with pytest.raises(InputError, match=r"GitHub Enterprise Server, .*--connection-arn"):
        ci(project_url=url)

    assert ci(project_url=url, connection_arn=CONNECTION).source_type == "GITHUB_ENTERPRISE"
    assert ci(connection_arn=CONNECTION).source_type == "GITHUB"


def test_url_of_enterprise_cloud_domain_is_rejected_with_reason():
    with pytest.raises(InputError, match=r"CodeConnections does not support GitHub Enterprise Cloud .*ghe\.com"):
        ci(project_url="https://acme.ghe.com/a/b", connection_arn=CONNECTION)


@pytest.mark.parametrize("name", ["abc", "my.logs-1", "a" * 63, "1-2-3"])
def test_valid_bucket_name_is_accepted(name: str):
    assert ci(bucket_name=name).bucket_name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "-ab",
        "ab-",
        "a..b",
        "192.168.5.4",
        "xn--abc",
        "sthree-abc",
        "abc-s3alias",
        "abc--x-s3",
    ],
)
def test_invalid_bucket_name_is_rejected(name: str):
    with pytest.raises(InputError, match="--bucket-name "):
        ci(bucket_name=name)


@pytest.mark.parametrize("minutes", [4, 2161, 0, -1])
@pytest.mark.parametrize("field", ["timeout_in_minutes", "batch_timeout_in_minutes"])
def test_time_outside_of_codebuild_range_is_rejected(field: str, minutes: int):
    with pytest.raises(InputError, match="use 5 to 2160 minutes"):
        ci(**{field: minutes})


@pytest.mark.parametrize("minutes", [5, 2160])
def test_limits_of_codebuild_range_are_accepted(minutes: int):
    assert ci(timeout_in_minutes=minutes).timeout_in_minutes == minutes


def test_only_retentions_of_cloudwatch_logs_are_accepted():
    assert ci(log_retention_in_days=30).log_retention_in_days == 30
    with pytest.raises(InputError, match=r"--log-retention-in-days 31 .*use 1, 3, 5, 7, 14, 30, 60"):
        ci(log_retention_in_days=31)


def test_release_is_kept_longer_than_ci_build():
    release = build(ReleaseBuild, project="Slc", project_url=URL)
    assert (ci().log_retention_in_days, ci().artifact_retention_in_days) == (14, 30)
    assert (release.log_retention_in_days, release.artifact_retention_in_days) == (180, 180)


def test_only_ci_build_has_branch_filter():
    with pytest.raises(InputError, match="--branch-filter is invalid: unknown option"):
        build(ReleaseBuild, project="Slc", project_url=URL, branch_filter="x")


@pytest.mark.parametrize(
    ("ref", "matches"),
    [
        ("refs/heads/main", True),
        ("refs/heads/develop", True),
        ("refs/heads/main2", False),
        ("refs/heads/feature/1", True),
        ("refs/heads/documentation/x", True),
        ("refs/heads/wip/1", False),
        ("refs/tags/main", False),
    ],
)
def test_default_branch_filter_matches_main_and_work_branches(ref: str, matches: bool):
    assert bool(re.search(ci().branch_filter, ref)) is matches


def test_docker_secret_arn_is_known_from_either_option():
    assert ci().known_docker_secret_arn is None
    assert ci(docker_secret=SECRET_ARN).known_docker_secret_arn == SECRET_ARN
    assert ci(docker_secret="Dockerhub", docker_secret_arn=SECRET_ARN).known_docker_secret_arn == SECRET_ARN


@pytest.mark.parametrize("secret", ["", "a b", "a:b", "arn:aws:secretsmanager:x", "a*", "a?", "a" * 513])
def test_invalid_secret_name_is_rejected(secret: str):
    with pytest.raises(InputError, match="--docker-secret "):
        ci(docker_secret=secret)


@pytest.mark.parametrize("arn", ["Dockerhub", SECRET_ARN[:-7], f"{SECRET_ARN}*", f"{SECRET_ARN}\n"])
def test_partial_secret_arn_is_rejected(arn: str):
    with pytest.raises(InputError, match="--docker-secret-arn "):
        ci(docker_secret_arn=arn)


def test_connection_actions_match_services_of_arn():
    new = ci(connection_arn="arn:aws:codeconnections:eu-central-1:123456789012:connection/1-a")
    old = ci(connection_arn="arn:aws:codestar-connections:eu-central-1:123456789012:connection/1-a")
    verbs = ("GetConnection", "GetConnectionToken", "UseConnection")
    assert new.connection_actions == tuple(f"codeconnections:{verb}" for verb in verbs)
    assert set(old.connection_actions) - set(new.connection_actions) == {
        f"codestar-connections:{verb}" for verb in verbs
    }


@pytest.mark.parametrize("arn", ["", "x", "arn:aws:codeconnections:eu-central-1:123456789012:connection/*"])
def test_invalid_connection_is_rejected(arn: str):
    with pytest.raises(InputError, match="--connection-arn "):
        ci(connection_arn=arn)


def test_docker_secret_none_needs_no_secret():
    without = ci(docker_secret="none")
    assert (without.has_docker_login, without.unknown_docker_secret) == (False, None)
    assert ci().unknown_docker_secret == "Dockerhub"
    assert ci(docker_secret=SECRET_ARN).unknown_docker_secret is None


@pytest.mark.parametrize("size", ["large", "Large", "BUILD_GENERAL1_LARGE"])
def test_short_compute_type_is_that_of_codebuild(size: str):
    assert ci(compute_type=size).compute_type == "BUILD_GENERAL1_LARGE"
    assert Options(kind="ci", output_path="x", compute_type=size).compute_type == "BUILD_GENERAL1_LARGE"


@pytest.mark.parametrize(
    ("size", "rule"),
    [
        ("mediu", "did you mean medium[?] Otherwise use small, medium, large"),
        ("BUILD_GENERAL1_LARG", "did you mean large[?]"),
        ("2xl", "did you mean 2xlarge[?]"),
        ("tiny", "use small, medium, large, xlarge or 2xlarge, or a name of CodeBuild"),
    ],
)
def test_mistyped_compute_type_suggests_short_name(size: str, rule: str):
    message = f"--compute-type '{size}' is invalid: {rule}"
    with pytest.raises(InputError, match=message):
        ci(compute_type=size)
    with pytest.raises(InputError, match=message):
        Options(kind="ci", output_path="x", compute_type=size)


def test_builds_have_default_compute_type_of_buildspecs():
    release = build(ReleaseBuild, project="Slc", project_url=URL)
    assert {ci().compute_type, release.compute_type, Options(kind="ci", output_path="x").compute_type} == {
        "BUILD_GENERAL1_MEDIUM"
    }


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, "LINUX_CONTAINER"),
        ({"architecture": "x86_64"}, "LINUX_CONTAINER"),
        ({"architecture": "arm64"}, "ARM_CONTAINER"),
        ({"image": "aws/codebuild/amazonlinux-aarch64-standard:3.0"}, "ARM_CONTAINER"),
        ({"image": "aws/codebuild/amazonlinux2-aarch64-standard:3.0"}, "ARM_CONTAINER"),
        ({"image": "public.ecr.aws/codebuild/amazonlinux-aarch64-standard:3.0"}, "ARM_CONTAINER"),
        ({"image": "aws/codebuild/amazonlinux-x86_64-standard:5.0"}, "LINUX_CONTAINER"),
        ({"image": "example/tools-aarch64:1"}, "LINUX_CONTAINER"),
        ({"image": "example/tools-aarch64:1", "architecture": "arm64"}, "ARM_CONTAINER"),
        ({"gpu": True, "compute_type": "BUILD_GENERAL1_LARGE"}, "LINUX_GPU_CONTAINER"),
    ],
)
def test_host_has_architecture_of_image_or_option(values: dict[str, object], kind: str):
    assert ci(**values).environment_type == kind


@pytest.mark.parametrize(
    "values",
    [
        {"cache": "docker"},
        {"cache": "source", "privileged": False},
        {"cache": "s3", "compute_type": "BUILD_GENERAL1_2XLARGE", **NETWORK},
        {"cache": "none", **NETWORK},
    ],
)
def test_cache_that_host_has_is_accepted(values: dict[str, object]):
    assert ci(**values).cache == values["cache"]


def test_arm64_without_image_runs_in_arm_image():
    assert ci(architecture="arm64").image == "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    assert ci(architecture="arm64", image="example/tools:1").image == "example/tools:1"


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (
            {"architecture": "arm64", "image": "aws/codebuild/standard:8.0"},
            "is for x86_64, but the architecture is arm64",
        ),
        (
            {"architecture": "x86_64", "image": "aws/codebuild/amazonlinux-aarch64-standard:3.0"},
            "is for arm64, but the architecture is x86_64",
        ),
        ({"gpu": True}, "compute types BUILD_GENERAL1_SMALL and BUILD_GENERAL1_LARGE"),
        ({"gpu": True, "compute_type": "BUILD_GENERAL1_LARGE", "architecture": "arm64"}, "have x86_64 processors"),
        ({"cache": "docker", **NETWORK}, "no cache on the host of builds in a VPC: use the cache s3 or none"),
        ({"cache": "source", "compute_type": "BUILD_GENERAL1_2XLARGE"}, "with compute type BUILD_GENERAL1_2XLARGE"),
        ({"cache": "source", "gpu": True, "compute_type": "BUILD_GENERAL1_LARGE"}, "of builds with a GPU"),
        ({"cache": "docker", "privileged": False}, "the cache docker needs privileged mode"),
        ({"vpc_id": "vpc-0123456789abcdef0"}, "all of vpc-id, subnet-id and security-group"),
        ({"subnet_ids": ["subnet-0123456789abcdef0"]}, "all of vpc-id, subnet-id and security-group"),
        (
            {
                "vpc_id": "vpc-0123456789abcdef0",
                "subnet_ids": ["subnet-0123456789abcdef0"] * 17,
                "security_groups": ["sg-0123456789abcdef0"],
            },
            "at most 16 subnets and 5 security groups",
        ),
        ({"managed_policy_arns": ["AdministratorAccess"]}, "use the ARN of a policy"),
        ({"managed_policy_arns": ["arn:aws:iam::aws:policy/A"] * 2}, "listed twice"),
        ({"permissions_boundary": "limit"}, "use the ARN of a policy"),
        ({"role_path": "builds"}, "begins and ends with a slash"),
        ({"kms_key_arn": "alias/mine"}, "use the ARN of a KMS key"),
        ({"queued_timeout_in_minutes": 481}, "use 5 to 480 minutes"),
        ({"concurrent_build_limit": 0}, "builds"),
        ({"path_filter": ""}, "use a regular expression"),
    ],
)
def test_impossible_host_or_role_is_rejected(values: dict[str, object], rule: str):
    with pytest.raises(InputError, match=rule):
        ci(**values)


@pytest.mark.parametrize("path", ["buildspec.yaml", "ci/buildspec.yml", ".ci/build-1/a.b"])
def test_path_of_buildspec_is_accepted(path: str):
    assert ci(buildspec=path).buildspec == path


@pytest.mark.parametrize(
    "path", ["", "/ci/x", "./x", "../x", "a/../x", "a/.", "a//x", "a b", "arn:aws:s3:::b/x", "a\nb"]
)
def test_other_buildspec_is_rejected(path: str):
    with pytest.raises(InputError, match="--buildspec "):
        ci(buildspec=path)
