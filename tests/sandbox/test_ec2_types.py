"""Tests of instances and key pairs in the sandbox, by CloudFormation."""

from __future__ import annotations

import time
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.stacks import deploy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def machine(kind: str = "t3.micro", image: str = "ami-12345678", key: str = "key") -> dict[str, Any]:
    return {
        "Resources": {
            "Pair": {"Type": "AWS::EC2::KeyPair", "Properties": {"KeyName": key, "PublicKeyMaterial": KEY}},
            "Machine": {
                "Type": "AWS::EC2::Instance",
                "Properties": {
                    "ImageId": image,
                    "InstanceType": kind,
                    "KeyName": {"Ref": "Pair"},
                    "Tags": [{"Key": "Name", "Value": "box"}],
                },
            },
        },
        "Outputs": {"Id": {"Value": {"Ref": "Machine"}}, "Address": {"Value": {"Fn::GetAtt": "Machine.PublicIp"}}},
    }


def running(account: Account) -> list[dict[str, Any]]:
    reservations = account.client("ec2").describe_instances()["Reservations"]
    found = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [instance for instance in found if instance["State"]["Name"] == "running"]


def test_instance_has_key_tags_and_public_address(account: Account):
    stack = deploy(account.client("cloudformation"), "Box", machine())

    (instance,) = running(account)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    assert outputs == {"Id": instance["InstanceId"], "Address": instance["PublicIpAddress"]}
    # No machine has an address of this block.
    assert ip_address(instance["PublicIpAddress"]) in ip_network("203.0.113.0/24")
    assert (instance["KeyName"], instance["InstanceType"]) == ("key", "t3.micro")
    assert {"Key": "Name", "Value": "box"} in instance["Tags"]


def test_new_type_keeps_instance_and_new_image_replaces_it(account: Account):
    deploy(account.client("cloudformation"), "Box", machine())
    (first,) = running(account)
    deploy(account.client("cloudformation"), "Box", machine("t3.small"), "UPDATE")
    (second,) = running(account)
    deploy(account.client("cloudformation"), "Box", machine("t3.small", "ami-87654321"), "UPDATE")
    (third,) = running(account)

    assert second["InstanceId"] == first["InstanceId"]
    assert second["InstanceType"] == "t3.small"
    assert third["InstanceId"] != first["InstanceId"]
    assert third["ImageId"] == "ami-87654321"


def test_new_key_replaces_pair_and_instance(account: Account):
    deploy(account.client("cloudformation"), "Box", machine())
    (first,) = running(account)
    deploy(account.client("cloudformation"), "Box", machine(key="other"), "UPDATE")
    (second,) = running(account)

    assert second["InstanceId"] != first["InstanceId"]
    assert [pair["KeyName"] for pair in account.client("ec2").describe_key_pairs()["KeyPairs"]] == ["other"]


def test_deleted_stack_terminates_instance(account: Account):
    deploy(account.client("cloudformation"), "Box", machine())
    cfn = account.client("cloudformation")
    cfn.delete_stack(StackName="Box")
    cfn.get_waiter("stack_delete_complete").wait(StackName="Box", WaiterConfig={"Delay": 0, "MaxAttempts": 500})

    assert running(account) == []
    assert account.client("ec2").describe_key_pairs()["KeyPairs"] == []


def test_duplicate_key_name_and_invalid_key_are_rejected(account: Account):
    account.client("ec2").import_key_pair(KeyName="key", PublicKeyMaterial=KEY.encode())
    taken = deploy(account.client("cloudformation"), "Box", machine())
    assert taken["StackStatus"] == "ROLLBACK_COMPLETE"

    broken = machine(key="fresh")
    broken["Resources"]["Pair"]["Properties"]["PublicKeyMaterial"] = "my key"
    assert deploy(account.client("cloudformation"), "Other", broken)["StackStatus"] == "ROLLBACK_COMPLETE"


def test_started_instance_has_another_address_and_stopped_one_has_none(account: Account):
    ec2 = account.client("ec2")
    deploy(account.client("cloudformation"), "Box", machine())
    (first,) = running(account)
    ids = [first["InstanceId"]]

    ec2.stop_instances(InstanceIds=ids)
    (stopped,) = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
    ec2.start_instances(InstanceIds=ids)
    (second,) = running(account)

    assert "PublicIpAddress" not in stopped
    assert second["InstanceId"] == first["InstanceId"]
    assert second["PublicIpAddress"] != first["PublicIpAddress"]
    assert ip_address(second["PublicIpAddress"]) in ip_network("203.0.113.0/24")


def group(**properties: Any) -> dict[str, Any]:
    return {
        "Resources": {
            "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "test", **properties}}
        },
        "Outputs": {"Id": {"Value": {"Ref": "Group"}}},
    }


def with_rule(account: Account, used: str) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "SourceSecurityGroupId": used}
    deploy(account.client("cloudformation"), "User", group(SecurityGroupIngress=[rule]))


def with_instance(account: Account, used: str) -> None:
    template = machine()
    template["Resources"]["Machine"]["Properties"]["SecurityGroupIds"] = [used]
    deploy(account.client("cloudformation"), "User", template)


def with_interface(account: Account, used: str) -> None:
    ec2 = account.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ec2.create_network_interface(SubnetId=subnet, Groups=[used])


def with_load_balancer(account: Account, used: str) -> None:
    account.client("elbv2").create_load_balancer(Name="balancer", SecurityGroups=[used])


def with_service(account: Account, used: str) -> None:
    ecs = account.client("ecs")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "c", "image": "i", "memory": 1}])
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": [used]}}
    ecs.create_service(serviceName="s", taskDefinition="f", desiredCount=1, networkConfiguration=network)


@pytest.mark.parametrize("use", [with_rule, with_instance, with_interface, with_load_balancer, with_service])
def test_used_security_group_is_not_deleted(account: Account, use: Callable[[Account, str], None]):
    cfn = account.client("cloudformation")
    (output,) = deploy(cfn, "Group", group())["Outputs"]
    use(account, output["OutputValue"])

    with pytest.raises(ClientError, match="DependencyViolation"):
        account.client("ec2").delete_security_group(GroupId=output["OutputValue"])
    delete_stack(account, "Group")
    (stack,) = cfn.describe_stacks(StackName="Group")["Stacks"]

    assert stack["StackStatus"] == "DELETE_FAILED"
    assert "has a dependent object" in str(cfn.describe_stack_events(StackName="Group")["StackEvents"])


@pytest.mark.parametrize("use", [with_rule, with_instance])
def test_security_group_without_users_is_deleted(account: Account, use: Callable[[Account, str], None]):
    cfn = account.client("cloudformation")
    (output,) = deploy(cfn, "Group", group())["Outputs"]
    use(account, output["OutputValue"])

    delete_stack(account, "User")
    delete_stack(account, "Group")

    assert [each["StackName"] for each in cfn.describe_stacks()["Stacks"]] == []


def delete_stack(account: Account, name: str) -> None:
    cfn = account.client("cloudformation")
    (stack,) = cfn.describe_stacks(StackName=name)["Stacks"]
    cfn.delete_stack(StackName=name)
    while cfn.describe_stacks(StackName=stack["StackId"])["Stacks"][0]["StackStatus"] in {
        "CREATE_COMPLETE",
        "DELETE_IN_PROGRESS",
    }:
        time.sleep(0.01)
