"""Priorities of rules in the listener of a load balancer that services and spaces share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup import (
    Cluster,
    Container,
    Context,
    Ingress,
    LoadBalancer,
    Outcome,
    PortMappings,
    Scaling,
    Scope,
    SecurityGroup,
    Service,
    Space,
)
from tests.templates import samples

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account

pytestmark = pytest.mark.live

SCOPE = Scope(name="shop", region="eu-central-1")
LISTENING = Container(source="nginx", tag="1", port_mappings=[PortMappings(container_port=8080)])


def priorities(account: Account, balancer: LoadBalancer) -> dict[str, int]:
    """Return the priorities of the rules by their last condition."""
    rules = account.client("elbv2").describe_rules(ListenerArn=balancer.output("HttpListenerArn"))["Rules"]
    found: dict[str, int] = {}
    for rule in rules:
        if rule["Priority"] != "default":
            last: Any = rule["Conditions"][-1]
            found[next(iter(last.get("Values") or last["PathPatternConfig"]["Values"]))] = int(rule["Priority"])
    return found


def test_longer_paths_and_hosts_precede_across_clusters(live: Account):
    balancer = LoadBalancer(scope=SCOPE, name="front")

    def cluster(name: str, *routes: tuple[str, str | None]) -> Cluster:
        services = [
            Service(name=f"s{number}", container=LISTENING, load_balancer=balancer, path=path, host=host)
            for number, (path, host) in enumerate(routes)
        ]
        return Cluster(scope=SCOPE, name=name, services=services)

    first = cluster("first", ("/", None), ("/v1", None))
    second = cluster("second", ("/v1/users", None), ("/", "example.com"))
    for each in (first, second):
        each.deploy(Context(live))
    found = priorities(live, balancer)

    assert found["example.com"] < found["/v1/users"] < found["/v1"] < found["/*"]
    assert first.model_copy().deploy(Context(live)).outcome is Outcome.UNCHANGED


def test_spaces_of_program_have_different_stable_priorities(live: Account):
    balancer = LoadBalancer(scope=SCOPE, name="front")
    for name in ("a", "b"):
        Space(name=name, load_balancer=balancer, image="nginx:1.27", domain="example.com").deploy(Context(live))
    found = priorities(live, balancer)

    assert len(set(found.values())) == 2
    again = Space(name="a", load_balancer=balancer, image="nginx:1.28", domain="example.com").deploy(Context(live))
    assert again.outcome is Outcome.DEPLOYED
    assert priorities(live, balancer) == found


def test_space_keeps_priority_that_was_set(live: Account):
    balancer = LoadBalancer(scope=SCOPE, name="front")
    Space(name="a", load_balancer=balancer, image="nginx:1.27", domain="example.com", priority=1).deploy(Context(live))
    Space(name="a", load_balancer=balancer, image="nginx:1.27", domain="example.com").deploy(Context(live))
    assert list(priorities(live, balancer).values()) == [1]


def test_service_with_all_options_is_deployed_unchanged_and_deleted(live: Account):
    cluster = samples.OPTIONS.model_copy()
    assert cluster.deploy(Context(live)).outcome is Outcome.DEPLOYED
    assert cluster.model_copy().deploy(Context(live)).outcome is Outcome.UNCHANGED
    assert cluster.delete(Context(live))


def test_group_reaches_other_group_of_program(live: Account):
    front = SecurityGroup(scope=SCOPE, name="front")
    rule = Ingress(from_port=5432, to_port=5432, protocol="tcp", source_group=front)
    group = SecurityGroup(scope=SCOPE, name="database", ingresses=[rule])
    group.deploy(Context(live))
    [found] = live.client("ec2").describe_security_groups(GroupIds=[group.group_id])["SecurityGroups"]
    assert [pair["GroupId"] for pair in found["IpPermissions"][0]["UserIdGroupPairs"]] == [front.group_id]
    assert group.model_copy().deploy(Context(live)).outcome is Outcome.UNCHANGED


def test_scaled_service_is_deployed_unchanged_and_deleted(live: Account):
    scaling = Scaling(min_count=1, max_count=4, cpu_percentage=60, requests=100)
    balancer = LoadBalancer(scope=SCOPE, name="front")
    web = Service(name="web", container=LISTENING, load_balancer=balancer, scaling=scaling)
    cluster = Cluster(scope=SCOPE, name="services", services=[web])

    assert cluster.deploy(Context(live)).outcome is Outcome.DEPLOYED
    assert cluster.model_copy().deploy(Context(live)).outcome is Outcome.UNCHANGED
    assert cluster.delete(Context(live))
