"""`deploy-*`, `validate-*` and `diff` of the constructs of programs, as a user runs them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.template.render import parse
from tests.templates.samples import PUBLIC_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from tests.cli.conftest import Ran

    Program = Callable[..., Ran]

pytestmark = pytest.mark.live

WEB = "name=web,image=public.ecr.aws/nginx/nginx:1.27,port=80"
COMMANDS = {
    "registry": ("--name", "images"),
    "asset": ("--name", "source"),
    "container-builder": ("--name", "build", "--bucket-name", "my-archives", "--repository", "images"),
    "cluster": ("--name", "shop", "--service", WEB),
    "security-group": ("--name", "office", "--ingress", "tcp:443:10.0.0.0/8"),
    "instance": ("--name", "box", "--instance-type", "t3.micro", "--path-to-key", "key"),
}
TYPES = {
    "registry": ["AWS::ECR::Repository"],
    "asset": ["AWS::S3::Bucket", "AWS::S3::BucketPolicy"],
    "container-builder": ["AWS::CodeBuild::Project", "AWS::IAM::Role", "AWS::Logs::LogGroup"],
    "cluster": [
        *("AWS::EC2::SecurityGroup", "AWS::ECS::Cluster", "AWS::ECS::Service", "AWS::ECS::TaskDefinition"),
        *("AWS::IAM::Role", "AWS::IAM::Role", "AWS::Logs::LogGroup"),
    ],
    "security-group": ["AWS::EC2::SecurityGroup"],
    "instance": ["AWS::EC2::Instance", "AWS::EC2::KeyPair", "AWS::EC2::SecurityGroup"],
}


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", COMMANDS)
def test_each_construct_is_deployed_unchanged_and_deleted(kind: str, here: Program, live: Account):
    command = (f"deploy-{kind}", *COMMANDS[kind], "--yes", "--no-lint")
    stack = COMMANDS[kind][1]

    first = here(*command)
    assert first.code == 0, first.stderr
    assert f"stack {stack} is deployed" in first.stderr
    cfn = live.client("cloudformation")
    found = cfn.describe_stack_resources(StackName=stack)["StackResources"]
    assert sorted(each["ResourceType"] for each in found) == TYPES[kind]

    again = here(*command)
    assert again.code == 0
    assert "up to date" in again.stderr
    assert again.stdout == first.stdout
    assert cfn.list_change_sets(StackName=stack)["Summaries"] == []
    assert here("diff", kind, *COMMANDS[kind], "--exit-code").code == 0

    assert here("delete", stack, "--yes").code == 0
    assert here("status", stack).code != 0


@pytest.mark.parametrize("kind", COMMANDS)
def test_each_template_is_valid(kind: str, here: Program):
    assert here(f"validate-{kind}", *COMMANDS[kind]).code == 0
    offline = here(f"validate-{kind}", *COMMANDS[kind], "--offline", "--print-template")
    assert offline.code == 0
    assert offline.stdout.startswith("AWSTemplateFormatVersion")


def test_cluster_runs_services_of_options(here: Program, live: Account):
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
    service = (
        "name=api,image=nginx@sha256:" + "0" * 64 + ",port=80,port=443,cpu=512,memory=1024,count=2,env.MODE=live,"
        f'secret.PASSWORD={secret},"command=serve --list a,b"'
    )
    ran = here("deploy-cluster", "--name", "shop", "--service", WEB, "--service", service, "--yes", "--no-lint")
    assert ran.code == 0, ran.stderr

    ecs = live.client("ecs")
    task = ecs.describe_task_definition(taskDefinition="shop-api")["taskDefinition"]
    (container,) = task["containerDefinitions"]
    assert (task["cpu"], task["memory"]) == ("512", "1024")
    assert container["image"] == "nginx@sha256:" + "0" * 64
    assert container["command"] == ["serve", "--list", "a,b"]
    assert [each["containerPort"] for each in container["portMappings"]] == [80, 443]
    assert container["environment"] == [{"name": "MODE", "value": "live"}]


def test_cluster_uses_default_vpc_unless_set(here: Program, live: Account):
    ec2 = live.client("ec2")
    default = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = sorted(
        ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [default]}])["Subnets"],
        key=lambda each: each["AvailabilityZone"],
    )

    def parameters() -> dict[str, str]:
        stack = live.client("cloudformation").describe_stacks(StackName="shop")["Stacks"][0]
        return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}

    deploy = ("deploy-cluster", "--name", "shop", "--service", WEB, "--yes", "--no-lint")
    assert here(*deploy).code == 0
    assert parameters() == {"VpcId": default, "SubnetIds": ",".join(each["SubnetId"] for each in subnets)}

    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    ran = here(*deploy, "--subnet-id", subnet, "--security-group", group)
    assert ran.code == 0, ran.stderr
    assert parameters() == {"VpcId": vpc, "SubnetIds": subnet, "SecurityGroup1": group}


def test_vpc_without_subnets_is_bad_input(here: Program, live: Account):
    ran = here("deploy-cluster", "--name", "shop", "--service", WEB, "--yes", "--vpc-id", "vpc-0123456789abcdef0")

    assert ran.code == 2
    assert "Cluster 'shop' needs subnets of VPC vpc-0123456789abcdef0" in ran.stderr
    assert "--subnet-id" in ran.stderr
    assert live.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_public_group_needs_allow_broadening(here: Program):
    command = ("deploy-security-group", "--name", "office", "--ingress", "tcp:22:0.0.0.0/0", "--yes", "--no-lint")

    ran = here(*command)

    assert ran.code == 1
    assert "--allow-broadening" in ran.stderr
    assert here(*command, "--allow-broadening").code == 0


def test_new_mutable_tag_changes_repository(here: Program):
    here("deploy-registry", "--name", "images", "--yes", "--no-lint")

    ran = here("deploy-registry", "--name", "images", "--mutable-tag", "latest", "--mutable-tag", "edge-*", "--plan")

    assert ran.code == 0
    assert re.search(r"^~ Repository", ran.stdout, re.MULTILINE)
    assert '"edge-*"' in ran.stdout


def refused(program: Program, *arguments: str) -> str:
    ran = program(*arguments, "--offline")
    assert ran.code == 2
    assert "Traceback" not in ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("web", "write NAME=VALUE"),
        ("name=web", "a service needs a name and an image"),
        ("name=web,image=nginx,tint=red", "a service has no field 'tint'"),
        ("name=web,name=api,image=nginx", "duplicate key 'name'"),
        ("name=web,image=nginx,env.A=1,env.A=2", "duplicate key 'env.A'"),
        ("name=web,image=nginx,port=http", "port is not a whole number"),
        ("name=web,image=nginx,port=0", "port 0 is invalid: use 1 to 65535"),
        ("name=web,image=nginx:b c", "image 'b c' is invalid"),
        ("name=web,image=nginx,env.1A=x", "env.1A"),
        ("name=web,image=nginx,cpu=3", "cpu 3 is invalid"),
        ("name=web,image=nginx,'command=a", "No closing quotation"),
        ("name=we b,image=nginx", "name 'we b' is invalid"),
    ],
)
def test_invalid_service_names_key(program: Program, service: str, said: str):
    assert said in refused(program, "validate-cluster", "--name", "shop", "--service", service)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("443", "'443' is not a rule: write PROTOCOL:PORT:CIDR"),
        ("tcp:443", "is not a rule"),
        ("http:443:10.0.0.0/8", "the protocol 'http' is invalid"),
        ("tcp:443-80:10.0.0.0/8", "must not be above the last"),
        ("tcp:70000:10.0.0.0/8", "the port 70000"),
        ("tcp:443:10.0.0.1/8", "the block of addresses"),
        ("tcp:443:everywhere", "the block of addresses"),
    ],
)
def test_invalid_rule_names_option(program: Program, rule: str, said: str):
    for option in ("--ingress", "--egress"):
        assert said in refused(program, "validate-security-group", "--name", "office", option, rule)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("tcp:443:10.0.0.0/8", {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "10.0.0.0/8"}),
        ("udp:8000-8080:::/0", {"IpProtocol": "udp", "FromPort": 8000, "ToPort": 8080, "CidrIpv6": "::/0"}),
        ("tcp:*:10.0.0.0/8", {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65_535, "CidrIp": "10.0.0.0/8"}),
        ("icmp:*:10.0.0.0/8", {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "CidrIp": "10.0.0.0/8"}),
        ("all:*:10.0.0.0/8", {"IpProtocol": "-1", "CidrIp": "10.0.0.0/8"}),
    ],
)
def test_rule_is_parsed(program: Program, rule: str, expected: dict[str, Any]):
    ran = program("validate-security-group", "--name", "a", "--ingress", rule, "--offline", "--print-template")

    (found,) = parse(ran.stdout)["Resources"]["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert found.items() >= expected.items()
    assert found.keys() == {*expected, "Description"}


def test_missing_key_and_missing_ssh_cidr_are_bad_input(program: Program):
    command = ("validate-instance", "--name", "box", "--instance-type", "t3.micro", "--path-to-key")

    assert "the public key 'nothing.pub' cannot be read" in refused(program, *command, "nothing")
    assert "ssh needs ssh_cidr" in refused(program, *command, "key", "--ssh")
