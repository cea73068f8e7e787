"""Quotas of the load balancer of the spaces."""

from __future__ import annotations

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import SpaceRequestError
from exasol_ci_setup.core.stacks import Stack
from exasol_ci_setup.platform import load_balancer, load_balancer_quotas
from tests.reporters import RecordingReporter

IMAGE = "public.ecr.aws/nginx/nginx:1.27"
ELB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
OUTPUTS = {
    "HttpListenerArn": f"{ELB}:listener/app/spaces/0/1",
    "HttpsListenerArn": f"{ELB}:listener/app/spaces/0/2",
    "ClusterName": "spaces",
}
STACK = Stack(name="spaces-load-balancer", id="arn:1", status="CREATE_COMPLETE", outputs=OUTPUTS)


@pytest.fixture
def full(answers):
    """A load balancer with all that its quotas allow."""
    answers.on("elbv2", "DescribeTargetGroups", {"TargetGroups": [{}] * 100})
    answers.on("elbv2", "DescribeListeners", {"Listeners": [{}] * 50})
    rules = [{"IsDefault": True}] + [{"IsDefault": False}] * 50
    answers.on("elbv2", "DescribeRules", {"Rules": rules})
    certificates = [{"IsDefault": True}] + [{"IsDefault": False}] * 25
    answers.on("elbv2", "DescribeListenerCertificates", {"Certificates": certificates})
    answers.on("ecs", "ListServices", {"serviceArns": [f"arn:{number}" for number in range(20)]})
    answers.on("ecs", "DescribeServices", {"services": [{"desiredCount": 50}] * 10})
    return answers


def test_fixed_quota_is_error(full):
    with pytest.raises(SpaceRequestError, match="has 100 of 100 target groups") as caught:
        load_balancer_quotas.require_within_quotas(Context(full.account), STACK, {"target groups": 1})

    assert caught.value.exit_code == 2
    (request,) = full.of("DescribeTargetGroups")
    assert request["LoadBalancerArn"] == f"{ELB}:loadbalancer/app/spaces/0"


@pytest.mark.parametrize(
    ("name", "count"),
    [("rules", "100 of 100"), ("listeners", "50 of 50"), ("certificates", "25 of 25"), ("targets", "1000 of 1000")],
)
def test_adjustable_quota_is_reported(full, name, count):
    reporter = RecordingReporter()

    load_balancer_quotas.require_within_quotas(Context(full.account, reporter=reporter), STACK, {name: 1})

    (note,) = reporter.notes
    assert f"the load balancer of the spaces has {count} {name}" in note
    assert "Service Quotas" in note


def test_nothing_added_makes_no_request(answers):
    load_balancer_quotas.require_within_quotas(
        Context(answers.account), STACK, dict.fromkeys(load_balancer_quotas.QUOTAS, 0)
    )

    assert answers.calls == []


@pytest.mark.live
def test_hundredth_space_is_last(live):
    naas.space.create("web", image=IMAGE, domain="example.com", context=Context(live))
    elb = live.client("elbv2")
    outputs = load_balancer.find(Context(live)).outputs
    for number in range(99):
        group = elb.create_target_group(Name=f"g{number}", Protocol="HTTP", Port=80, VpcId=outputs["VpcId"])
        arn = group["TargetGroups"][0]["TargetGroupArn"]
        elb.create_rule(
            ListenerArn=outputs["HttpListenerArn"],
            Priority=number + 1,
            Conditions=[{"Field": "host-header", "Values": [f"{number}.example.org"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": arn}],
        )
    reporter = RecordingReporter()

    with pytest.raises(SpaceRequestError, match="has 100 of 100 target groups"):
        naas.space.create("more", image=IMAGE, context=Context(live, reporter=reporter))

    assert reporter.plans == []
    naas.space.update("web", image="nginx:2", context=Context(live))
