"""Services behind a load balancer, and their scaling."""

from __future__ import annotations

from typing import Any

import pytest

from exasol_ci_setup.constructs import (
    Cluster,
    Container,
    HealthCheck,
    LoadBalancer,
    PortMappings,
    Scaling,
    Scope,
    Service,
)
from exasol_ci_setup.template.render import parse, render
from tests.constructs.test_parts import CONTAINER, error_of

SCOPE = Scope(name="shop", region="eu-central-1")
BALANCER = LoadBalancer(scope=SCOPE, name="front")
LISTENING = Container(source="nginx", tag="1", port_mappings=[PortMappings(container_port=8080)])


def resources_of(*services: Service, **values: Any) -> dict[str, Any]:
    cluster = Cluster(scope=SCOPE, name="services", services=services, **values)
    found: dict[str, Any] = parse(render(cluster).body)["Resources"]
    return found


def behind(**values: Any) -> Service:
    return Service(**{"name": "web", "container": LISTENING, "load_balancer": BALANCER, **values})


@pytest.mark.parametrize(
    ("path", "host", "expected"),
    [
        ("/", None, {"path-pattern": ["/*"]}),
        ("/v1", None, {"path-pattern": ["/v1", "/v1/*"]}),
        ("/", "example.com", {"host-header": ["example.com"]}),
        ("/v1", "example.com", {"host-header": ["example.com"], "path-pattern": ["/v1", "/v1/*"]}),
    ],
)
def test_rule_has_conditions_of_host_and_path(path: str, host: str | None, expected: dict[str, list[str]]):
    rule = resources_of(behind(path=path, host=host))["WebRule"]["Properties"]
    found = {each["Field"]: next(value for key, value in each.items() if key != "Field") for each in rule["Conditions"]}
    assert {field: config["Values"] for field, config in found.items()} == expected


@pytest.mark.parametrize("path", ["v1", "/v1/", "/v*", "/a?", "/" + "a" * 126, "/a" * 10, "//", ""])
def test_invalid_path_is_rejected(path: str):
    values = {"name": "web", "container": LISTENING, "load_balancer": BALANCER}
    assert "--path" in error_of(Service, **values, path=path)


def test_only_group_of_load_balancer_reaches_port():
    found = resources_of(behind(), behind(name="api", path="/v1"), Service(name="job", container=CONTAINER))
    [ingress] = found["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert ingress["SourceSecurityGroupId"] == {"Ref": "LoadBalancerGroup1"}
    assert (ingress["FromPort"], ingress["ToPort"]) == (8080, 8080)


def test_service_is_registered_at_first_port_after_rule():
    service = resources_of(behind(health_check=HealthCheck(grace_period=5)))["WebService"]
    assert service["DependsOn"] == "WebRule"
    [balancer] = service["Properties"]["LoadBalancers"]
    assert balancer["ContainerPort"] == 8080
    assert service["Properties"]["HealthCheckGracePeriodSeconds"] == 5


def test_load_balancers_have_parameters_of_their_own():
    other = LoadBalancer(
        scope=SCOPE,
        name="secure",
        certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
    )
    cluster = Cluster(name="services", services=[behind(), behind(name="api", load_balancer=other)])
    assert {name: source for name, source in cluster.parameter_sources.items() if "Listener" in name} == {
        "Listener1": (BALANCER, "HttpListenerArn"),
        "Listener2": (other, "HttpsListenerArn"),
    }


def test_cluster_uses_network_of_load_balancer():
    subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    balancer = LoadBalancer(scope=SCOPE, name="front", vpc_id="vpc-0123456789abcdef0", subnet_ids=subnets)
    cluster = Cluster(name="services", services=[behind(load_balancer=balancer)])
    assert cluster.configured_network == ("vpc-0123456789abcdef0", tuple(subnets))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": "/v1"}, "path has no effect without load_balancer"),
        ({"host": "example.com"}, "host has no effect without load_balancer"),
        ({"health_check": HealthCheck(path="/up")}, "health_check has no effect without load_balancer"),
        ({"scaling": Scaling(min_count=1, max_count=2, requests=10)}, "needs load_balancer"),
        ({"load_balancer": BALANCER}, "needs a port"),
        ({"scaling": Scaling(min_count=1, max_count=2, cpu_percentage=50), "count": 2}, "count has no effect"),
    ],
)
def test_contradicting_options_are_rejected(values: dict[str, Any], message: str):
    assert message in error_of(Service, name="web", container=CONTAINER, **values)


def test_services_with_same_route_are_rejected():
    services = [behind(path="/v1"), behind(name="api", path="/v1")]
    message = "same load balancer, host and path: service 'web' and service 'api', host * and path /v1"
    assert message in error_of(Cluster, name="services", services=services)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"interval": 4}, "5 to 300"),
        ({"timeout": 15}, "shorter than its interval"),
        ({"healthy_threshold": 1}, "2 to 10"),
        ({"success_codes": "500"}, "from 200 to 499"),
        ({"success_codes": "200-"}, "from 200 to 499"),
        ({"path": "up"}, "begins with /"),
    ],
)
def test_invalid_health_check_is_rejected(values: dict[str, Any], message: str):
    assert message in error_of(HealthCheck, **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cpu_percentage": 101}, "1 to 100"),
        ({"requests": 0}, "1 to 1000000"),
        ({"min_count": 3, "cpu_percentage": 50}, "must not be above max_count"),
        ({}, "at least one of"),
    ],
)
def test_invalid_scaling_is_rejected(values: dict[str, Any], message: str):
    assert message in error_of(Scaling, **{"min_count": 1, "max_count": 2, **values})


def test_scaled_service_has_no_desired_count():
    scaling = Scaling(min_count=2, max_count=6, cpu_percentage=60, memory_percentage=70, requests=500)
    found = resources_of(behind(scaling=scaling))

    assert "DesiredCount" not in found["WebService"]["Properties"]
    target = found["WebScalableTarget"]["Properties"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 6)
    policies = [each["Properties"] for each in found.values() if each["Type"].endswith("ScalingPolicy")]
    settings = [each["TargetTrackingScalingPolicyConfiguration"] for each in policies]
    assert {
        each["PredefinedMetricSpecification"]["PredefinedMetricType"]: each["TargetValue"] for each in settings
    } == {
        "ECSServiceAverageCPUUtilization": 60,
        "ECSServiceAverageMemoryUtilization": 70,
        "ALBRequestCountPerTarget": 500,
    }


def test_certificate_of_other_region_is_rejected():
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
    message = error_of(LoadBalancer, scope=SCOPE, name="front", certificate_arn=arn)
    assert "the certificate must be in the region of the load balancer, eu-central-1" in message
    LoadBalancer(scope=SCOPE, name="front", certificate_arn=arn.replace("us-east-1", "eu-central-1"))
