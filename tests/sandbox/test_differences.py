"""The differences from AWS that docs/sandbox.md lists: each has a test, which fails when the difference disappears."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError

from exasol_ci_setup.aws.session import connect
from tests.sandbox.codebuild import batch, build, create_project, graph, run, start, statuses, until
from tests.sandbox.differences import Differences
from tests.sandbox.stacks import ROLE, buckets, deploy, events, plan, wait

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

SANDBOX = Differences("## Differences from AWS")

pytestmark = pytest.mark.live


def test_each_documented_difference_has_test() -> None:
    assert SANDBOX.documented() == SANDBOX.tested


def topic(**properties: Any) -> dict[str, Any]:
    return {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": properties}}}


def user(account: Account, *statements: dict[str, Any]) -> Any:
    """Create a user with a policy, and return the session of this user."""
    iam = account.client("iam")
    iam.create_user(UserName="reader")
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName="reader", PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    keys = (key["AccessKeyId"], key["SecretAccessKey"])
    return connect(region="eu-central-1", endpoint_url=account.server.url, access_key=keys)


def builds(account: Account, seconds: float = 0.05, **settings: Any) -> Any:
    """Create a project and return the client of CodeBuild."""
    account.server.build_seconds[account.number] = seconds
    create_project(account, **settings)
    return account.client("codebuild")


@SANDBOX.test("permissions are enforced")
def test_caller_without_permissions_is_accepted_by_default(account: Account) -> None:
    client = user(account).client("sns")

    assert client.list_topics()["Topics"] == []


@SANDBOX.test("CloudFormation needs the caller's permissions for the resources of a stack")
def test_resources_are_created_without_permissions(account: Account) -> None:
    statement = {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"}
    caller = user(account, statement).client("cloudformation")
    account.server.control_access(True)
    try:
        assert deploy(caller, "Topic", topic())["StackStatus"] == "CREATE_COMPLETE"
    finally:
        account.server.control_access(False)


@SANDBOX.test("a template is checked against the schemas of its resources")
def test_unknown_property_is_accepted(account: Account) -> None:
    assert (
        deploy(account.client("cloudformation"), "Topic", topic(NoSuchProperty=1))["StackStatus"] == "CREATE_COMPLETE"
    )


@SANDBOX.test("the resource that a parameter names must exist")
def test_missing_vpc_of_parameter_is_accepted(account: Account) -> None:
    parameter = {"Type": "AWS::EC2::VPC::Id", "Default": "vpc-00000000000000000"}
    template = {"Parameters": {"Vpc": parameter}, **topic()}

    assert plan(account.client("cloudformation"), "Vpc", template)["Status"] == "CREATE_COMPLETE"


@SANDBOX.test("resources are created in parallel, within seconds to minutes")
def test_resources_are_created_sequentially(account: Account) -> None:
    account.slow_down(0.05)
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Two", buckets("A", "B"))

    of_resources = [each for each in events(cloudformation, "Two") if each[0] in {"A", "B"}]
    assert of_resources[:3] == [("A", "CREATE_IN_PROGRESS"), ("A", "CREATE_IN_PROGRESS"), ("A", "CREATE_COMPLETE")]


@SANDBOX.test("a failure cancels other resources in creation")
def test_failure_cancels_no_other_resource(account: Account, other_account: Account) -> None:
    other_account.client("s3").create_bucket(
        Bucket="bucket-of-another-account", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    account.slow_down(0.05)
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Two", buckets("A", B="bucket-of-another-account"))

    found = cloudformation.describe_stack_events(StackName="Two")["StackEvents"]
    assert not [each for each in found if "cancelled" in each.get("ResourceStatusReason", "")]


@SANDBOX.test("change sets take seconds, with the status `CREATE_IN_PROGRESS`")
def test_change_set_is_complete_immediately(account: Account) -> None:
    assert plan(account.client("cloudformation"), "Topic", topic())["Status"] == "CREATE_COMPLETE"


@SANDBOX.test("change sets can show values before and after, and nested changes")
def test_change_set_has_no_values(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Topic", topic(DisplayName="one"))
    (change,) = plan(cloudformation, "Topic", topic(DisplayName="two"), "UPDATE")["Changes"]

    assert not change["ResourceChange"].keys() & {"BeforeContext", "AfterContext"}
    assert not change["ResourceChange"]["Details"][0]["Target"].keys() & {"BeforeValue", "AfterValue"}


@SANDBOX.test("validation finds name conflicts of most types, quotas, and non-empty buckets")
def test_change_set_with_role_name_in_use_is_complete(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    role = {**ROLE, "Properties": {**ROLE["Properties"], "RoleName": "one-role"}}
    deploy(cloudformation, "First", {"Resources": {"Role": role}})

    assert plan(cloudformation, "Second", {"Resources": {"Role": role}})["Status"] == "CREATE_COMPLETE"


@SANDBOX.test("many resource types can be imported")
@pytest.mark.parametrize(
    "kind", ["AWS::ECR::Repository", "AWS::CodeBuild::Project", "AWS::EC2::Instance", "AWS::EC2::SecurityGroup"]
)
def test_type_cannot_be_imported(account: Account, kind: str) -> None:
    body = json.dumps({"Resources": {"One": {"Type": kind, "DeletionPolicy": "Retain"}}})

    assert account.client("cloudformation").get_template_summary(TemplateBody=body)["ResourceIdentifierSummaries"] == []


@SANDBOX.test("drift is detected for many resource types, within seconds to minutes")
def test_drift_of_repository_is_not_found(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    repository = {
        "Type": "AWS::ECR::Repository",
        "Properties": {"RepositoryName": "one", "ImageTagMutability": "IMMUTABLE"},
    }
    deploy(cloudformation, "Registry", {"Resources": {"Repository": repository}})
    account.client("ecr").put_image_tag_mutability(repositoryName="one", imageTagMutability="MUTABLE")
    cloudformation.detect_stack_drift(StackName="Registry")

    (drift,) = cloudformation.describe_stack_resource_drifts(StackName="Registry")["StackResourceDrifts"]
    assert drift["StackResourceDriftStatus"] == "IN_SYNC"


@SANDBOX.test("events contain the properties of the resource")
def test_events_have_no_properties(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Topic", topic(DisplayName="one"))

    found = cloudformation.describe_stack_events(StackName="Topic")["StackEvents"]
    assert not [each for each in found if "ResourceProperties" in each]


@SANDBOX.test('a creation that fails with "on failure: delete" is deleted without a rollback')
def test_deletion_after_failure_follows_rollback(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    account.client("ecr").create_repository(repositoryName="images")
    repository = {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "images"}}
    body = json.dumps({"Resources": {"Repository": repository}})
    stack = cloudformation.create_stack(StackName="Registry", TemplateBody=body, OnFailure="DELETE")["StackId"]
    wait(cloudformation, stack)

    assert ("Registry", "ROLLBACK_COMPLETE") in events(cloudformation, stack)


@SANDBOX.test("DescribeEvents lists all operations")
def test_describe_events_lists_no_deployment(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Topic", topic())

    assert cloudformation.describe_events(StackName="Topic")["OperationEvents"] == []


@SANDBOX.test("requests are throttled")
def test_many_requests_are_answered(account: Account) -> None:
    cloudformation = account.client("cloudformation")

    # A bucket of AWS for this call has fewer tokens.
    for _ in range(60):
        cloudformation.list_stacks()


@SANDBOX.test("DescribeAccountLimits returns the limits")
def test_limits_of_account_are_unknown(account: Account) -> None:
    with pytest.raises(ClientError, match="DescribeAccountLimits"):
        account.client("cloudformation").describe_account_limits()


@SANDBOX.test("a rule that a security group already has is refused")
def test_separate_equal_rule_is_added(account: Account) -> None:
    ec2 = account.client("ec2")
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    rule = {"FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    for protocol in ("tcp", "tcp", "6"):
        # AWS answers InvalidPermission.Duplicate to the second request.
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{**rule, "IpProtocol": protocol}])
    properties = {"GroupId": group, "FromPort": 443, "ToPort": 443, "IpProtocol": "tcp", "CidrIp": "10.0.0.0/8"}
    separate = {"Resources": {"Rule": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": properties}}}

    assert deploy(account.client("cloudformation"), "Rule", separate)["StackStatus"] == "CREATE_COMPLETE"


@SANDBOX.test("a direct request is checked like a resource of a stack")
def test_service_with_many_groups_is_created_by_direct_request(account: Account) -> None:
    ecs = account.client("ecs")
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "web", "image": "nginx"}])
    network = {"subnets": ["subnet-1"], "securityGroups": [f"sg-{number}" for number in range(6)]}
    service = ecs.create_service(
        cluster="c", serviceName="s", taskDefinition="f", networkConfiguration={"awsvpcConfiguration": network}
    )["service"]

    assert service["status"] == "ACTIVE"


@SANDBOX.test("quotas limit an account")
def test_quota_of_stack_templates_is_not_enforced(account: Account) -> None:
    # AWS accepts 60 inbound rules in a group: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html.
    rules = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "10.0.0.0/8"} for port in range(1, 62)]
    group = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "g", "SecurityGroupIngress": rules}}

    assert (
        deploy(account.client("cloudformation"), "Group", {"Resources": {"Group": group}})["StackStatus"]
        == "CREATE_COMPLETE"
    )


@SANDBOX.test("credentials expire, and signatures are checked")
def test_any_secret_key_is_accepted_by_default(account: Account) -> None:
    # The secret key of this client is a word.
    assert account.client("sts").get_caller_identity()["Account"] == account.number


@SANDBOX.test("builds run, and write artifacts, logs and caches to S3")
def test_failing_command_does_not_fail_build(account: Account) -> None:
    buildspec = yaml.safe_dump({"version": 0.2, "phases": {"build": {"commands": ["exit 1"]}}})
    codebuild = builds(account, source={"type": "NO_SOURCE", "buildspec": buildspec})
    started = codebuild.start_build(projectName="Slc")["build"]["id"]

    assert until(lambda: build(account, started), lambda shown: shown["buildComplete"])["buildStatus"] == "SUCCEEDED"


@SANDBOX.test("a build has the commit of the branch")
def test_commit_of_branch_is_dummy(account: Account) -> None:
    codebuild = builds(account)
    started = codebuild.start_build(projectName="Slc", sourceVersion="no-such-branch")["build"]["id"]

    shown = until(lambda: build(account, started), lambda shown: shown["buildComplete"])
    assert (shown["buildStatus"], len(shown["resolvedSourceVersion"])) == ("SUCCEEDED", 40)


@SANDBOX.test("a webhook is created at GitHub, with the imported token")
@SANDBOX.test("a push starts a build through the webhook")
def test_webhook_needs_no_valid_token_and_no_repository(account: Account) -> None:
    codebuild = builds(account)
    codebuild.import_source_credentials(token="no-token", serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN")
    webhook = codebuild.create_webhook(projectName="Slc")["webhook"]

    assert account.server.url not in webhook.get("payloadUrl", "")


@SANDBOX.test("failed builds are retried automatically, up to the limit of the project")
def test_failed_build_is_not_retried(account: Account) -> None:
    codebuild = builds(account, autoRetryLimit=2)
    started = codebuild.start_build(projectName="Slc", sourceVersion="sandbox-fail")["build"]["id"]
    until(lambda: build(account, started), lambda shown: shown["buildComplete"])

    assert codebuild.list_builds_for_project(projectName="Slc")["ids"] == [started]


WAITING = graph({"identifier": "first"}, {"identifier": "second", "depend-on": ["first"]})


@SANDBOX.test("a `PENDING` build of a batch can already be described")
@SANDBOX.test("builds of a stopped batch stop after some time")
def test_pending_build_is_unknown_and_stopped_batch_ends_immediately(account: Account) -> None:
    codebuild = builds(account, 3600)
    started = start(account, buildspecOverride=WAITING)
    account.server.build_seconds[account.number] = 3600
    shown = until(lambda: batch(account, started), lambda shown: bool(shown["buildGroups"]))
    pending = [each for each in shown["buildGroups"] if each["currentBuildSummary"]["buildStatus"] == "PENDING"]
    for each in pending:
        assert codebuild.batch_get_builds(ids=[each["currentBuildSummary"]["arn"]])["builds"] == []
    codebuild.stop_build_batch(id=started)

    assert "IN_PROGRESS" not in statuses(batch(account, started)).values()


@SANDBOX.test("`build-fanout`, reports, `on-failure`, fleets, debug sessions")
def test_fanout_is_not_supported(account: Account) -> None:
    builds(account)
    fanout = yaml.safe_dump(
        {"version": 0.2, "batch": {"build-fanout": {"parallelism": 2}}, "phases": {"build": {"commands": ["a"]}}}
    )

    assert run(account, buildspecOverride=fanout)["buildBatchStatus"] == "FAILED"


@SANDBOX.test("concurrent builds are limited")
def test_builds_beyond_limit_run(account: Account) -> None:
    codebuild = builds(account, 3600, concurrentBuildLimit=1)
    ids = [codebuild.start_build(projectName="Slc")["build"]["id"] for _ in range(2)]

    assert [build(account, each)["buildStatus"] for each in ids] == ["IN_PROGRESS"] * 2
    for each in ids:
        codebuild.stop_build(id=each)


def web(image: str) -> dict[str, Any]:
    definition = {
        "RequiresCompatibilities": ["FARGATE"],
        "NetworkMode": "awsvpc",
        "Cpu": "256",
        "Memory": "512",
        "ContainerDefinitions": [{"Name": "web", "Image": image, "PortMappings": [{"ContainerPort": 1}]}],
    }
    network = {"AwsvpcConfiguration": {"Subnets": ["subnet-00000001"]}}
    service = {
        "Cluster": {"Ref": "Cluster"},
        "TaskDefinition": {"Ref": "Definition"},
        "LaunchType": "FARGATE",
        "DesiredCount": 1,
        "NetworkConfiguration": network,
    }
    return {
        "Resources": {
            "Cluster": {"Type": "AWS::ECS::Cluster"},
            "Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": definition},
            "Service": {"Type": "AWS::ECS::Service", "Properties": service},
        }
    }


@SANDBOX.test("a service fails if its image does not exist, or nothing listens on the port of its health check")
def test_service_with_missing_image_is_created(account: Account) -> None:
    stack = deploy(account.client("cloudformation"), "Web", web("example.invalid/no-such-image:1"))

    assert stack["StackStatus"] == "CREATE_COMPLETE"


@SANDBOX.test("schedules fire; functions, containers and instances run")
def test_instance_runs_no_commands(account: Account) -> None:
    (instance,) = account.client("ec2").run_instances(ImageId="ami-00000001", MinCount=1, MaxCount=1)["Instances"]
    with pytest.raises(ClientError):
        account.client("ssm").send_command(
            InstanceIds=[instance["InstanceId"]], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]}
        )["Command"]["StandardOutputContent"]


@SANDBOX.test("a new role or policy takes effect after seconds")
def test_new_role_can_be_assumed_immediately(account: Account) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account.number}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = account.client("iam").create_role(RoleName="new", AssumeRolePolicyDocument=document)["Role"]

    assert account.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="now")["Credentials"]
