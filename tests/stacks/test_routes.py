"""Rules of different stacks with the same host and path in one listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup import Cluster, Container, Context, LoadBalancer, Outcome, PortMappings, Scope, Service, Space
from exasol_ci_setup.constructs.load_balancer import Route
from exasol_ci_setup.core.errors import InputError, SpaceConflictError
from exasol_ci_setup.platform import spaces
from exasol_ci_setup.programs.declared import Declared
from exasol_ci_setup.stacks import routes
from tests.answers import AwsError

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account
    from tests.answers import Answers

SCOPE = Scope(name="shop", region="eu-central-1")
LISTENING = Container(source="nginx", tag="1", port_mappings=[PortMappings(container_port=8080)])
LISTENER = (
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/shop-front/0123456789abcdef/fedcba9876543210"
)
RULE = LISTENER.replace(":listener/", ":listener-rule/") + "/1"
HOST = {"Field": "host-header", "HostHeaderConfig": {"Values": ["WEB.example.com", "b.example.com"]}}
NO_STACK = AwsError("ValidationError", "Stack for the resource does not exist")
PATH = {"Field": "path-pattern", "Values": ["/v1"]}


def front() -> LoadBalancer:
    return LoadBalancer(scope=SCOPE, name="front")


def cluster(name: str, balancer: LoadBalancer, **values: Any) -> Cluster:
    service = Service(name=f"{name}-web", container=LISTENING, load_balancer=balancer, **values)
    return Cluster(scope=SCOPE, name=name, services=[service])


def space(balancer: LoadBalancer, **values: Any) -> Space:
    return Space(name="web", load_balancer=balancer, image="nginx:1.27", domain="example.com", **values)


@pytest.mark.parametrize("values", [{}, {"priority": 7}, {"extra_hosts": ["www.example.com"]}])
def test_space_and_service_of_program_with_same_host_are_rejected(values: dict[str, Any]):
    balancer = front()
    with pytest.raises(InputError) as found:
        Declared([cluster("a", balancer, host="web.example.com"), space(balancer, **values)])
    route = "host web.example.com and path /*"
    assert found.value.message == f"service 'a-web' and space 'web' have the same load balancer, host and path: {route}"
    assert found.value.exit_code == 2


def test_services_of_two_clusters_with_same_path_are_rejected():
    balancer = front()
    with pytest.raises(InputError, match="host \\* and path /v1"):
        Declared([cluster("a", balancer, path="/v1"), cluster("b", balancer, path="/v1")])


def test_different_routes_and_load_balancers_are_accepted():
    balancer, other = front(), LoadBalancer(scope=SCOPE, name="back")
    clusters = [cluster("a", balancer), cluster("b", balancer, path="/v1"), cluster("c", other)]
    Declared([*clusters, cluster("d", balancer, host="example.com"), space(balancer)])


@pytest.mark.live
def test_route_of_deployed_stack_is_rejected_unless_it_is_in_same_run(live: Account):
    balancer = front()
    first, second = cluster("first", balancer, path="/v1"), cluster("second", balancer, path="/v1")
    first.deploy(Context(live))
    with pytest.raises(InputError) as found:
        second.deploy(Context(live))
    assert (
        found.value.message
        == "service 'second-web' has the host * and path /v1 of stack shop-first on the same load balancer"
    )
    assert "`exasol-ci-setup status shop-first`" in found.value.hint

    parameters = {"Listener1": balancer.output("HttpListenerArn")}
    routes.require_free(live, second, parameters, declared=["shop-first"])
    assert first.model_copy().deploy(Context(live)).outcome is Outcome.UNCHANGED


@pytest.mark.live
def test_host_of_rule_without_stack_is_rejected_for_space(live: Account):
    spaces.create("base", image="nginx:1", domain="example.com", context=Context(live))
    elb = live.client("elbv2")
    [stack] = live.client("cloudformation").describe_stacks(StackName="spaces-load-balancer")["Stacks"]
    listener = next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "HttpListenerArn")
    [rule] = elb.create_rule(
        ListenerArn=listener,
        Priority=40_000,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["web.example.com"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )["Rules"]
    with pytest.raises(SpaceConflictError) as found:
        spaces.create("web", image="nginx:1", domain="example.com", context=Context(live))
    assert found.value.message == f"host web.example.com is that of rule {rule['RuleArn']}"
    assert rule["RuleArn"] in found.value.hint


def taken(answers: Answers, *conditions: Any, owner: Any = NO_STACK, **rule: Any) -> Any:
    """Return the route that the listener's only rule has, and the stack of the rule."""
    described = {"RuleArn": RULE, "Priority": "1", "IsDefault": False, "Conditions": list(conditions), **rule}
    answers.on("elbv2", "DescribeRules", {"Rules": [described]})
    answers.on("cloudformation", "DescribeStackResources", owner)
    wanted = frozenset({Route("web.example.com", "/*"), Route(None, "/v1"), Route("b.example.com", "/v1")})
    found = routes.find_taken(answers.account, LISTENER, wanted, but={"own"})
    return None if found is None else (found.route, found.stack_name)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([HOST], Route("web.example.com", "/*")),
        ([PATH], Route(None, "/v1")),
        ([HOST, PATH], Route("b.example.com", "/v1")),
        ([{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/v1/*"]}}], None),
        ([HOST, {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}], None),
        ([{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}}], None),
        ([], None),
    ],
)
def test_conditions_of_deployed_rule_are_compared(answers: Answers, conditions: list[Any], expected: Route | None):
    assert taken(answers, *conditions) == (None if expected is None else (expected, ""))


@pytest.mark.parametrize(("stack_name", "is_taken"), [("own", False), ("other", True)])
def test_rule_of_own_stack_is_no_conflict(answers: Answers, stack_name: str, is_taken: bool):
    resource = {
        "StackName": stack_name,
        "LogicalResourceId": "Rule",
        "PhysicalResourceId": RULE,
        "ResourceType": "AWS::ElasticLoadBalancingV2::ListenerRule",
        "Timestamp": "2026-01-01T00:00:00Z",
        "ResourceStatus": "CREATE_COMPLETE",
    }
    found = taken(answers, HOST, owner={"StackResources": [resource]})
    assert found == ((Route("web.example.com", "/*"), "other") if is_taken else None)


def test_rule_whose_stack_is_unknown_is_no_conflict(answers: Answers):
    assert taken(answers, HOST, owner=AwsError("AccessDenied")) is None
