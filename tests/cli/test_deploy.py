"""`deploy-*` and `validate-*` as a user runs them."""

from __future__ import annotations

import json
import re

import pytest

from exasol_ci_setup.template.render import parse
from tests.pseudo_terminal import answered

URL = "https://github.com/exasol/script-languages-release"
OTHER = "https://github.com/exasol/other"
CI = ("deploy-ci-build", "--project", "Slc", "--project-url")
CREDENTIALS = (
    "deploy-source-credentials",
    *("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token"),
)

pytestmark = pytest.mark.live


@pytest.fixture
def ready(here):
    """The program, on an account with source credentials and a CI stack."""
    assert here(*CREDENTIALS, "--yes", "--no-lint").code == 0
    assert here(*CI, URL, "--yes", "--no-lint").code == 0
    return here


def test_source_credentials_have_default_stack_name(here, live):
    ran = here(*CREDENTIALS, "--yes")

    assert ran.code == 0
    assert ran.stdout.startswith("SourceCredentialArn  arn:aws:codebuild:")
    assert live.client("cloudformation").describe_stacks(StackName="SLCSourceCredentials")["Stacks"]


def test_ci_stack_shows_plan_events_and_outputs(here):
    here(*CREDENTIALS, "--yes", "--no-lint")

    ran = here(*CI, URL, "--yes")

    assert ran.code == 0
    assert re.search(r"^ProjectName +SlcCodeBuild$", ran.stdout, re.MULTILINE)
    assert "+ CodeBuild" in ran.stderr
    assert re.search(r"CREATE_COMPLETE +Slc +AWS::CloudFormation::Stack", ran.stderr)
    assert "stack Slc is deployed" in ran.stderr
    assert "\x1b" not in ran.stdout + ran.stderr


def test_second_deploy_reports_no_changes(ready, live):
    ran = ready(*CI, URL, "--yes", "--no-lint")

    assert ran.code == 0
    assert "up to date" in ran.stderr
    assert "SlcCodeBuild" in ran.stdout
    assert live.client("cloudformation").list_change_sets(StackName="Slc")["Summaries"] == []


def test_plan_goes_to_stdout_and_changes_nothing(ready, live):
    ran = ready(*CI, OTHER, "--plan", "--no-lint")

    assert ran.code == 0
    assert f'Source.Location: "{URL}" → "{OTHER}"' in ran.stdout
    assert "nothing was changed" in ran.stderr
    project = live.client("codebuild").batch_get_projects(names=["SlcCodeBuild"])["projects"][0]
    assert project["source"]["location"] == URL


def test_json_is_one_object_per_line(ready):
    ran = ready(*CI, OTHER, "--yes", "--output", "json")

    assert ran.code == 0
    assert {record["schema"] for record in ran.records} == {"exasol-ci-setup/2"}
    kinds = [record["type"] for record in ran.records]
    assert kinds[0] == "plan"
    assert kinds[-2:] == ["outputs", "result"]
    assert set(kinds[1:-2]) == {"event"}
    (change,) = [change for change in ran.records[0]["changes"] if change["logical_id"] == "CodeBuild"]
    assert {"path": "Source.Location", "before": URL, "after": OTHER}.items() <= next(
        found.items() for found in change["properties"] if found["path"] == "Source.Location"
    )
    assert ran.records[-1] == {
        "type": "result",
        "schema": "exasol-ci-setup/2",
        "status": "deployed",
        "stack_name": "Slc",
        "changed": True,
    }


@pytest.mark.usefixtures("lost_access")
def test_json_failure_is_last_object_with_exit_code(here):
    ran = here(*CI, URL, "--yes", "--no-lint", "--output", "json")

    assert ran.code == 1
    assert ran.records[-1]["type"] == "error"
    assert ran.records[-1]["exit_code"] == 1
    assert ran.records[-1]["diagnosis"]["logical_id"] == "CodeBuild"


def test_failed_creation_ends_with_resource_and_reason(here, other_account):
    other_account.client("s3").create_bucket(
        Bucket="a-bucket-of-others", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    here(*CREDENTIALS, "--yes", "--no-lint")

    ran = here(*CI, URL, "--yes", "--no-lint", "--bucket-name", "a-bucket-of-others")

    assert ran.code == 1
    last = ran.stderr.rstrip().splitlines()[-5:]
    assert "first failure  ArtifactsBucket AWS::S3::Bucket" in "\n".join(last)
    assert last[-1].startswith("  reason")
    assert "already" in last[-1]

    again = here(*CI, URL, "--yes", "--no-lint")

    assert again.code == 1
    assert "ROLLBACK_COMPLETE" in again.stderr
    assert "--recreate-failed`: it shows the plan" in again.stderr

    taken = here(*CI, URL, "--yes", "--no-lint", "--recreate-failed")

    assert taken.code == 0
    assert "SlcCodeBuild" in taken.stdout


def test_no_terminal_without_yes_changes_nothing(here, live):
    ran = here(*CREDENTIALS, "--no-lint")

    assert ran.code == 2
    assert "there is no terminal" in ran.stderr
    assert "--yes" in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_yes_without_terminal_does_not_approve_broader_access(ready):
    wider = (*CI, URL, "--yes", "--no-lint", "--docker-secret", "github")

    ran = ready(*wider)

    assert ran.code == 1
    assert "broadens access" in ran.stderr
    assert "Access that is broadened" in ran.stderr
    assert ready(*CI, URL, "--plan", "--no-lint").stderr.count("up to date") == 1

    assert ready(*wider, "--allow-broadening").code == 0


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--project", "a b: c", "--project-url", URL), "letters, digits and hyphens"),
        (("--project", "Slc", "--project-url", "no url"), "https URL of a repository"),
        (("--project", "Slc", "--project-url", "https://user:pw@github.com/a/b"), "https URL of a repository"),
        (("--project", "Slc", "--project-url", URL, "--timeout", "30"), "use a number with its unit"),
        (("--project", "Slc", "--project-url", URL, "--tag", "x"), "use KEY=VALUE"),
        (("--project", "Slc", "--project-url", URL, "--tag", "aws:x=y"), "reserved"),
        (("--project", "Slc", "--project-url", URL, "--tag", "x="), "both not empty"),
        (("--project", "Slc", "--project-url", URL, "--role-arn", "x"), "the ARN of a role"),
        (("--project", "Slc", "--project-url", URL, "--notification-arn", "x"), "the ARN of an SNS topic"),
        (("--project", "Slc", "--project-url", URL + "/tree/main"), "https URL of a repository"),
        (("--project", "Slc", "--project-url", URL, "--codebuild-name", "a.b"), "letters, digits, hyphens"),
        (("--project", "Slc", "--project-url", URL, "--docker-secret", "nosuch"), "does not exist in eu-central-1"),
        (("--project", "Slc"), "Missing option '--project-url'"),
    ],
)
def test_bad_input_names_rule(here, arguments, rule):
    ran = here("deploy-ci-build", *arguments)

    assert ran.code == 2
    assert rule in ran.stderr
    assert "pw@" not in ran.stderr
    assert not ran.stdout


@pytest.mark.parametrize("by", ["option", "environment"])
def test_unknown_profile_lists_existing_profiles(program, tmp_path, monkeypatch, by):
    config = tmp_path / "config"
    config.write_text("[profile build]\nregion = eu-central-1\n[profile play]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    if by == "environment":
        monkeypatch.setenv("AWS_PROFILE", "nosuch")

    ran = program(*CI, URL, *(("--aws-profile", "nosuch") if by == "option" else ()))

    assert ran.code == 4
    assert "'nosuch' does not exist" in ran.stderr
    assert "build, play" in ran.stderr


def test_missing_region_differs_from_missing_credentials(program):
    nowhere = program(*CI, URL)
    anonymous = program(*CI, URL, "--region", "eu-central-1")

    assert (nowhere.code, anonymous.code) == (4, 4)
    assert "no AWS region is set" in nowhere.stderr
    assert "--sandbox needs none" in nowhere.stderr
    assert "no AWS credentials were found" in anonymous.stderr


@pytest.mark.parametrize("kind", ["ci-build", "release-build"])
def test_template_is_valid_without_aws(program, kind):
    ran = program(f"validate-{kind}", "--offline", "--project", "Slc", "--project-url", URL)

    assert ran.code == 0
    assert "valid" in ran.stderr
    assert not ran.stdout


def test_validate_prints_template(program):
    ran = program("validate-ci-build", "--offline", "--print-template", "--project", "Slc", "--project-url", URL)

    parsed = parse(ran.stdout)
    assert parsed["Resources"]["CodeBuild"]["Properties"]["Source"]["Location"] == URL


def test_validate_sends_template_to_cloudformation(here):
    ran = here("validate-release-build", "--project", "Slc", "--project-url", URL, "--output", "json")

    assert ran.code == 0
    assert ran.records[-1]["status"] == "valid"


def test_source_credentials_template_is_valid(here):
    ran = here("validate-source-credentials", *CREDENTIALS[1:])

    assert ran.code == 0


def test_stack_name_option_sets_name(here):
    here(*CREDENTIALS, "--yes", "--no-lint")

    ran = here(*CI, URL, "--yes", "--no-lint", "--stack-name", "SlcCIBuild")

    assert ran.code == 0
    assert "stack SlcCIBuild is deployed" in ran.stderr


def test_secret_is_written_nowhere(here, live):
    ran = here(*CREDENTIALS, "--yes", "--log-level", "debug", "--output", "json")

    assert ran.code == 0
    values = json.loads(live.client("secretsmanager").get_secret_value(SecretId="github")["SecretString"])
    assert set(values) == {"user", "token"}
    for secret in values.values():
        assert secret not in ran.stdout + ran.stderr
    assert "cloudformation CreateChangeSet" in ran.stderr


@pytest.mark.usefixtures("lost_access")
def test_plan_does_not_delete_failed_stack(here, live):
    here(*CI, URL, "--yes", "--no-lint")
    here(*CREDENTIALS, "--yes", "--no-lint")

    ran = here(*CI, URL, "--plan", "--no-lint", "--recreate-failed")

    assert ran.code == 0
    assert "the stack is in ROLLBACK_COMPLETE: it is deleted and created again" in ran.stdout
    assert "on arn:aws:codebuild:eu-central-1:" in ran.stdout
    assert "${AWS::" not in ran.stdout
    assert (
        live.client("cloudformation").describe_stacks(StackName="Slc")["Stacks"][0]["StackStatus"]
        == "ROLLBACK_COMPLETE"
    )


@pytest.mark.usefixtures("lost_access")
def test_recreation_of_data_needs_consent(here, live, begin):
    failed = here(*CI, URL, "--yes", "--no-lint", "--on-failure", "keep")
    assert "hint: AWS kept what was done; fix the cause and run the command again" in failed.stderr
    here(*CREDENTIALS, "--yes", "--no-lint")
    again = (*CI, URL, "--no-lint", "--recreate-failed")

    planned = here(*again, "--plan")
    assert planned.code == 0
    assert " with data loss" in planned.stdout

    refused = here(*again, "--yes")
    assert refused.code == 1
    # The log group is empty.
    assert "the change to stack Slc deletes data (ArtifactsBucket);" in refused.stderr
    assert "--recreate-failed --yes --allow-data-loss`; nothing was changed" in refused.stderr
    assert live.client("cloudformation").describe_stacks(StackName="Slc")["Stacks"][0]["StackStatus"] == "CREATE_FAILED"

    code, shown = answered(begin(*again), "n\r")
    assert code == 1
    assert "Plan for stack Slc (deleted and created again)" in shown
    assert "Data loss: ArtifactsBucket. Delete stack Slc and create it again? [y/N]:" in shown

    here(*again, "--yes", "--allow-data-loss")
    assert live.client("cloudformation").describe_stacks(StackName="Slc")["Stacks"][0]["StackStatus"] != "CREATE_FAILED"


@pytest.mark.parametrize("arguments", [("list", "--nope"), ("deploy-ci-build",), ("status", "a b")])
def test_json_bad_usage_is_error_record(program, arguments):
    ran = program(*arguments, "--output", "json")

    assert ran.code == 2
    assert (ran.records[-1]["type"], ran.records[-1]["exit_code"]) == ("error", 2)


def test_terminal_asks_and_follows_in_color(begin):
    code, said = answered(begin(*CREDENTIALS, "--no-lint"), "y\r")

    assert code == 0, said
    assert "? [y/N]" in said
    assert "\x1b[" in said
    assert "CREATE_COMPLETE" in said


@pytest.mark.parametrize(("answer", "code"), [("n\r", 1), ("\r", 1), ("\x03", 130), ("\x04", 1)])
def test_declined_plan_changes_nothing(begin, live, answer, code):
    ended, said = answered(begin(*CREDENTIALS, "--no-lint"), answer)

    assert ended == code
    assert "[y/N]" in said
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_json_in_terminal_shows_plan_before_question(begin):
    code, said = answered(begin(*CREDENTIALS, "--no-lint", "--output", "json"), "n\r")

    assert code == 1
    assert "+ SourceCredential" in said.split("[y/N]")[0]


@pytest.mark.live
def test_refused_stack_is_not_created(here, live):
    options = ("--project", "Shop", "--project-url", "https://github.com/acme/shop", "--no-lint")
    refused = here("deploy-ci-build", *options, "--yes")
    planned = here("deploy-ci-build", *options, "--plan")

    assert (refused.code, planned.code) == (2, 0)
    assert "which the webhook needs" in planned.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []
