"""The parameters of CI and release builds follow the rules of AWS and GitHub."""

from __future__ import annotations

import re

import pytest

from exasol_ci_setup.constructs import CiBuild, ReleaseBuild, build
from exasol_ci_setup.core.errors import InputError

URL = "https://github.com/exasol/script-languages-release"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Dockerhub-a1B2c3"


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
        "https://github.com.evil.example/a/b",
        "https://githubXcom/a/b",
        "https://gitlab.com/a/b",
        "https://github.example.com/a/b",
    ],
)
def test_other_url_is_rejected_with_rule_and_example(url: str):
    with pytest.raises(InputError, match=r"--project-url .*on github\.com.*such as https://github\.com/exasol/"):
        ci(project_url=url)


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
