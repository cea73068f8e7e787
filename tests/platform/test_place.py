"""Where verbs act, and how they deploy and delete stacks."""

from __future__ import annotations

import pytest

from exasol_ci_setup.constructs import Registry, SecurityGroup, SourceCredentials
from exasol_ci_setup.errors import NotApprovedError, RegionMissing, StackNotFound
from exasol_ci_setup.platform.place import NullReport, Place, deploy, here
from exasol_ci_setup.platform.place import delete as delete_stack
from exasol_ci_setup.stacks import state

pytestmark = pytest.mark.live


class Told(NullReport):
    """Remembers the plans, and says what it was told to."""

    def __init__(self, *, approve=True):
        self.plans = []
        self.titles = []
        self._approve = approve

    def plan(self, plan, /):
        self.plans.append(plan)
        return self._approve

    def view(self, stack_name, title, /):
        self.titles.append(title)
        return super().view(stack_name, title)


def test_a_stack_is_deployed_without_a_question_and_left_alone_when_it_is_as_it_should_be(live):
    told = Told()
    place = Place(live, report=told)

    made = deploy(place, Registry(name="images"))
    again = deploy(place, Registry(name="images"))

    assert made.outputs["RepositoryName"] == "images"
    assert again.outputs == made.outputs
    assert [plan.stack_name for plan in told.plans] == ["images"]
    assert told.titles == ["creating images"]


def test_a_construct_gets_the_accounts_network(live):
    made = deploy(Place(live), SecurityGroup(name="web"))

    assert made.parameters["VpcId"].startswith("vpc-")


def test_a_plan_that_is_not_approved_of_leaves_nothing(live):
    with pytest.raises(NotApprovedError):
        deploy(Place(live, report=Told(approve=False)), Registry(name="images"))

    assert state.find(live.client("cloudformation"), "images") is None


def test_a_creation_that_fails_leaves_no_stack_in_the_way(live):
    # Without a secret of this name its dynamic reference cannot be resolved.
    construct = SourceCredentials(secret_name="nobodys", secret_user_key="User", secret_token_key="Token")

    with pytest.raises(Exception, match="SLCSourceCredentials"):
        deploy(Place(live), construct)

    assert state.find(live.client("cloudformation"), "SLCSourceCredentials") is None


def test_a_stack_is_deleted_with_what_is_in_it_where_that_is_asked_for(live):
    place = Place(live)
    deploy(place, Registry(name="images"))
    live.client("ecr").put_image(repositoryName="images", imageManifest='{"schemaVersion": 2}', imageTag="1")

    delete_stack(place, "images", empty=True)

    assert state.find(live.client("cloudformation"), "images") is None


def test_what_a_template_keeps_is_not_emptied_either(live):
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

    delete_stack(Place(live), "kept", empty=True)

    assert state.find(cfn, "kept") is None
    assert s3.get_object(Bucket=name, Key="kept")["Body"].read() == b"1"


def test_a_stack_that_is_not_there_is_not_deleted_in_silence(live):
    with pytest.raises(StackNotFound):
        delete_stack(Place(live), "images")


def test_without_a_place_awss_own_chain_of_region_and_credentials_leads_there(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(RegionMissing):
        here(None)

    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert here(None).account.region == "eu-west-3"
