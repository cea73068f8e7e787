"""Tests of the differences between the sandbox's CloudFormation and ministack's."""

from __future__ import annotations

import copy
import json
import sys
import time
import types
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.stacks import ROLE, buckets, deploy, events, plan, wait

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

REGION = {"LocationConstraint": "eu-central-1"}


def error(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def physical_ids(account: Account, stack_name: str) -> dict[str, str]:
    resources = account.client("cloudformation").list_stack_resources(StackName=stack_name)["StackResourceSummaries"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}


def failed_create(account: Account, other_account: Account, name: str = "Failed") -> Any:
    """Return a stack in ROLLBACK_COMPLETE: another account owns the name of its bucket."""
    taken = f"taken-in-{other_account.number}"
    other_account.client("s3").create_bucket(Bucket=taken, CreateBucketConfiguration=REGION)
    return deploy(account.client("cloudformation"), name, buckets("Free", Taken=taken))


def test_each_account_and_region_has_dummy_secrets(account: Account, other_account: Account) -> None:
    for client in (
        account.client("secretsmanager"),
        account.client("secretsmanager", "us-east-1"),
        other_account.client("secretsmanager"),
    ):
        names = {secret["Name"] for secret in client.list_secrets()["SecretList"]}
        assert names == {"Dockerhub", "github"}
    values = json.loads(account.client("secretsmanager").get_secret_value(SecretId="Dockerhub")["SecretString"])
    assert set(values) == {"User", "AccessToken"}
    arn = account.client("secretsmanager").describe_secret(SecretId="github")["ARN"]
    assert arn.startswith(f"arn:aws:secretsmanager:eu-central-1:{account.number}:secret:github-")


def test_deleted_secret_is_not_recreated(account: Account) -> None:
    secrets = account.client("secretsmanager")
    secrets.delete_secret(SecretId="github", ForceDeleteWithoutRecovery=True)
    assert [secret["Name"] for secret in secrets.list_secrets()["SecretList"]] == ["Dockerhub"]


def test_access_key_is_account(account: Account) -> None:
    assert account.client("sts").get_caller_identity()["Account"] == account.number


def test_bucket_name_of_other_account_fails_resource(account: Account, other_account: Account) -> None:
    stack = failed_create(account, other_account)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    cloudformation = account.client("cloudformation")
    newest_first = cloudformation.describe_stack_events(StackName="Failed")["StackEvents"]
    reasons = {event["ResourceStatus"]: event.get("ResourceStatusReason") for event in newest_first}
    assert reasons["CREATE_FAILED"] == f"taken-in-{other_account.number} already exists"
    assert reasons["ROLLBACK_IN_PROGRESS"] == (
        "The following resource(s) failed to create: [Taken]. Rollback requested by user."
    )
    assert events(cloudformation, "Failed") == [
        ("Failed", "REVIEW_IN_PROGRESS"),
        ("Failed", "CREATE_IN_PROGRESS"),
        ("Free", "CREATE_IN_PROGRESS"),
        ("Free", "CREATE_IN_PROGRESS"),
        ("Free", "CREATE_COMPLETE"),
        ("Taken", "CREATE_IN_PROGRESS"),
        ("Taken", "CREATE_FAILED"),
        ("Failed", "ROLLBACK_IN_PROGRESS"),
        ("Free", "DELETE_IN_PROGRESS"),
        ("Free", "DELETE_COMPLETE"),
        ("Failed", "ROLLBACK_COMPLETE"),
    ]


def test_bucket_name_of_same_account_fails_change_set(account: Account) -> None:
    name = f"own-{account.number}"
    account.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=REGION)
    cloudformation = account.client("cloudformation")
    change_set = plan(cloudformation, "Early", buckets(Taken=name))
    assert (change_set["Status"], change_set["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "[AWS::EarlyValidation::ResourceExistenceCheck]" in change_set["StatusReason"]
    (event,) = cloudformation.describe_events(ChangeSetName=change_set["ChangeSetId"])["OperationEvents"]
    assert event["ValidationName"] == "NAME_CONFLICT_VALIDATION"
    assert event["ValidationFailureMode"] == "FAIL"
    assert event["ValidationPath"] == "/Resources/Taken"
    assert event["ValidationStatusReason"] == (
        f"Resource of type 'AWS::S3::Bucket' with identifier '{name}' already exists."
    )


def test_name_used_after_plan_fails_resource(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    name = f"race-{account.number}"
    change_set = plan(cloudformation, "Race", buckets(Taken=name))
    account.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=REGION)
    cloudformation.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    assert wait(cloudformation, "Race")["StackStatus"] == "ROLLBACK_COMPLETE"
    assert ("Taken", "CREATE_FAILED") in events(cloudformation, "Race")


def test_valid_change_set_has_no_operation_events(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    change_set = plan(cloudformation, "Fine", buckets("A"))
    assert cloudformation.describe_events(ChangeSetName=change_set["ChangeSetId"])["OperationEvents"] == []


def test_existing_role_is_not_adopted(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    template: dict[str, Any] = {"Resources": {"Role": copy.deepcopy(ROLE)}}
    template["Resources"]["Role"]["Properties"]["RoleName"] = "one-role"
    deploy(cloudformation, "First", template)
    assert deploy(cloudformation, "Second", template)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert account.client("iam").get_role(RoleName="one-role")["Role"]["RoleName"] == "one-role"


def test_rollback_complete_stack_cannot_be_updated_or_created(account: Account, other_account: Account) -> None:
    stack = failed_create(account, other_account)
    cloudformation = account.client("cloudformation")
    stuck = (
        "ValidationError",
        f"Stack:{stack['StackId']} is in ROLLBACK_COMPLETE state and can not be updated.",
    )
    body = json.dumps(buckets("A"))
    request = {"StackName": "Failed", "ChangeSetName": "again", "TemplateBody": body}
    assert error(cloudformation.create_change_set, ChangeSetType="UPDATE", **request) == stuck
    assert error(cloudformation.update_stack, StackName="Failed", TemplateBody=body) == stuck
    assert error(cloudformation.create_change_set, ChangeSetType="CREATE", **request) == (
        "ValidationError",
        "Stack [Failed] already exists and cannot be created again with the changeSet [again].",
    )
    assert error(cloudformation.create_stack, StackName="Failed", TemplateBody=body) == (
        "AlreadyExistsException",
        "Stack [Failed] already exists",
    )
    cloudformation.delete_stack(StackName="Failed")
    wait(cloudformation, stack["StackId"])
    assert deploy(cloudformation, "Failed", buckets("A"))["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("capabilities", "is_enough"), [([], False), (["CAPABILITY_IAM"], False), (["CAPABILITY_NAMED_IAM"], True)]
)
def test_named_role_needs_capability(account: Account, capabilities: list[str], is_enough: bool) -> None:
    cloudformation = account.client("cloudformation")
    template: dict[str, Any] = {"Resources": {"Role": copy.deepcopy(ROLE)}}
    template["Resources"]["Role"]["Properties"]["RoleName"] = "named"
    if is_enough:
        assert plan(cloudformation, "Role", template, Capabilities=capabilities)["Status"] == "CREATE_COMPLETE"
        return
    assert error(plan, cloudformation=cloudformation, name="Role", template=template, Capabilities=capabilities) == (
        "InsufficientCapabilitiesException",
        "Requires capabilities : [CAPABILITY_NAMED_IAM]",
    )
    assert cloudformation.list_stacks()["StackSummaries"] == []


def test_undefined_names_fail_validation_and_change_set(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    body = json.dumps(buckets("A") | {"Outputs": {"O": {"Value": {"Ref": "Gone"}}}})
    refused = (
        "ValidationError",
        "Template format error: Unresolved resource dependencies [Gone] in the Outputs block of the template",
    )
    assert error(cloudformation.validate_template, TemplateBody=body) == refused
    request = {"StackName": "Bad", "ChangeSetName": "c", "ChangeSetType": "CREATE", "TemplateBody": body}
    assert error(cloudformation.create_change_set, **request) == refused
    assert cloudformation.list_stacks()["StackSummaries"] == []


def test_blanks_around_names_in_sub_are_ignored(account: Account) -> None:
    template = buckets("A")
    template["Resources"]["B"] = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"BucketName": {"Fn::Sub": ["${ A }-${ Own }", {"Own": {"Fn::Sub": "${ AWS::Region }"}}]}},
    }
    template["Outputs"] = {"Name": {"Value": {"Fn::Sub": "${ B } ${ !B }"}}}

    stack = deploy(account.client("cloudformation"), "Blanks", template)

    name = f"{physical_ids(account, 'Blanks')['A']}-eu-central-1"
    assert stack["Outputs"][0]["OutputValue"] == f"{name} ${{B }}"


def test_text_that_equals_name_of_reference_is_another_value(account: Account) -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::Sub": "/of/${A}"}}}
    template = {"Resources": {**buckets("A")["Resources"], "Group": group}}
    deploy(account.client("cloudformation"), "Group", template)
    template["Resources"]["Group"] = {"Type": group["Type"], "Properties": {"LogGroupName": "/of/A"}}

    change_set = plan(account.client("cloudformation"), "Group", template, "UPDATE")

    (change,) = [each["ResourceChange"] for each in change_set["Changes"]]
    assert (change["LogicalResourceId"], change["Replacement"]) == ("Group", "True")


def test_deleted_stack_is_found_by_its_id_only(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    stack = deploy(cloudformation, "Gone", buckets("A"))
    cloudformation.delete_stack(StackName="Gone")
    wait(cloudformation, stack["StackId"])
    missing = ("ValidationError", "Stack with id Gone does not exist")

    assert error(cloudformation.list_stack_resources, StackName="Gone") == missing
    assert error(cloudformation.get_template, StackName="Gone") == missing
    assert error(cloudformation.describe_stack_events, StackName="Gone")[1] == "Stack [Gone] does not exist"
    assert cloudformation.get_template(StackName=stack["StackId"])["TemplateBody"] == buckets("A")


def test_unknown_and_missing_parameters_are_rejected(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    template = buckets("A") | {"Parameters": {"Needed": {"Type": "String"}}}
    one = [{"ParameterKey": "Needed", "ParameterValue": "v"}]
    unknown = [*one, {"ParameterKey": "Other", "ParameterValue": "v"}]
    assert error(plan, cloudformation=cloudformation, name="P", template=template)[1] == (
        "Parameters: [Needed] must have values"
    )
    assert error(plan, cloudformation=cloudformation, name="P", template=template, Parameters=unknown)[1] == (
        "Parameters: [Other] do not exist in the template"
    )
    deploy(cloudformation, "P", template, Parameters=one)
    kept = [{"ParameterKey": "Needed", "UsePreviousValue": True}]
    changed = template | buckets("A", "B")
    assert deploy(cloudformation, "P", changed, "UPDATE", Parameters=kept)["Parameters"] == one


def test_change_set_without_changes_has_reason_of_aws(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Same", buckets("A"))
    change_set = plan(cloudformation, "Same", buckets("A"), "UPDATE")
    assert (change_set["Status"], change_set["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert change_set["StatusReason"].startswith("The submitted information didn't contain changes.")
    assert error(cloudformation.update_stack, StackName="Same", TemplateBody=json.dumps(buckets("A"))) == (
        "ValidationError",
        "No updates are to be performed.",
    )


@pytest.mark.parametrize(
    ("properties", "replacement"),
    [({"BucketName": "renamed-{account}"}, "True"), ({"Tags": [{"Key": "k", "Value": "v"}]}, "False")],
)
def test_change_set_shows_replacement(account: Account, properties: dict[str, Any], replacement: str) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Stack", buckets("A"))
    changed = json.loads(json.dumps(properties).replace("{account}", account.number))
    template = {"Resources": {"A": {"Type": "AWS::S3::Bucket", "Properties": changed}}}
    (change,) = plan(cloudformation, "Stack", template, "UPDATE")["Changes"]
    assert change["ResourceChange"]["Action"] == "Modify"
    assert change["ResourceChange"]["Replacement"] == replacement


def test_update_has_events_of_changed_resources_only(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Stack", buckets("Gone", "Kept", Renamed=f"old-{account.number}"))
    before = len(events(cloudformation, "Stack"))
    stack = deploy(cloudformation, "Stack", buckets("Kept", "New", Renamed=f"new-{account.number}"), "UPDATE")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    seen = events(cloudformation, "Stack")[before:]
    assert seen[0] == ("Stack", "UPDATE_IN_PROGRESS")
    cleanup = seen.index(("Stack", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert seen[1:cleanup] == [
        ("New", "CREATE_IN_PROGRESS"),
        ("New", "CREATE_IN_PROGRESS"),
        ("New", "CREATE_COMPLETE"),
        ("Renamed", "UPDATE_IN_PROGRESS"),
        ("Renamed", "UPDATE_IN_PROGRESS"),
        ("Renamed", "UPDATE_COMPLETE"),
    ]
    assert sorted(seen[cleanup + 1 : -1]) == [
        ("Gone", "DELETE_COMPLETE"),
        ("Gone", "DELETE_IN_PROGRESS"),
        ("Renamed", "DELETE_COMPLETE"),
        ("Renamed", "DELETE_IN_PROGRESS"),
    ]
    assert seen[-1] == ("Stack", "UPDATE_COMPLETE")
    assert not [event for event in seen if event[0] == "Kept"]
    names = {bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]}
    assert f"new-{account.number}" in names
    assert f"old-{account.number}" not in names


def test_events_have_token_of_operation(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Stack", buckets("A"))
    newest_first = cloudformation.describe_stack_events(StackName="Stack")["StackEvents"]
    tokens = [event.get("ClientRequestToken") for event in newest_first]
    assert tokens == ["token-1"] * (len(tokens) - 1) + [None]
    assert newest_first[-1]["ResourceStatus"] == "REVIEW_IN_PROGRESS"


def test_second_change_set_uses_same_stack_in_review(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    first, second = (plan(cloudformation, "New", buckets(name)) for name in ("A", "B"))
    assert first["StackId"] == second["StackId"]
    assert len(cloudformation.list_change_sets(StackName="New")["Summaries"]) == 2
    cloudformation.delete_change_set(ChangeSetName=first["ChangeSetId"])
    cloudformation.execute_change_set(ChangeSetName=second["ChangeSetId"])
    assert wait(cloudformation, "New")["StackId"] == first["StackId"]


def test_rejected_change_set_keeps_stack_in_review(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    first = plan(cloudformation, "New", buckets("A"))
    refused = {"Resources": {"A": {"Type": "AWS::S3::Bucket", "DependsOn": "Gone"}}}
    error(plan, cloudformation=cloudformation, name="New", template=refused)
    assert cloudformation.describe_stacks(StackName="New")["Stacks"][0]["StackId"] == first["StackId"]
    cloudformation.execute_change_set(ChangeSetName=first["ChangeSetId"])
    assert wait(cloudformation, "New")["StackStatus"] == "CREATE_COMPLETE"


def test_deleted_stack_in_review_leaves_no_record(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    change_set = plan(cloudformation, "Shell", buckets("A"))
    cloudformation.delete_change_set(ChangeSetName=change_set["ChangeSetId"])
    cloudformation.delete_stack(StackName=change_set["StackId"])
    wait(cloudformation, change_set["StackId"])
    assert error(cloudformation.describe_stacks, StackName="Shell")[0] == "ValidationError"


def test_stack_has_description_of_template(account: Account) -> None:
    stack = deploy(account.client("cloudformation"), "Stack", buckets("A") | {"Description": "two words"})
    assert stack["Description"] == "two words"


@pytest.mark.parametrize(
    "url",
    [
        "{endpoint}/{bucket}/t.json",
        "https://{bucket}.s3.eu-central-1.amazonaws.com/t.json",
        "https://s3.amazonaws.com/{bucket}/t.json",
    ],
)
def test_template_is_read_from_bucket_in_sandbox(account: Account, url: str) -> None:
    bucket = f"templates-{account.number}"
    s3 = account.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=REGION)
    s3.put_object(Bucket=bucket, Key="t.json", Body=json.dumps(buckets("A")).encode())
    cloudformation = account.client("cloudformation")
    location = url.format(endpoint=account.server.url, bucket=bucket)
    cloudformation.validate_template(TemplateURL=location)
    cloudformation.create_change_set(
        StackName="FromBucket", ChangeSetName="c", ChangeSetType="CREATE", TemplateURL=location
    )
    cloudformation.execute_change_set(StackName="FromBucket", ChangeSetName="c")
    assert wait(cloudformation, "FromBucket")["StackStatus"] == "CREATE_COMPLETE"
    assert cloudformation.get_template(StackName="FromBucket")["TemplateBody"] == buckets("A")


def test_termination_protection_prevents_deletion(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Stack", buckets("A"))
    cloudformation.update_termination_protection(StackName="Stack", EnableTerminationProtection=True)
    assert cloudformation.describe_stacks(StackName="Stack")["Stacks"][0]["EnableTerminationProtection"] is True
    assert "TerminationProtection is enabled" in error(cloudformation.delete_stack, StackName="Stack")[1]


def test_requests_are_answered_during_delay(account: Account, other_account: Account) -> None:
    cloudformation = account.client("cloudformation")
    change_set = plan(cloudformation, "Slow", buckets("A", "B"))
    account.slow_down(30)
    cloudformation.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    assert events(cloudformation, "Slow")[-1] == ("A", "CREATE_IN_PROGRESS")
    assert cloudformation.describe_stacks(StackName="Slow")["Stacks"][0]["StackStatus"] == "CREATE_IN_PROGRESS"
    assert deploy(other_account.client("cloudformation"), "Fast", buckets("A"))["StackStatus"] == "CREATE_COMPLETE"
    busy = error(plan, cloudformation=cloudformation, name="Slow", template=buckets("C"), kind="UPDATE")
    assert busy[1].endswith("is in CREATE_IN_PROGRESS state and can not be updated.")


def test_update_can_be_canceled_during_delay(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Slow", buckets("A"))
    change_set = plan(cloudformation, "Slow", buckets("A", "B", "C"), "UPDATE")
    account.slow_down(3600)
    cloudformation.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    while events(cloudformation, "Slow")[-1][0] != "B":
        time.sleep(0.01)
    cloudformation.cancel_update_stack(StackName="Slow")
    account.slow_down(0)
    assert wait(cloudformation, "Slow")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    resources = cloudformation.list_stack_resources(StackName="Slow")["StackResourceSummaries"]
    assert [resource["LogicalResourceId"] for resource in resources] == ["A"]


def test_failed_update_is_rolled_back(account: Account, other_account: Account) -> None:
    taken = f"taken-in-{other_account.number}"
    other_account.client("s3").create_bucket(Bucket=taken, CreateBucketConfiguration=REGION)
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Stack", buckets("A"))
    stack = deploy(cloudformation, "Stack", buckets("A", "B", Taken=taken), "UPDATE")
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert cloudformation.get_template(StackName="Stack")["TemplateBody"] == buckets("A")


def test_many_events_come_in_pages(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Many", buckets(*(f"Bucket{number}" for number in range(60))))
    first_page = cloudformation.describe_stack_events(StackName="Many")
    assert "NextToken" in first_page
    assert len(events(cloudformation, "Many")) == 3 + 60 * 3


def test_stack_does_not_delete_bucket_with_object(account: Account) -> None:
    name = f"full-{account.number}"
    cloudformation, s3 = account.client("cloudformation"), account.client("s3")
    stack = deploy(cloudformation, "Stack", buckets("Empty", Full=name))
    s3.put_object(Bucket=name, Key="k", Body=b"content")
    cloudformation.delete_stack(StackName="Stack")
    assert wait(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_FAILED"
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [name]
    newest_first = cloudformation.describe_stack_events(StackName="Stack")["StackEvents"]
    failed = [event for event in newest_first if event["ResourceStatus"] == "DELETE_FAILED"]
    reasons = {event["LogicalResourceId"]: event["ResourceStatusReason"].partition(" (")[0] for event in failed}
    assert reasons["Full"] == "The bucket you tried to delete is not empty"
    s3.delete_object(Bucket=name, Key="k")
    cloudformation.delete_stack(StackName="Stack")
    assert wait(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert s3.list_buckets()["Buckets"] == []


def test_resource_added_by_update_has_create_events(account: Account, other_account: Account) -> None:
    taken = f"taken-in-{other_account.number}"
    other_account.client("s3").create_bucket(Bucket=taken, CreateBucketConfiguration=REGION)
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Stack", buckets("A"))
    deploy(cloudformation, "Stack", buckets("A", "B"), "UPDATE")
    summaries = cloudformation.list_stack_resources(StackName="Stack")["StackResourceSummaries"]
    assert {summary["LogicalResourceId"]: summary["ResourceStatus"] for summary in summaries} == {
        "A": "CREATE_COMPLETE",
        "B": "CREATE_COMPLETE",
    }
    deploy(cloudformation, "Stack", buckets("A", "B", Taken=taken), "UPDATE")
    assert ("Taken", "CREATE_FAILED") in events(cloudformation, "Stack")


def test_service_uses_no_docker_engine_with_docker_sdk(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    sdk = types.ModuleType("docker")
    vars(sdk)["from_env"] = lambda **options: asked.append(options)
    monkeypatch.setitem(sys.modules, "docker", sdk)
    ecs = account.client("ecs")
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "alpine", "memory": 16}])

    ecs.run_task(cluster="c", taskDefinition="f", count=1)

    assert asked == []


def conditional(*, holds: bool = True, **more: Any) -> dict[str, Any]:
    """Return a template with a topic, and a second one whose condition depends on the parameter More and `holds`."""
    topic = {"Type": "AWS::SNS::Topic"}
    wanted = {"Fn::Equals": [{"Ref": "More"}, "yes" if holds else "never"]}
    return {
        "Parameters": {"More": {"Type": "String"}},
        "Conditions": {"Wanted": wanted},
        "Resources": {"Topic": topic, "Second": {**topic, "Condition": "Wanted"}},
        **more,
    }


def more(value: str) -> list[dict[str, str]]:
    return [{"ParameterKey": "More", "ParameterValue": value}]


def listed(change_set: Any) -> list[tuple[str, str]]:
    changes = [each["ResourceChange"] for each in change_set["Changes"]]
    return [(each["Action"], each["LogicalResourceId"]) for each in changes]


def test_change_set_lists_resources_with_true_condition(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    assert listed(plan(cloudformation, "New", conditional(), Parameters=more("no"))) == [("Add", "Topic")]
    deploy(cloudformation, "Stack", conditional(), Parameters=more("no"))
    added = plan(cloudformation, "Stack", conditional(), "UPDATE", Parameters=more("yes"))
    assert listed(added) == [("Add", "Second")]
    deploy(cloudformation, "Stack", conditional(), "UPDATE", Parameters=more("yes"))
    for template, value in ((conditional(), "no"), (conditional(holds=False), "yes")):
        removed = plan(cloudformation, "Stack", template, "UPDATE", Parameters=more(value))
        assert listed(removed) == [("Remove", "Second")]


@pytest.mark.parametrize(
    "changed",
    [
        {"Outputs": {"Name": {"Value": "x"}, "More": {"Value": {"Ref": "Topic"}}}},
        {"Outputs": {"Name": {"Value": "y"}}},
        {"Outputs": {"Name": {"Value": "x", "Export": {"Name": "exported"}}}},
        {"Outputs": {"Name": {"Value": "x"}}, "Description": "described"},
        {},
    ],
)
def test_change_of_outputs_or_description_is_executable(account: Account, changed: dict[str, Any]) -> None:
    cloudformation = account.client("cloudformation")
    before = conditional(Outputs={"Name": {"Value": "x"}})
    deploy(cloudformation, "Stack", before, Parameters=more("no"))
    change_set = plan(cloudformation, "Stack", conditional(**changed), "UPDATE", Parameters=more("no"))
    assert (change_set["Status"], change_set["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert listed(change_set) == []


def test_parameter_that_only_output_uses_is_change(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    template = conditional(Outputs={"More": {"Value": {"Ref": "More"}}})
    deploy(cloudformation, "Stack", template, Parameters=more("no"))
    (output,) = deploy(cloudformation, "Stack", template, "UPDATE", Parameters=more("maybe"))["Outputs"]
    assert output["OutputValue"] == "maybe"
    unused = plan(cloudformation, "Stack", template, "UPDATE", Parameters=more("maybe"))
    assert unused["Status"] == "FAILED"


def test_ssm_parameter_is_described_by_its_name(account: Account) -> None:
    account.client("ssm").put_parameter(Name="/image", Value="ami-1", Type="String")
    cloudformation = account.client("cloudformation")
    template = conditional(Parameters={"More": {"Type": "AWS::SSM::Parameter::Value<String>"}})

    change_set = plan(cloudformation, "Planned", template, Parameters=more("/image"))
    stack = deploy(cloudformation, "Stack", template, Parameters=more("/image"))

    expected = [{"ParameterKey": "More", "ParameterValue": "/image", "ResolvedValue": "ami-1"}]
    assert (change_set["Parameters"], stack["Parameters"]) == (expected, expected)
