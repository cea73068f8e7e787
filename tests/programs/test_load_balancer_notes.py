"""Notes about the quotas of a load balancer in plans of programs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup import Cluster, Container, LoadBalancer, PortMappings, Scope, Service
from exasol_ci_setup.programs import load_balancer_notes
from tests.answers import AwsError

if TYPE_CHECKING:
    from tests.answers import Answers

SCOPE = Scope(name="shop", region="eu-central-1")
BALANCER = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop-front/0123456789abcdef"
LISTENER = BALANCER.replace(":loadbalancer/", ":listener/") + "/fedcba9876543210"
NO_STACK = AwsError("ValidationError", "Stack with id shop-services does not exist")


def cluster(count: int = 2) -> Cluster:
    balancer = LoadBalancer(scope=SCOPE, name="front")
    container = Container(source="nginx", tag="1", port_mappings=[PortMappings(container_port=80)])
    services = [
        Service(name=f"s{number}", container=container, load_balancer=balancer, path=f"/s{number}")
        for number in range(count)
    ]
    return Cluster(scope=SCOPE, name="services", services=services)


def use(answers: Answers, groups: int, rules: int) -> None:
    answers.on("cloudformation", "DescribeStacks", NO_STACK)
    arn = BALANCER.replace("loadbalancer/app", "targetgroup")
    answers.on("elbv2", "DescribeTargetGroups", {"TargetGroups": [{"TargetGroupArn": arn}] * groups})
    answers.on("elbv2", "DescribeListeners", {"Listeners": [{"ListenerArn": LISTENER}]})
    every = [
        {"RuleArn": f"{LISTENER}/{number}", "Priority": str(number), "IsDefault": False} for number in range(rules)
    ]
    answers.on("elbv2", "DescribeRules", {"Rules": [*every, {"Priority": "default", "IsDefault": True}]})


def notes(answers: Answers, listener: str = LISTENER) -> tuple[str, ...]:
    return load_balancer_notes.notes(answers.account, cluster(), {"Listener1": listener})


@pytest.mark.parametrize(
    ("groups", "rules", "found"),
    [
        (98, 98, []),
        (99, 98, ["2 new target groups: load balancer shop-front has 99 of 100, the limit of AWS"]),
        (10, 99, ["2 new rules: load balancer shop-front has 99 of 100: if AWS rejects more"]),
    ],
)
def test_new_services_above_quota_have_note(answers: Answers, groups: int, rules: int, found: list[str]):
    use(answers, groups, rules)
    assert [note.startswith(text) for note, text in zip(notes(answers), found, strict=True)] == [True] * len(found)


def test_deployed_services_are_not_counted_again(answers: Answers):
    use(answers, 100, 100)
    stack: dict[str, Any] = {
        "StackName": "shop-services",
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/shop-services/1",
        "CreationTime": datetime(2026, 1, 1, tzinfo=timezone.utc),
        "StackStatus": "CREATE_COMPLETE",
    }
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [stack]})
    resource = {
        "ResourceType": "AWS::ElasticLoadBalancingV2::ListenerRule",
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": stack["CreationTime"],
    }
    summaries = [{**resource, "LogicalResourceId": each} for each in ("S0Rule", "S1Rule")]
    answers.on("cloudformation", "ListStackResources", {"StackResourceSummaries": summaries})
    assert notes(answers) == ()
    assert "DescribeRules" not in answers.names()


def test_denied_check_has_no_note(answers: Answers):
    use(answers, 100, 100)
    answers.on("elbv2", "DescribeTargetGroups", AwsError("AccessDenied"))
    assert notes(answers) == ()


def test_cluster_without_load_balancer_makes_no_call(answers: Answers):
    web = Service(name="web", container=Container(source="nginx", tag="1"))
    assert load_balancer_notes.notes(answers.account, Cluster(scope=SCOPE, name="a", services=[web]), {}) == ()
    assert answers.names() == []
