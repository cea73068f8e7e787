"""Tests of rules and certificates of listeners in the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.stacks import deploy, events

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

OWN, FURTHER = (f"arn:aws:acm:eu-central-1:123456789012:certificate/{number}" for number in ("own", "further"))


def balancer(**more: Any) -> dict[str, Any]:
    """Return a template with a load balancer, an HTTPS listener, and `more` resources."""
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    return {
        "Resources": {
            "Balancer": {
                "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
                "Properties": {"Subnets": ["subnet-00000001", "subnet-00000002"]},
            },
            "Listener": {
                "Type": "AWS::ElasticLoadBalancingV2::Listener",
                "Properties": {
                    "LoadBalancerArn": {"Ref": "Balancer"},
                    "Port": 443,
                    "Protocol": "HTTPS",
                    "Certificates": [{"CertificateArn": OWN}],
                    "DefaultActions": [answer],
                },
            },
            **more,
        },
        "Outputs": {"Listener": {"Value": {"Ref": "Listener"}}},
    }


def rule(priority: int) -> dict[str, Any]:
    return {
        "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
        "Properties": {
            "ListenerArn": {"Ref": "Listener"},
            "Priority": priority,
            "Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": ["a.example.com"]}}],
            "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        },
    }


CERTIFICATE = {
    "Type": "AWS::ElasticLoadBalancingV2::ListenerCertificate",
    "Properties": {"ListenerArn": {"Ref": "Listener"}, "Certificates": [{"CertificateArn": FURTHER}]},
}


def certificates(account: Account, stack: Any) -> list[tuple[str, bool]]:
    (output,) = stack["Outputs"]
    found = account.client("elbv2").describe_listener_certificates(ListenerArn=output["OutputValue"])["Certificates"]
    return [(each["CertificateArn"], each["IsDefault"]) for each in found]


def test_duplicate_priority_of_rules_is_rejected(account: Account):
    cloudformation = account.client("cloudformation")

    stack = deploy(cloudformation, "Two", balancer(First=rule(7), Second={**rule(7), "DependsOn": "First"}))

    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert ("Second", "CREATE_FAILED") in events(cloudformation, "Two")
    failed = [
        event["ResourceStatusReason"]
        for event in cloudformation.describe_stack_events(StackName="Two")["StackEvents"]
        if event["ResourceStatus"] == "CREATE_FAILED"
    ]
    assert any("Priority '7' is currently in use" in reason and "PriorityInUse" in reason for reason in failed)


@pytest.mark.parametrize("host", ["a" * 120 + ".example.com", "example.xn--p1ai", "localhost"])
def test_host_that_rules_cannot_have_is_rejected(account: Account, host: str):
    cloudformation = account.client("cloudformation")
    invalid = rule(7)
    invalid["Properties"]["Conditions"][0]["HostHeaderConfig"]["Values"] = [host]

    assert deploy(cloudformation, "Host", balancer(First=invalid))["StackStatus"] == "ROLLBACK_COMPLETE"
    assert ("First", "CREATE_FAILED") in events(cloudformation, "Host")


def test_duplicate_port_of_listeners_is_rejected(account: Account):
    cloudformation = account.client("cloudformation")
    second = {**balancer()["Resources"]["Listener"], "DependsOn": "Listener"}

    assert deploy(cloudformation, "Ports", balancer(Second=second))["StackStatus"] == "ROLLBACK_COMPLETE"
    assert ("Second", "CREATE_FAILED") in events(cloudformation, "Ports")


def test_rule_update_can_keep_or_change_priority(account: Account):
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "One", balancer(First=rule(7)))

    assert deploy(cloudformation, "One", balancer(First=rule(8)), "UPDATE")["StackStatus"] == "UPDATE_COMPLETE"


def test_listener_has_additional_certificates_until_removal(account: Account):
    cloudformation = account.client("cloudformation")

    made = deploy(cloudformation, "Secure", balancer(Further=CERTIFICATE))
    assert certificates(account, made) == [(OWN, True), (FURTHER, False)]

    without = deploy(cloudformation, "Secure", balancer(), "UPDATE")
    assert certificates(account, without) == [(OWN, True)]


def test_default_certificate_cannot_be_removed(account: Account):
    stack = deploy(account.client("cloudformation"), "Secure", balancer())
    elb = account.client("elbv2")
    listener = stack["Outputs"][0]["OutputValue"]

    elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": FURTHER}])
    assert certificates(account, stack) == [(OWN, True), (FURTHER, False)]
    elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": FURTHER}])
    assert certificates(account, stack) == [(OWN, True)]

    with pytest.raises(ClientError, match="OperationNotPermitted"):
        elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": OWN}])
