"""The context of platform commands, and how they deploy and delete stacks."""

from __future__ import annotations

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.constructs import Registry, SecurityGroup, SourceCredentials
from exasol_ci_setup.core.errors import NotApprovedError, RegionMissingError, StackNotFoundError
from exasol_ci_setup.platform.stacks import delete as delete_stack
from exasol_ci_setup.platform.stacks import deploy
from exasol_ci_setup.stacks import state
from exasol_ci_setup.template.context import default_context
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live


def test_second_deploy_changes_nothing(live):
    reporter = RecordingReporter()
    context = Context(live, reporter=reporter)

    made = deploy(context, Registry(name="images"))
    again = deploy(context, Registry(name="images"))

    assert made.outputs["RepositoryName"] == "images"
    assert again.outputs == made.outputs
    assert [plan.stack_name for plan in reporter.plans] == ["images"]
    assert reporter.titles == ["creating images"]


def test_construct_gets_network_of_account(live):
    made = deploy(Context(live), SecurityGroup(name="web"))

    assert made.parameters["VpcId"].startswith("vpc-")


def test_rejected_plan_creates_nothing(live):
    with pytest.raises(NotApprovedError):
        deploy(Context(live, reporter=RecordingReporter(lambda _plan: False)), Registry(name="images"))

    assert state.find(live.client("cloudformation"), "images") is None


def test_failed_creation_deletes_stack(live):
    # Without a secret of this name CloudFormation cannot resolve its dynamic reference.
    construct = SourceCredentials(secret_name="nobodys", secret_user_key="User", secret_token_key="Token")

    with pytest.raises(Exception, match="SLCSourceCredentials"):
        deploy(Context(live), construct)

    assert state.find(live.client("cloudformation"), "SLCSourceCredentials") is None


def test_delete_with_empty_deletes_content(live):
    context = Context(live)
    deploy(context, Registry(name="images"))
    live.client("ecr").put_image(repositoryName="images", imageManifest='{"schemaVersion": 2}', imageTag="1")

    delete_stack(context, "images", empty=True)

    assert state.find(live.client("cloudformation"), "images") is None


def test_retained_bucket_is_not_emptied(live):
    cfn, s3 = live.client("cloudformation"), live.client("s3")
    bucket = '{Type: "AWS::S3::Bucket", DeletionPolicy: Retain}'
    cfn.create_stack(
        StackName="kept",
        TemplateBody=f"Resources: {{Bucket: {bucket}}}",
        Tags=[{"Key": "exasol-ci-setup:construct", "Value": "Test"}],
    )
    cfn.get_waiter("stack_create_complete").wait(StackName="kept", WaiterConfig={"Delay": 1})
    (name,) = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=name, Key="kept", Body=b"1")

    delete_stack(Context(live), "kept", empty=True)

    assert state.find(cfn, "kept") is None
    assert s3.get_object(Bucket=name, Key="kept")["Body"].read() == b"1"


def test_delete_of_missing_stack_fails(live):
    with pytest.raises(StackNotFoundError):
        delete_stack(Context(live), "images")


def test_default_context_uses_aws_configuration(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(RegionMissingError):
        default_context()

    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert default_context().account.region == "eu-west-3"
