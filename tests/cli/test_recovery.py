"""Commands `cancel`, `continue-rollback`, `diagnose` and `delete --force`."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = pytest.mark.live

OWN = [{"Key": "exasol-ci-setup:construct", "Value": "Test"}]


def topics(name, more=""):
    listed = ", ".join(
        f'T{number}: {{Type: "AWS::SNS::Topic", Properties: {{DisplayName: {name}}}}}' for number in range(4)
    )
    return f"Resources: {{{listed}{more}}}"


def project(*, webhook, more=""):
    properties = {
        "Name": "Builds",
        "ServiceRole": "arn:aws:iam::123456789012:role/builds",
        "Source": {"Type": "GITHUB", "Location": "https://github.com/exasol/some-repository"},
        "Artifacts": {"Type": "NO_ARTIFACTS"},
        "Environment": {"Type": "LINUX_CONTAINER", "ComputeType": "BUILD_GENERAL1_SMALL", "Image": "x"},
        "Triggers": {"Webhook": webhook},
    }
    return f'Resources: {{Project: {{Type: "AWS::CodeBuild::Project", Properties: {json.dumps(properties)}}}{more}}}'


def settle(cfn, name="Mine"):
    """Return the status of the stack after its operation has ended."""
    while (status := cfn.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith("_IN_PROGRESS"):
        time.sleep(0.05)
    return status


@pytest.fixture
def cfn(live):
    """CloudFormation with a stack created by this tool."""
    client = live.client("cloudformation")
    client.create_stack(StackName="Mine", TemplateBody=topics("old"), Tags=OWN)
    assert settle(client) == "CREATE_COMPLETE"
    return client


@pytest.fixture
def credentials(live):
    """Function that creates a GitHub credential in CodeBuild and returns its ARN."""

    def give():
        codebuild = live.client("codebuild")
        return codebuild.import_source_credentials(serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN", token="t")[
            "arn"
        ]

    return give


@pytest.fixture
def stuck(cfn, operations, live, other_account, account_id, credentials):
    """CloudFormation with an update that failed (name in use), and a failed rollback (no webhook credential)."""
    name = f"taken-{account_id}"
    other_account.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    arn = credentials()
    cfn.update_stack(StackName="Mine", TemplateBody=project(webhook=True), Tags=OWN)
    assert settle(cfn) == "UPDATE_COMPLETE"
    taken = f', Taken: {{Type: "AWS::S3::Bucket", DependsOn: Project, Properties: {{BucketName: {name}}}}}'
    # Delete the credential before the rollback needs it.
    operations.hold()
    cfn.update_stack(StackName="Mine", TemplateBody=project(webhook=False, more=taken), Tags=OWN)
    live.client("codebuild").delete_source_credentials(arn=arn)
    operations.release()
    assert settle(cfn) == "UPDATE_ROLLBACK_FAILED"
    return cfn


def test_cancel_rolls_back_running_update(here, cfn, operations):
    operations.hold()
    operations.release_after("CancelUpdateStack")
    cfn.update_stack(StackName="Mine", TemplateBody=topics("new"), Tags=OWN)

    ran = here("cancel", "Mine")

    assert ran.code == 0
    assert "canceled the update of stack Mine (UPDATE_ROLLBACK_COMPLETE)" in ran.stderr
    assert settle(cfn) == "UPDATE_ROLLBACK_COMPLETE"
    assert "old" in str(cfn.get_template(StackName="Mine")["TemplateBody"])


def test_cancel_without_update_fails(here, cfn):
    ran = here("cancel", "Mine")

    assert ran.code == 1
    assert ran.stderr.splitlines()[0] == "error: stack Mine has no update to cancel: it is in CREATE_COMPLETE"
    assert settle(cfn) == "CREATE_COMPLETE"


def test_cancel_of_creation_hints_at_delete(here, live, operations):
    operations.hold()
    client = live.client("cloudformation")
    client.create_stack(StackName="Other", TemplateBody=topics("old"), Tags=OWN)

    ran = here("cancel", "Other")

    assert ran.code == 1
    assert "AWS cancels updates only" in ran.stderr
    assert "`exasol-ci-setup delete Other" in ran.stderr
    operations.release()
    assert settle(client, "Other") == "CREATE_COMPLETE"


@pytest.mark.parametrize("command", ["cancel", "continue-rollback"])
def test_recovery_of_foreign_stack_is_rejected(here, live, command):
    client = live.client("cloudformation")
    client.create_stack(StackName="Theirs", TemplateBody=topics("old"))
    assert settle(client, "Theirs") == "CREATE_COMPLETE"

    ran = here(command, "Theirs")

    assert ran.code == 1
    assert "was not created by this tool" in ran.stderr


def test_rollback_continues_after_fix(here, credentials, stuck):
    again = here("continue-rollback", "Mine")

    assert again.code == 1
    assert "exasol-ci-setup continue-rollback Mine" in again.stderr
    assert again.stderr.splitlines()[-1].startswith("  reason")

    credentials()
    ran = here("continue-rollback", "Mine")

    assert ran.code == 0
    assert "rolled back stack Mine (UPDATE_ROLLBACK_COMPLETE)" in ran.stderr
    assert settle(stuck) == "UPDATE_ROLLBACK_COMPLETE"


def test_skip_continues_rollback_without_resource(here, stuck):
    wrong = here("continue-rollback", "Mine", "--skip", "Taken")
    right = here("continue-rollback", "Mine", "--skip", "Project")

    assert (wrong.code, right.code) == (2, 0)
    assert "Taken" in wrong.stderr
    assert "exasol-ci-setup diagnose Mine" in wrong.stderr
    assert settle(stuck) == "UPDATE_ROLLBACK_COMPLETE"


def test_continue_without_failed_rollback_fails(here, cfn):
    ran = here("continue-rollback", "Mine")

    assert ran.code == 1
    assert "has no rollback to continue: it is in CREATE_COMPLETE" in ran.stderr
    assert settle(cfn) == "CREATE_COMPLETE"


@pytest.mark.usefixtures("stuck")
def test_diagnose_prints_failure_to_stdout(here):
    ran = here("diagnose", "Mine")
    as_json = here("diagnose", "Mine", "--output", "json")

    assert ran.code == 0
    assert "first failure  Taken AWS::S3::Bucket" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("  reason")
    diagnosis, result = as_json.records
    assert (diagnosis["type"], diagnosis["logical_id"], result["status"]) == ("diagnosis", "Taken", "diagnosed")


def test_diagnose_without_failure_reports_none(here, cfn):
    ran = here("diagnose", "Mine")

    assert (ran.code, ran.stdout) == (0, "")
    assert "the last operation on stack Mine did not fail (CREATE_COMPLETE)" in ran.stderr
    assert settle(cfn) == "CREATE_COMPLETE"


def test_force_deletes_stack_and_lists_kept_resources(here, live):
    client = live.client("cloudformation")
    client.create_stack(StackName="Full", TemplateBody='Resources: {Bucket: {Type: "AWS::S3::Bucket"}}', Tags=OWN)
    assert settle(client, "Full") == "CREATE_COMPLETE"
    s3 = live.client("s3")
    (bucket,) = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=bucket, Key="kept", Body=b"1")

    early = here("delete", "Full", "--yes", "--force")
    refused = here("delete", "Full", "--yes")
    assert settle(client, "Full") == "CREATE_COMPLETE"
    client.delete_stack(StackName="Full")
    assert settle(client, "Full") == "DELETE_FAILED"
    forced = here("delete", "Full", "--yes", "--force")

    assert (early.code, refused.code, forced.code) == (2, 1, 0)
    assert "delete it without --force first" in early.stderr
    assert f"kept Bucket (AWS::S3::Bucket {bucket})" in forced.stderr
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"1"


def test_delete_with_empty_deletes_images(here, live):
    assert here("deploy-registry", "--name", "images", "--yes", "--no-lint").code == 0
    ecr = live.client("ecr")
    ecr.put_image(repositoryName="images", imageManifest='{"schemaVersion": 2}', imageTag="latest")

    refused = here("delete", "images", "--yes")
    done = here("delete", "images", "--yes", "--empty")

    assert (refused.code, done.code) == (1, 0)
    assert "emptied repository images: 1 image" in done.stderr
    assert ecr.describe_repositories()["repositories"] == []


def test_diagnose_without_name_explains_last_failure(here, cfn):
    none = here("diagnose")
    bad = project(webhook=True)
    cfn.create_stack(StackName="Older", TemplateBody=bad, Tags=OWN)
    settle(cfn, "Older")
    cfn.create_stack(StackName="Newer", TemplateBody=bad, Tags=OWN)
    settle(cfn, "Newer")

    ran = here("diagnose")

    assert (none.code, none.stdout) == (0, "")
    assert "no stack in eu-central-1 has a failed operation" in none.stderr
    assert ran.code == 0
    assert ran.stdout.startswith("Why stack Newer ended in ROLLBACK_COMPLETE:")
