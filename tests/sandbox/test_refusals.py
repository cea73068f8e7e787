"""Tests of what the sandbox rejects as AWS does: properties, quotas, sizes, and missing permissions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from exasol_ci_setup.aws.session import connect
from exasol_ci_setup.sandbox import elb_types, refusals
from tests.sandbox.stacks import ROLE, deploy, project
from tests.sandbox.test_elb_types import CERTIFICATE, balancer, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live


def reasons(account: Account, stack: str, template: dict[str, Any]) -> list[str]:
    """Deploy a template, and return the reasons of the resources that failed."""
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, stack, template)
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    found = [event for page in pages for event in page["StackEvents"]]
    return [each["ResourceStatusReason"] for each in found if each["ResourceStatus"] == "CREATE_FAILED"]


def groups(*rules: dict[str, Any]) -> dict[str, Any]:
    properties = {"GroupDescription": "group", "SecurityGroupIngress": list(rules)}
    return {"Resources": {"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}}}


def https(**more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "10.0.0.0/8", **more}


@pytest.mark.parametrize("second", [{"IpProtocol": "6"}, {"CidrIp": "10.1.2.3/8"}, {"Description": "again"}])
def test_equal_rules_of_security_group_are_rejected(account: Account, second: dict[str, Any]) -> None:
    (reason,) = reasons(account, "Equal", groups(https(), https(**second)))

    assert "The same permission must not appear multiple times" in reason


def test_different_rules_of_security_group_are_accepted(account: Account) -> None:
    assert reasons(account, "Different", groups(https(), https(IpProtocol="udp"), https(CidrIp="10.0.0.0/9"))) == []


@pytest.mark.parametrize(("member", "most"), [("SecurityGroups", 5), ("Subnets", 16)])
def test_task_with_too_many_groups_or_subnets_is_rejected(account: Account, member: str, most: int) -> None:
    def template(count: int) -> dict[str, Any]:
        network = {"Subnets": ["subnet-00000001"], member: [f"id-{number}" for number in range(count)]}
        return {
            "Resources": {
                "Cluster": {"Type": "AWS::ECS::Cluster"},
                "Service": {
                    "Type": "AWS::ECS::Service",
                    "Properties": {
                        "Cluster": {"Ref": "Cluster"},
                        "TaskDefinition": "web:1",
                        "DesiredCount": 0,
                        "NetworkConfiguration": {"AwsvpcConfiguration": network},
                    },
                },
            }
        }

    (reason,) = reasons(account, "Many", template(most + 1))
    assert f"can have at most {most} items" in reason
    assert not [each for each in reasons(account, "Enough", template(most)) if "at most" in each]


@pytest.mark.parametrize("name", ["/aws/a b", "/aws/a{b}", "a" * 513])
def test_invalid_log_group_name_is_rejected(account: Account, name: str) -> None:
    template = {"Resources": {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}}}}

    (reason,) = reasons(account, "Group", template)
    assert "failed to satisfy constraint" in reason
    with pytest.raises(ClientError, match="InvalidParameterException"):
        account.client("logs").create_log_group(logGroupName=name)


def test_generated_log_group_name_is_accepted(account: Account) -> None:
    assert reasons(account, "Generated", {"Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}}}) == []


def target_group(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "Properties": {"Name": name, "Port": 80, "Protocol": "HTTP"},
    }


def forward(priority: int, group: str) -> dict[str, Any]:
    made = rule(priority)
    made["Properties"]["Actions"] = [{"Type": "forward", "TargetGroupArn": {"Ref": group}}]
    return made


def test_quotas_of_load_balancer_are_enforced(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of AWS: 100 target groups and 100 rules. Three show the count.
    monkeypatch.setattr(elb_types, "_MOST_TARGET_GROUPS", 2)
    made = {f"G{number}": target_group(f"g{number}") for number in range(3)}
    rules = {f"R{number}": forward(number + 1, f"G{number}") for number in range(3)}
    for number in (1, 2):
        rules[f"R{number}"]["DependsOn"] = f"R{number - 1}"
    (reason,) = reasons(account, "Groups", balancer(**made, **rules))
    assert "TooManyUniqueTargetGroupsPerLoadBalancer" in reason

    monkeypatch.setattr(elb_types, "_MOST_RULES", 1)
    (reason,) = reasons(account, "Rules", balancer(One=rule(1), Two={**rule(2), "DependsOn": "One"}))
    assert "TooManyRules" in reason

    monkeypatch.setattr(elb_types, "_MOST_CERTIFICATES", 0)
    (reason,) = reasons(account, "Certificates", balancer(Further=CERTIFICATE))
    assert "TooManyCertificates" in reason

    monkeypatch.setattr(elb_types, "_MOST_LISTENERS", 1)
    second = {**balancer()["Resources"]["Listener"], "DependsOn": "Listener"}
    second["Properties"] = {**second["Properties"], "Port": 444}
    (reason,) = reasons(account, "Listeners", balancer(Second=second))
    assert "TooManyListeners" in reason


def test_quotas_of_load_balancer_are_those_of_aws() -> None:
    quotas = (elb_types._MOST_TARGET_GROUPS, elb_types._MOST_RULES, elb_types._MOST_CERTIFICATES)
    assert (*quotas, elb_types._MOST_LISTENERS) == (100, 100, 25, 50)


def padded(size: int) -> str:
    """Return a template with `size` bytes."""
    template: dict[str, Any] = {
        "Description": "",
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Metadata": {"Text": ""},
    }
    template["Metadata"]["Text"] = "x" * (size - len(json.dumps(template)))
    return json.dumps(template)


def test_template_has_at_most_one_megabyte(account: Account) -> None:
    s3, cloudformation = account.client("s3"), account.client("cloudformation")
    bucket = f"templates-{account.number}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for key, size in (("largest", 1_048_576), ("larger", 1_048_577)):
        s3.put_object(Bucket=bucket, Key=key, Body=padded(size).encode())
    url = f"https://{bucket}.s3.eu-central-1.amazonaws.com/"

    assert cloudformation.get_template_summary(TemplateURL=f"{url}largest")["ResourceTypes"] == ["AWS::SNS::Topic"]
    with pytest.raises(ClientError, match="1048576"):
        cloudformation.get_template_summary(TemplateURL=f"{url}larger")
    with pytest.raises(ClientError, match="51200"):
        cloudformation.get_template_summary(TemplateBody=padded(51_201))


def test_nested_template_is_read_from_virtual_hosted_url(account: Account) -> None:
    s3 = account.client("s3")
    bucket = f"nested-{account.number}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket=bucket, Key="inner", Body=padded(200).encode())
    url = f"https://{bucket}.s3.eu-central-1.amazonaws.com/inner"
    inner = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}

    assert reasons(account, "Outer", {"Resources": {"Inner": inner}}) == []


def test_existing_repository_is_not_adopted(account: Account) -> None:
    account.client("ecr").create_repository(repositoryName="images")
    repository = {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "images"}}

    (reason,) = reasons(account, "Registry", {"Resources": {"Repository": repository}})
    assert "already exists" in reason
    assert account.client("ecr").describe_repositories(repositoryNames=["images"])["repositories"]


def with_token(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a template with a project whose builds get the token of the secret `github`."""
    environment = {
        "Type": "LINUX_CONTAINER",
        "ComputeType": "BUILD_GENERAL1_SMALL",
        "Image": "aws/codebuild/standard:7.0",
        "EnvironmentVariables": [{"Name": "TOKEN", "Type": "SECRETS_MANAGER", "Value": "github:token"}],
    }
    template = project(Environment=environment)
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    policies = [{"PolicyName": "read", "PolicyDocument": document}] if statements else []
    template["Resources"]["Role"] = {**ROLE, "Properties": {**ROLE["Properties"], "Policies": policies}}
    return template


ALLOWED = {
    "Effect": "Allow",
    "Action": "secretsmanager:GetSecretValue",
    "Resource": {"Fn::Sub": "arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:github-*"},
}
OTHER = {
    **ALLOWED,
    "Resource": {"Fn::Sub": "arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:Dockerhub-*"},
}


@pytest.mark.parametrize(("statements", "status"), [((ALLOWED,), "SUCCEEDED"), ((OTHER,), "FAILED"), ((), "FAILED")])
def test_role_of_build_must_read_its_secrets(account: Account, statements: Any, status: str) -> None:
    account.server.build_seconds[account.number] = 0.05
    deploy(account.client("cloudformation"), "Build", with_token(*statements))
    codebuild = account.client("codebuild")
    build = codebuild.start_build(projectName="Slc")["build"]["id"]
    while (found := codebuild.batch_get_builds(ids=[build])["builds"][0])["buildStatus"] == "IN_PROGRESS":
        pass

    assert found["buildStatus"] == status
    contexts = [each for phase in found["phases"] for each in phase.get("contexts", ()) if each.get("message")]
    refused = [
        each for each in contexts if "not authorized to perform: secretsmanager:GetSecretValue" in each["message"]
    ]
    assert bool(refused) == (status == "FAILED")


@pytest.fixture
def enforced(account: Account) -> Iterator[None]:
    account.server.control_access(True)
    yield
    account.server.control_access(False)


@pytest.mark.usefixtures("enforced")
@pytest.mark.parametrize(
    ("actions", "is_allowed"), [(["cloudformation:*"], False), (["cloudformation:*", "ec2:DescribeVpcs"], True)]
)
def test_values_of_aws_types_are_read_with_permissions_of_caller(
    account: Account, actions: list[str], is_allowed: bool
) -> None:
    iam = connect(region="eu-central-1", endpoint_url=account.server.url, access_key=(account.number, "any")).client(
        "iam"
    )
    iam.create_user(UserName="deployer")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_user_policy(UserName="deployer", PolicyName="deploy", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    caller = connect(
        region="eu-central-1",
        endpoint_url=account.server.url,
        access_key=(key["AccessKeyId"], key["SecretAccessKey"]),
    ).client("cloudformation")
    template = {
        "Parameters": {"Vpc": {"Type": "AWS::EC2::VPC::Id", "Default": "vpc-00000001"}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }
    request: dict[str, Any] = {
        "StackName": "Vpc",
        "ChangeSetName": "one",
        "ChangeSetType": "CREATE",
        "TemplateBody": json.dumps(template),
    }

    if is_allowed:
        assert caller.create_change_set(**request)["Id"]
    else:
        with pytest.raises(ClientError, match="not authorized to perform: ec2:DescribeVpcs"):
            caller.create_change_set(**request)


def test_equal_addresses_have_one_form() -> None:
    rules = [{"CidrIpv6": "::/0"}, {"CidrIpv6": "0::0/0"}]

    assert "multiple times" in refusals.group_problem({"SecurityGroupEgress": rules})
