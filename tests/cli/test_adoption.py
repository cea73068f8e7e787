"""Stacks of the predecessor and of other projects, and a credential that was deleted by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.stacks import predecessor

pytestmark = pytest.mark.live

SECRET = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")
DEPLOY = ("deploy-source-credentials", *SECRET, "--no-lint")
STACK = "SLCSourceCredentials"
URL = "https://github.com/exasol/script-languages-release"
FLEET = f"""
targets:
  main:
    region: eu-central-1
    source_credentials: {{secret_name: github, secret_user_key: user, secret_token_key: token}}
projects:
  Slc:
    project_url: {URL}
    ci: {{}}
"""


def credentials(live) -> list[dict[str, Any]]:
    return list(live.client("codebuild").list_source_credentials()["sourceCredentialsInfos"])


def lose_credential(live) -> None:
    (info,) = credentials(live)
    live.client("codebuild").delete_source_credentials(arn=info["arn"])


def resources(live, stack: str) -> dict[str, str]:
    found = live.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}


def tags(live, stack: str) -> dict[str, str]:
    (found,) = live.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {each["Key"]: each["Value"] for each in found["Tags"]}


def events(live, stack: str) -> list[tuple[str, str]]:
    found = live.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return [(each["LogicalResourceId"], each["ResourceStatus"]) for each in found]


@pytest.fixture
def theirs(live):
    """The predecessor's stack with the credential."""
    predecessor.create(live, STACK, predecessor.CREDENTIALS)


@pytest.fixture
def deployed(here):
    assert here(*DEPLOY, "--yes").code == 0


@pytest.mark.usefixtures("theirs")
def test_adopted_credentials_stack_keeps_its_credential(here, live):
    before = credentials(live)

    adopted = here(*DEPLOY, "--adopt", "--yes")
    again = here(*DEPLOY, "--yes")

    assert adopted.code == 0, adopted.stderr
    assert credentials(live) == before
    assert resources(live, STACK) == {"CodeBuildCredentials": before[0]["arn"]}
    assert tags(live, STACK) == {"exasol-ci-setup:construct": "SourceCredentials"}
    assert not [each for each in events(live, STACK) if each[1].startswith("DELETE")]
    assert again.code == 0
    assert "up to date" in again.stderr


@pytest.mark.usefixtures("theirs")
def test_plan_of_adoption_names_kept_logical_id(here, live):
    planned = here(*DEPLOY, "--adopt", "--plan")

    assert planned.code == 0
    assert "CodeBuildCredentials keeps its logical ID, instead of SourceCredential" in planned.stdout
    assert "0 to add" in planned.stdout
    assert "0 to remove" in planned.stdout
    assert tags(live, STACK) == {}


@pytest.mark.usefixtures("theirs")
def test_diff_of_adopted_stack_shows_no_differences(here):
    assert here(*DEPLOY, "--adopt", "--yes").code == 0

    ran = here("diff", "source-credentials", *SECRET, "--exit-code")

    assert ran.code == 0, ran.stdout


@pytest.mark.usefixtures("theirs")
def test_adopted_stack_takes_other_secret(here, live):
    assert here(*DEPLOY, "--adopt", "--yes").code == 0

    ran = here(
        "deploy-source-credentials", "--secret-name", "github", *("--secret-user-key", "token"), *SECRET[4:], "--yes"
    )

    assert ran.code == 0, ran.stderr
    assert len(credentials(live)) == 1
    body = live.client("cloudformation").get_template(StackName=STACK)["TemplateBody"]
    assert "SecretString:token}}" in body
    assert "CodeBuildCredentials" in body


@pytest.mark.parametrize(
    ("command", "stack", "template"),
    [
        ("deploy-ci-build", "SlcCIBuild", predecessor.CI),
        ("deploy-release-build", "SlcReleaseBuild", predecessor.RELEASE),
    ],
)
@pytest.mark.usefixtures("theirs")
def test_predecessors_build_stack_is_adopted(here, live, command, stack, template):
    predecessor.create(live, stack, template)
    ours = (command, "--project", "Slc", "--project-url", URL, "--stack-name", stack, "--no-lint")

    adopted = here(*ours, "--adopt", "--yes", "--allow-broadening", "--no-lint")
    again = here(*ours, "--yes")

    assert adopted.code == 0, adopted.stderr
    prefix = {"SlcCIBuild": ""}.get(stack, "Release")
    assert {f"{prefix}ArtifactsBucket", f"{prefix}CodeBuildLogGroup"} <= resources(live, stack).keys()
    assert resources(live, stack)["CodeBuild"] == {"SlcCIBuild": "SlcCodeBuild"}.get(stack, "SlcReleaseCodeBuild")
    assert "up to date" in again.stderr
    assert credentials(live)


@pytest.mark.usefixtures("deployed")
def test_lost_credential_is_created_again(here, live):
    lose_credential(live)

    ran = here(*DEPLOY, "--yes")
    again = here(*DEPLOY, "--yes")

    assert ran.code == 0, ran.stderr
    assert f"stack {STACK} has lost SourceCredential: CodeBuild has no credential for GITHUB" in ran.stderr
    assert len(credentials(live)) == 1
    assert "up to date" in again.stderr


@pytest.mark.usefixtures("deployed")
def test_lost_credential_needs_confirmation(here, live):
    lose_credential(live)

    ran = here(*DEPLOY)

    assert ran.code == 2
    assert "confirmation is needed" in ran.stderr
    assert resources(live, STACK).keys() == {"SourceCredential"}


@pytest.mark.usefixtures("deployed")
def test_plan_of_lost_credential_changes_nothing(here, live):
    lose_credential(live)
    before = events(live, STACK)

    ran = here(*DEPLOY, "--plan")

    assert ran.code == 0
    assert "the stack is in CREATE_COMPLETE: it is deleted and created again" in ran.stdout
    assert events(live, STACK) == before


@pytest.mark.usefixtures("deployed")
def test_lost_credential_of_protected_stack_is_refused(here, live):
    assert here(*DEPLOY, "--termination-protection", "--yes").code == 0
    lose_credential(live)

    ran = here(*DEPLOY, "--yes")

    assert ran.code == 1
    assert "aws cloudformation update-termination-protection --no-enable-termination-protection" in ran.stderr
    assert resources(live, STACK)


@pytest.mark.usefixtures("theirs")
def test_lost_credential_of_adopted_stack_is_refused(here, live):
    lose_credential(live)

    ran = here(*DEPLOY, "--adopt", "--yes")

    assert ran.code == 1
    assert f"`aws cloudformation delete-stack --stack-name {STACK}`" in ran.stderr
    assert resources(live, STACK)


@pytest.mark.usefixtures("deployed")
def test_drift_shows_and_reverts_lost_credential(here, live):
    lose_credential(live)

    shown = here("drift", STACK, "--exit-code")
    reverted = here("drift", STACK, "--revert", "--yes")

    assert shown.code == 5
    assert "SourceCredential  AWS::CodeBuild::SourceCredential  (deleted)" in shown.stdout
    assert reverted.code == 0, reverted.stderr
    assert len(credentials(live)) == 1


@pytest.mark.usefixtures("deployed")
def test_health_and_failed_deployment_name_same_command(here, live):
    lose_credential(live)
    command = "`exasol-ci-setup deploy-source-credentials --secret-name github --secret-user-key user --secret-token-key token"

    health = here("health", "--output", "json")
    failed = here("deploy-ci-build", "--project", "Slc", "--project-url", URL, "--yes", "--no-lint")

    (check,) = [line for line in map(json.loads, health.stdout.splitlines()) if line.get("code") == "E-CI-11"]
    assert command in check["fix"]
    assert failed.code == 2
    assert command in failed.stderr


@pytest.mark.usefixtures("deployed")
def test_fleet_creates_lost_credential_again(here, live, tmp_path):
    lose_credential(live)
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET, encoding="utf-8")

    ran = here("deploy-fleet", str(file), "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    assert len(credentials(live)) == 1


@pytest.mark.usefixtures("deployed")
def test_second_credential_is_refused_without_deletion_hint(here):
    ran = here(*DEPLOY, "--stack-name", "Second", "--yes")

    assert ran.code == 1
    assert "delete-source-credentials" not in ran.stderr
    assert "all projects use the existing one" in ran.stderr


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    "more",
    [
        ("deploy-release-build",),
        ("import", "release-build", "--resource", "ReleaseCodeBuild=x"),
    ],
)
def test_adopt_refuses_stack_of_another_project(here, live, more):
    assert here("deploy-ci-build", "--project", "ZRelease", "--project-url", URL, "--yes", "--no-lint").code == 0
    before = events(live, "ZRelease")

    ran = here(*more, "--project", "Z", "--project-url", "https://github.com/o/other", "--adopt", "--yes")

    assert ran.code == 1
    assert (
        "stack ZRelease belongs to construct CiBuild, project ZRelease, not to construct ReleaseBuild, project Z"
        in ran.stderr
    )
    assert "`exasol-ci-setup delete ZRelease" in ran.stderr
    assert "--adopt --plan" not in ran.stderr
    assert events(live, "ZRelease") == before


@pytest.mark.usefixtures("deployed")
def test_fleet_with_adopt_refuses_stack_of_another_project(here, live, tmp_path):
    assert (
        here(
            "deploy-release-build", "--project", "S", "--project-url", URL, "--stack-name", "Slc", "--yes", "--no-lint"
        ).code
        == 0
    )
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET, encoding="utf-8")

    ran = here("deploy-fleet", str(file), "--yes", "--no-lint", "--adopt", "--allow-broadening")

    assert ran.code == 1
    assert "stack Slc belongs to construct ReleaseBuild, project S" in ran.stderr
    assert tags(live, "Slc")["exasol-ci-setup:project"] == "S"


@pytest.mark.usefixtures("theirs")
def test_second_stack_beside_predecessors_is_refused(here, live):
    predecessor.create(live, "SlcCIBuild", predecessor.CI)
    ours = ("deploy-ci-build", "--project", "Slc", "--project-url", URL, "--no-lint")

    refused = here(*ours, "--yes")
    planned = here(*ours, "--plan")
    started = here("start-ci-build", "--project", "Slc", "--branch", "main")
    adopted = here(*ours, "--stack-name", "SlcCIBuild", "--adopt", "--yes", "--allow-broadening")
    again = here(*ours, "--yes")

    said = "stack SlcCIBuild, which was not created by this tool, builds the project already"
    assert "stack SlcCIBuild, which builds project Slc, was not created by this tool" in started.stderr
    assert (refused.code, planned.code, started.code, adopted.code, again.code) == (1, 0, 1, 0, 1), adopted.stderr
    assert said in refused.stderr
    assert f"--project-url {URL} --no-lint --yes --stack-name SlcCIBuild --adopt" in refused.stderr
    assert said in planned.stderr
    assert (
        f"`exasol-ci-setup deploy-ci-build --project Slc --project-url {URL} --stack-name SlcCIBuild --adopt"
        in started.stderr
    )
    assert "stack SlcCIBuild builds the project already" in again.stderr
    assert "--adopt" not in again.stderr


@pytest.mark.usefixtures("theirs")
def test_builds_of_predecessors_stack_are_listed_and_started_by_its_name(here, live, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    predecessor.create(live, "SlcCIBuild", predecessor.CI)
    predecessor.create(live, "SlcReleaseBuild", predecessor.RELEASE)

    started = here("start-ci-build", "--project", "Slc", "--branch", "main", "--stack-name", "SlcCIBuild", "--no-wait")
    listed = here("builds", "--project", "Slc")
    logged = here("logs", "--latest", "--project", "Slc")
    release = here(
        *("start-release-build", "--project", "Slc", "--branch", "main", "--stack-name", "SlcReleaseBuild"),
        *("--upload-url", "https://uploads.github.com/repos/exasol/script-languages-release/releases/1/assets"),
    )

    batch = started.stdout.strip()
    assert batch.startswith("SlcCIBuild-SlcCodeBuild-")
    assert batch in listed.stdout
    assert f"batch {batch} on main" in logged.stderr
    assert release.code == 1
    assert "stack SlcReleaseBuild, which builds project Slc, was not created by this tool" in release.stderr
    assert (
        f"deploy-release-build --project Slc --project-url {URL} --stack-name SlcReleaseBuild --adopt`"
        in release.stderr
    )
    assert not [each for each in live.client("codebuild").list_build_batches()["ids"] if "Release" in each]


@pytest.mark.usefixtures("theirs")
def test_fleet_beside_predecessors_stack_is_refused(here, live, tmp_path):
    predecessor.create(live, "SlcCIBuild", predecessor.CI)
    file = tmp_path / "fleet.yaml"
    fleet = FLEET.replace("    source_credentials", "    # source_credentials")
    file.write_text(fleet, encoding="utf-8")

    refused = here("deploy-fleet", str(file), "--yes", "--no-lint")
    file.write_text(fleet.replace("ci: {}", "ci: {stack_name: SlcCIBuild}"), encoding="utf-8")
    adopted = here("deploy-fleet", str(file), "--yes", "--no-lint", "--adopt", "--allow-broadening")
    file.write_text(fleet, encoding="utf-8")
    again = here("deploy-fleet", str(file), "--yes", "--no-lint")
    file.write_text(fleet.replace("ci: {}", "ci: {stack_name: Slc, codebuild_name: Other}"), encoding="utf-8")
    second = here("deploy-fleet", str(file), "--yes", "--no-lint")

    assert refused.code == 1
    assert "stack SlcCIBuild, which was not created by this tool, builds the project already" in refused.stderr
    assert "set stack_name: SlcCIBuild for it in the file, and add --adopt" in refused.stderr
    assert adopted.code == 0, adopted.stderr
    assert again.code == 1
    assert "set stack_name: SlcCIBuild for it in the file; for a second stack" in again.stderr
    assert second.code == 0, second.stderr


@pytest.mark.usefixtures("deployed")
def test_second_stack_of_asked_name_is_created(here, live):
    predecessor.create(live, "SlcReleaseBuild", predecessor.RELEASE)

    ran = here(
        *("deploy-release-build", "--project", "Slc", "--project-url", URL, "--no-lint"),
        *("--stack-name", "SlcRelease", "--yes"),
    )

    assert ran.code == 0, ran.stderr


@pytest.mark.usefixtures("deployed")
def test_builds_of_project_are_found_in_stack_of_another_name(here):
    ours = ("deploy-ci-build", "--project", "Slc", "--project-url", URL, "--no-lint", "--yes")
    assert here(*ours, "--stack-name", "Tests").code == 0

    started = here("start-ci-build", "--project", "Slc", "--branch", "main", "--no-wait")
    listed = here("builds", "--project", "Slc", "--output", "json")

    assert started.code == 0, started.stderr
    assert "SlcCodeBuild" in listed.stdout
