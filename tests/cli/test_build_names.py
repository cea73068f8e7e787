"""Projects whose default names collide, such as Slc with a release build and SlcRelease with a CI build."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.live

URL = "https://github.com/exasol/script-languages-release"
OTHER = "https://github.com/exasol/script-languages"
SECRET = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")
CI = ("deploy-ci-build", "--project", "SlcRelease", "--project-url", URL, "--no-lint", "--yes")
RELEASE = ("deploy-release-build", "--project", "Slc", "--project-url", OTHER, "--no-lint", "--yes")
NAMES = ("--stack-name", "SlcPub", "--codebuild-name", "SlcPubBuild")
FLEET = f"""
targets:
  main: {{region: eu-central-1}}
projects:
  Slc:
    project_url: {OTHER}
    ci:
    release: {{stack_name: SlcPub, codebuild_name: SlcPubBuild}}
  SlcRelease:
    project_url: {URL}
    ci:
    release:
"""


@pytest.fixture
def deployed(here):
    """The CI stack of SlcRelease."""
    assert here("deploy-source-credentials", *SECRET, "--no-lint", "--yes").code == 0
    assert here(*CI).code == 0


def status(live, stack: str) -> str | None:
    stacks = live.client("cloudformation").describe_stacks()["Stacks"]
    return next((each["StackStatus"] for each in stacks if each["StackName"] == stack), None)


@pytest.mark.usefixtures("deployed")
def test_project_name_in_use_is_refused_before_creation(here, live):
    same_stack = here(*RELEASE)
    started = here(
        *("start-release-build", "--project", "Slc", "--branch", "main", "--github-token-secret", "github"),
        *("--upload-url", "https://uploads.github.com/repos/exasol/script-languages/releases/1/assets"),
    )
    same_project = here(*RELEASE, "--stack-name", "SlcPub")

    assert (same_stack.code, same_project.code) == (1, 1)
    assert "choose another stack name (--stack-name);" in same_stack.stderr
    assert started.code == 1
    assert (
        "stack 'SlcRelease' is of another project, and no stack in eu-central-1 has this build of project Slc"
        in started.stderr
    )
    assert "the CodeBuild project SlcReleaseCodeBuild belongs to stack SlcRelease" in same_project.stderr
    assert "choose another name for it (--codebuild-name)" in same_project.stderr
    assert status(live, "SlcPub") is None


@pytest.mark.usefixtures("deployed")
def test_stack_and_project_of_other_names_build(here):
    deployed = here(*RELEASE, *NAMES)
    again = here(*RELEASE, *NAMES)
    started = here(
        *(
            "start-release-build",
            "--project",
            "Slc",
            "--branch",
            "main",
            "--no-wait",
            "--github-token-secret",
            "github",
        ),
        *("--upload-url", "https://uploads.github.com/repos/exasol/script-languages/releases/1/assets"),
    )
    second = here(*RELEASE)

    assert deployed.code == 0, deployed.stderr
    assert "up to date" in again.stderr
    assert started.code == 0, started.stderr
    assert started.stdout.startswith("SlcPubBuild:")
    assert second.code == 1
    assert "stack SlcPub builds the project already" in second.stderr
    assert "--stack-name SlcPub --codebuild-name SlcPubBuild`" in second.stderr
    assert here(*CI).stderr.count("up to date") == 1


@pytest.mark.usefixtures("deployed")
def test_changed_name_in_use_is_refused(here):
    assert here(*RELEASE, *NAMES).code == 0

    ran = here(*RELEASE, "--stack-name", "SlcPub")

    assert ran.code == 1
    assert "CodeBuild project SlcReleaseCodeBuild belongs to stack SlcRelease" in ran.stderr


@pytest.mark.usefixtures("deployed")
def test_fleet_of_colliding_projects_is_deployed(here, live, tmp_path):
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET, encoding="utf-8")

    deployed = here("deploy-fleet", str(file), "--yes", "--no-lint")
    again = here("deploy-fleet", str(file), "--yes", "--no-lint")

    assert deployed.code == 0, deployed.stderr
    assert "4 stacks: 4 no changes" in again.stderr
    assert sorted(live.client("codebuild").list_projects()["projects"]) == [
        *("SlcCodeBuild", "SlcPubBuild", "SlcReleaseCodeBuild", "SlcReleaseReleaseCodeBuild")
    ]


@pytest.mark.usefixtures("deployed")
def test_fleet_names_keys_of_file(here, tmp_path):
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET.partition("  SlcRelease:")[0].replace(", codebuild_name: SlcPubBuild", ""), encoding="utf-8")

    ran = here("deploy-fleet", str(file), "--yes", "--no-lint")

    assert ran.code == 1
    assert "choose another name for it (codebuild_name)" in ran.stderr


def test_project_of_own_template_in_use_is_refused(here, live, tmp_path):
    template = tmp_path / "build.yaml"
    template.write_text(
        """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: codebuild.amazonaws.com}, Action: sts:AssumeRole}]
  Project:
    Type: AWS::CodeBuild::Project
    Properties:
      Name: Mine
      ServiceRole: !GetAtt Role.Arn
      Artifacts: {Type: NO_ARTIFACTS}
      Environment: {Type: LINUX_CONTAINER, ComputeType: BUILD_GENERAL1_SMALL, Image: "aws/codebuild/standard:8.0"}
      Source: {Type: NO_SOURCE, BuildSpec: "version: 0.2"}
""",
        encoding="utf-8",
    )
    deploy = ("deploy-template", str(template), "--no-lint", "--yes")
    assert here(*deploy, "--stack-name", "First").code == 0

    ran = here(*deploy, "--stack-name", "Second")

    assert ran.code == 1
    assert "stack Second cannot create Project: the CodeBuild project Mine belongs to stack First" in ran.stderr
    assert "or delete that project" in ran.stderr
    assert status(live, "Second") is None
