"""`cancel`, `continue-rollback`, `diagnose` and `delete --force` as a user types them."""

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
    """Return the stack's state once nothing is under way."""
    while (status := cfn.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith("_IN_PROGRESS"):
        time.sleep(0.05)
    return status


@pytest.fixture
def cfn(live):
    """CloudFormation, with a stack of this tool's."""
    client = live.client("cloudformation")
    client.create_stack(StackName="Mine", TemplateBody=topics("old"), Tags=OWN)
    assert settle(client) == "CREATE_COMPLETE"
    return client


@pytest.fixture
def credentials(live):
    """Give CodeBuild access to GitHub, when called, and return the ARN of the credential."""

    def give():
        codebuild = live.client("codebuild")
        return codebuild.import_source_credentials(serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN", token="t")[
            "arn"
        ]

    return give


@pytest.fixture
def stuck(cfn, operations, live, other_account, account_id, credentials):
    """CloudFormation, with an update that failed for a taken name, and whose rollback failed for a webhook without a credential."""
    name = f"taken-{account_id}"
    other_account.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    arn = credentials()
    cfn.update_stack(StackName="Mine", TemplateBody=project(webhook=True), Tags=OWN)
    assert settle(cfn) == "UPDATE_COMPLETE"
    taken = f', Taken: {{Type: "AWS::S3::Bucket", DependsOn: Project, Properties: {{BucketName: {name}}}}}'
    # The credential has to go before the rollback needs it.
    operations.hold()
    cfn.update_stack(StackName="Mine", TemplateBody=project(webhook=False, more=taken), Tags=OWN)
    live.client("codebuild").delete_source_credentials(arn=arn)
    operations.release()
    assert settle(cfn) == "UPDATE_ROLLBACK_FAILED"
    return cfn


def test_an_update_under_way_is_cancelled_and_put_back(here, cfn, operations):
    operations.hold()
    operations.release_after("CancelUpdateStack")
    cfn.update_stack(StackName="Mine", TemplateBody=topics("new"), Tags=OWN)

    ran = here("cancel", "Mine")

    assert ran.code == 0
    assert "was cancelled: the stack is as it was, in UPDATE_ROLLBACK_COMPLETE" in ran.stderr
    assert settle(cfn) == "UPDATE_ROLLBACK_COMPLETE"
    assert "old" in str(cfn.get_template(StackName="Mine")["TemplateBody"])


def test_where_nothing_is_under_way_there_is_nothing_to_cancel(here, cfn):
    ran = here("cancel", "Mine")

    assert ran.code == 1
    assert ran.stderr.splitlines()[0] == "error: there is no update of stack Mine to cancel: it is in CREATE_COMPLETE"
    assert settle(cfn) == "CREATE_COMPLETE"


def test_a_creation_is_not_cancelled_but_its_way_out_is_told(here, live, operations):
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
def test_a_stack_of_somebody_else_is_left_alone(here, live, command):
    client = live.client("cloudformation")
    client.create_stack(StackName="Theirs", TemplateBody=topics("old"))
    assert settle(client, "Theirs") == "CREATE_COMPLETE"

    ran = here(command, "Theirs")

    assert ran.code == 1
    assert "was not made by this tool" in ran.stderr


def test_a_rollback_is_continued_once_what_stood_in_the_way_is_gone(here, credentials, stuck):
    again = here("continue-rollback", "Mine")

    assert again.code == 1
    assert "exasol-ci-setup continue-rollback Mine" in again.stderr
    assert again.stderr.splitlines()[-1].startswith("  reason")

    credentials()
    ran = here("continue-rollback", "Mine")

    assert ran.code == 0
    assert "stack Mine is rolled back: it is in UPDATE_ROLLBACK_COMPLETE" in ran.stderr
    assert settle(stuck) == "UPDATE_ROLLBACK_COMPLETE"


def test_a_resource_that_cannot_be_rolled_back_is_skipped_when_asked(here, stuck):
    wrong = here("continue-rollback", "Mine", "--skip", "Taken")
    right = here("continue-rollback", "Mine", "--skip", "Project")

    assert (wrong.code, right.code) == (2, 0)
    assert "Taken" in wrong.stderr
    assert "exasol-ci-setup diagnose Mine" in wrong.stderr
    assert settle(stuck) == "UPDATE_ROLLBACK_COMPLETE"


def test_where_no_rollback_waits_none_is_continued(here, cfn):
    ran = here("continue-rollback", "Mine")

    assert ran.code == 1
    assert "waits to be continued: it is in CREATE_COMPLETE" in ran.stderr
    assert settle(cfn) == "CREATE_COMPLETE"


@pytest.mark.usefixtures("stuck")
def test_a_failed_operation_is_explained_as_data(here):
    ran = here("diagnose", "Mine")
    as_json = here("diagnose", "Mine", "--output", "json")

    assert ran.code == 0
    assert "first failure  Taken AWS::S3::Bucket" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("  reason")
    diagnosis, result = as_json.records
    assert (diagnosis["type"], diagnosis["logical_id"], result["status"]) == ("diagnosis", "Taken", "diagnosed")


def test_what_did_not_fail_is_said_to_have_not(here, cfn):
    ran = here("diagnose", "Mine")

    assert (ran.code, ran.stdout) == (0, "")
    assert "the last operation on stack Mine did not fail: it is in CREATE_COMPLETE" in ran.stderr
    assert settle(cfn) == "CREATE_COMPLETE"


def test_a_stack_that_cannot_go_is_deleted_by_force_and_what_stays_is_named(here, live):
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
    assert f"left standing: Bucket (AWS::S3::Bucket {bucket})" in forced.stderr
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"1"


def test_deleting_with_empty_empties_repositories_too(here, live):
    assert here("deploy-registry", "--name", "images", "--yes", "--no-lint").code == 0
    ecr = live.client("ecr")
    ecr.put_image(repositoryName="images", imageManifest='{"schemaVersion": 2}', imageTag="latest")

    refused = here("delete", "images", "--yes")
    done = here("delete", "images", "--yes", "--empty")

    assert (refused.code, done.code) == (1, 0)
    assert "emptied repository images: 1 image" in done.stderr
    assert ecr.describe_repositories()["repositories"] == []
