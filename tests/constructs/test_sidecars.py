"""Further containers in the tasks of a service, and commands that check the health of containers."""

from __future__ import annotations

from typing import Any

import pytest

from exasol_ci_setup.constructs import (
    Cluster,
    Container,
    ContainerHealthCheck,
    PortMappings,
    Registry,
    Service,
    Sidecar,
    Volume,
)
from tests.constructs.test_parts import SECRET, error_of
from tests.constructs.test_routing import LISTENING, SCOPE, resources_of
from tests.constructs.test_service_options import statements_of
from tests.templates.samples import BUILDER, ECR, PARAMETER

AGENT = Container(source="agent", tag="1", health_check=ContainerHealthCheck(command="agent check"))


def sidecar(**values: Any) -> Sidecar:
    return Sidecar(**{"name": "agent", "container": AGENT, **values})


def web(*sidecars: Sidecar, **values: Any) -> Service:
    return Service(**{"name": "web", "container": LISTENING, "sidecars": list(sidecars), **values})


def containers_of(service: Service) -> dict[str, Any]:
    definitions = resources_of(service)["WebTaskDefinition"]["Properties"]["ContainerDefinitions"]
    return {each["Name"]: each for each in definitions}


@pytest.mark.parametrize(
    ("condition", "essential", "found"),
    [
        ("start", True, "START"),
        ("healthy", True, "HEALTHY"),
        ("complete", False, "COMPLETE"),
        ("success", False, "SUCCESS"),
    ],
)
def test_service_starts_after_condition_of_sidecar(condition: Any, essential: bool, found: str):
    containers = containers_of(web(sidecar(condition=condition, essential=essential)))
    assert containers["web"]["DependsOn"] == [{"ContainerName": "agent", "Condition": found}]
    assert containers["agent"]["Essential"] is essential


def test_sidecar_without_condition_starts_with_service():
    containers = containers_of(web(sidecar()))
    assert "DependsOn" not in containers["web"]
    assert containers["agent"]["LogConfiguration"]["Options"]["awslogs-stream-prefix"] == "agent"


def test_role_of_task_reads_secrets_and_images_of_all_containers():
    images = Registry(scope=SCOPE, name="images")
    service = web(
        sidecar(secrets={"A": SECRET, "B": PARAMETER}),
        sidecar(name="other", container=Container(source=ECR, tag="1")),
        sidecar(name="third", container=Container(source=images, tag="1")),
        sidecar(name="fourth", container=Container(source=images, tag="2")),
        secrets={"A": f"{SECRET}:key::"},
    )
    statements = statements_of(resources_of(service)["WebExecutionRole"])
    assert statements["ReadSecrets"]["Resource"] == [SECRET]
    assert statements["ReadParameters"]["Resource"] == [PARAMETER]
    assert statements["PullImage"]["Resource"]["Fn::Sub"][1] == {
        "Repository": "ecr:eu-central-1:123456789012:repository/shop/api"
    }
    assert statements["PullImage2"]["Resource"]["Fn::Sub"][1] == {"Name": {"Ref": "RepositoryName1"}}
    assert "PullImage3" not in statements


def test_images_of_sidecars_are_built_with_cluster():
    cluster = Cluster(
        name="services", services=[web(sidecar(container=Container(source=BUILDER)), name="web", container=LISTENING)]
    )
    assert cluster.builders == (BUILDER,)
    assert BUILDER in cluster.services[0].parts


def test_containers_mount_own_volumes_and_shared_folders():
    data = Volume(file_system_id="fs-0123456789abcdef0", path="/data", read_only=True)
    logs = Volume(file_system_id="fs-0123456789abcdef1", path="/logs")
    service = web(sidecar(volumes=[logs]), volumes=[data], shared_folders=["/run/app"])
    containers = containers_of(service)
    assert [
        (each["SourceVolume"], each["ContainerPath"], each["ReadOnly"]) for each in containers["web"]["MountPoints"]
    ] == [
        ("volume1", "/data", True),
        ("shared1", "/run/app", False),
    ]
    assert [each["SourceVolume"] for each in containers["agent"]["MountPoints"]] == ["volume2", "shared1"]
    assert service.file_systems == (("fs-0123456789abcdef0", False), ("fs-0123456789abcdef1", True))
    volumes = resources_of(service)["WebTaskDefinition"]["Properties"]["Volumes"]
    assert [each["Name"] for each in volumes] == ["volume1", "volume2", "shared1"]


def test_health_check_runs_in_shell_of_image():
    checked = Container(source="nginx", tag="1", health_check=ContainerHealthCheck(command="curl -f $URL", retries=5))
    found = containers_of(web(container=checked))["web"]["HealthCheck"]
    assert found == {
        "Command": ["CMD-SHELL", "curl -f $URL"],
        "Interval": 30,
        "Timeout": 5,
        "Retries": 5,
        "StartPeriod": 0,
    }


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"condition": "success"}, "ends before the service starts: set essential=False"),
        ({"condition": "healthy", "container": LISTENING}, "the condition healthy needs health_check"),
        ({"env_vars": {"A": "1"}, "secrets": {"A": SECRET}}, "A cannot be both a variable and a secret"),
    ],
)
def test_invalid_sidecar_is_rejected(values: dict[str, Any], rule: str):
    assert rule in error_of(Sidecar, **{"name": "agent", "container": AGENT, **values})


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"sidecars": [sidecar(), sidecar()]}, "two containers of a task have the name 'agent'"),
        ({"sidecars": [sidecar(name="web")]}, "two containers of a task have the name 'web'"),
        ({"sidecars": [sidecar(container=LISTENING)]}, "two containers of a task use port 8080"),
        ({"sidecars": [sidecar(name=f"s{number}") for number in range(10)]}, "use at most 9 sidecars"),
        ({"shared_folders": ["/a", "/a"]}, "two volumes or shared folders at one path"),
        (
            {"shared_folders": ["/a"], "volumes": [Volume(file_system_id="fs-0123456789abcdef0", path="/a")]},
            "two volumes or shared folders at one path",
        ),
        ({"disk_in_gib": 20}, "use 21 to 200 GiB"),
    ],
)
def test_service_with_conflicting_containers_is_rejected(values: dict[str, Any], rule: str):
    assert rule in error_of(Service, **{"name": "web", "container": LISTENING, **values})


@pytest.mark.parametrize(
    ("values", "rule"),
    [({"command": " "}, "use a command"), ({"interval": 4}, "use 5 to 300"), ({"start_period": 301}, "use 0 to 300")],
)
def test_health_check_outside_limits_is_rejected(values: dict[str, Any], rule: str):
    assert rule in error_of(ContainerHealthCheck, **{"command": "true", **values})


def test_port_of_sidecar_is_reached_in_private_domain():
    proxied = Container(source="app", tag="1", port_mappings=[PortMappings(container_port=9000)])
    cluster = Cluster(
        scope=SCOPE, name="services", services=[web(sidecar(container=proxied))], private_domain="shop.internal"
    )
    assert cluster.inner_ports == (8080, 9000)
