"""Options of services: secrets, schedules, processors, spare capacity, volumes, names in the network; and groups as sources."""

from __future__ import annotations

from typing import Any

import pytest

from exasol_ci_setup.constructs import (
    Cluster,
    Container,
    Ingress,
    LoadBalancer,
    Scaling,
    SecurityGroup,
    Service,
    Volume,
)
from exasol_ci_setup.constructs.container_secrets import parameter_arns, secret_arns
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.programs.templates import template_of
from exasol_ci_setup.template.render import parse, render
from tests.constructs.test_parts import CONTAINER, SECRET, error_of
from tests.constructs.test_routing import BALANCER, LISTENING, SCOPE, resources_of
from tests.templates.samples import PARAMETER


def task_of(service: Service) -> Any:
    return resources_of(service)["WebTaskDefinition"]["Properties"]


def statements_of(role: Any) -> dict[str, Any]:
    [policy] = role["Properties"]["Policies"]
    return {str(each.get("Sid")): each for each in policy["PolicyDocument"]["Statement"]}


def web(**values: Any) -> Service:
    return Service(**{"name": "web", "container": LISTENING, **values})


def test_role_reads_secrets_and_parameters_without_keys():
    sources = {"A": f"{SECRET}:password::", "B": SECRET, "C": PARAMETER}
    found = resources_of(web(secrets=sources))
    statements = statements_of(found["WebExecutionRole"])
    assert statements["ReadSecrets"]["Resource"] == [SECRET]
    assert statements["ReadParameters"]["Resource"] == [PARAMETER]
    [container] = found["WebTaskDefinition"]["Properties"]["ContainerDefinitions"]
    assert {each["Name"]: each["ValueFrom"] for each in container["Secrets"]} == sources


def test_key_of_output_is_removed_for_role():
    output = placeholder(BALANCER, "SecretArn")
    assert secret_arns([f"{output}:password::", output]) == (output,)
    assert parameter_arns([output]) == ()


@pytest.mark.parametrize("source", [f"{SECRET}:password", f"{SECRET}:a b::", "password", f"{PARAMETER}:x"])
def test_invalid_secret_is_rejected(source: str):
    assert "use a secret's full ARN" in error_of(Service, name="web", container=CONTAINER, secrets={"A": source})


@pytest.mark.parametrize(
    "schedule",
    [
        "rate(5 minutes)",
        "rate(1 day)",
        "cron(0/5 8-17 ? * MON-FRI *)",
        "cron(*/90 3 ? 1 6#3 2030)",
        "cron(0 3 L-3 * ? *)",
        "at(2030-01-31T12:00:00)",
    ],
)
def test_scheduled_service_has_schedule_and_no_service(schedule: str):
    found = resources_of(web(schedule=schedule, count=3))
    assert "WebService" not in found
    target = found["WebSchedule"]["Properties"]["Target"]
    assert found["WebSchedule"]["Properties"]["ScheduleExpression"] == schedule
    assert target["EcsParameters"]["TaskCount"] == 3


def test_scheduler_passes_only_roles_of_task():
    passing = statements_of(resources_of(web(schedule="rate(1 day)"))["WebScheduleRole"])["PassRoles"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    assert [each["Fn::GetAtt"][0] for each in passing["Resource"]] == ["WebExecutionRole", "WebTaskRole"]


@pytest.mark.parametrize(
    ("schedule", "rule"),
    [
        ("cron(60 3 * * ? *)", "minutes are numbers from 0 to 59"),
        ("cron(0 8-24 * * ? *)", "hours are numbers from 0 to 23"),
        ("cron(0 3 1,32 * ? *)", "days of the month are numbers from 1 to 31"),
        ("cron(0 3 ? * 0 *)", "days of the week are numbers from 1 to 7"),
        ("at(2030-02-30T12:00:00)", "does not exist"),
    ],
)
def test_impossible_schedule_is_rejected(schedule: str, rule: str):
    assert rule in error_of(Service, name="web", container=CONTAINER, schedule=schedule)


@pytest.mark.parametrize("schedule", ["1 hour", "rate(0 hours)", "cron(* * * * *)", "every day"])
def test_invalid_schedule_is_rejected(schedule: str):
    assert "use rate(1 hour)" in error_of(Service, name="web", container=CONTAINER, schedule=schedule)


@pytest.mark.parametrize("fields", ["0 3 * * * *", "0 3 ? * ? *"])
def test_cron_with_both_or_neither_day_is_rejected(fields: str):
    message = error_of(Service, name="web", container=CONTAINER, schedule=f"cron({fields})")
    assert "exactly one of the third field (day of the month) and the fifth (day of the week) is ?" in message


@pytest.mark.parametrize(
    "values",
    [
        {"load_balancer": BALANCER},
        {"scaling": Scaling(min_count=1, max_count=2, cpu_percentage=50)},
        {"enable_exec": True},
        {"count": 11},
        {"count": 0},
    ],
)
def test_options_of_running_services_are_rejected_with_schedule(values: dict[str, Any]):
    assert "schedule" in error_of(Service, name="web", container=LISTENING, schedule="rate(1 day)", **values)


def test_arm_is_processor_of_task():
    assert task_of(web(architecture="arm64"))["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    assert "RuntimePlatform" not in task_of(web())


def test_spot_replaces_launch_type():
    found = resources_of(web(spot=True))
    assert found["Cluster"]["Properties"]["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    properties = found["WebService"]["Properties"]
    assert "LaunchType" not in properties
    assert properties["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]


def test_exec_has_permissions_of_task():
    found = resources_of(web(enable_exec=True))
    assert found["WebService"]["Properties"]["EnableExecuteCommand"] is True
    assert len(statements_of(found["WebTaskRole"])["ConnectShell"]["Action"]) == 4


@pytest.mark.parametrize(("read_only", "writes"), [(True, False), (False, True)])
def test_volume_is_mounted_with_needed_permissions(read_only: bool, writes: bool):
    volume = Volume(file_system_id="fs-0123456789abcdef0", path="/data", read_only=read_only)
    found = resources_of(web(volumes=[volume]))
    [container] = found["WebTaskDefinition"]["Properties"]["ContainerDefinitions"]
    assert container["MountPoints"] == [{"SourceVolume": "volume1", "ContainerPath": "/data", "ReadOnly": read_only}]
    [statement] = statements_of(found["WebTaskRole"]).values()
    assert ("elasticfilesystem:ClientWrite" in statement["Action"]) is writes


def test_services_with_ports_have_names_in_private_domain():
    services = [web(), Service(name="Job", container=CONTAINER), web(name="API")]
    found = resources_of(*services, private_domain="shop.internal")
    assert found["APIDiscovery"]["Properties"]["Name"] == "api"
    assert found["WebService"]["Properties"]["ServiceRegistries"] == [
        {"RegistryArn": {"Fn::GetAtt": ["WebDiscovery", "Arn"]}}
    ]
    assert "JobDiscovery" not in found
    assert found["InnerTraffic8080"]["Properties"]["SourceSecurityGroupId"] == {
        "Fn::GetAtt": ["SecurityGroup", "GroupId"]
    }


def test_rule_for_group_of_program_has_parameter_and_dependency():
    front = SecurityGroup(scope=SCOPE, name="front")
    rule = Ingress(from_port=5432, to_port=5432, protocol="tcp", source_group=front)
    group = SecurityGroup(scope=SCOPE, name="database", ingresses=[rule])
    declared = template_of(group)
    [ingress] = declared.parsed["Resources"]["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert group.dependencies == (front,)
    assert declared.outputs[ingress["SourceSecurityGroupId"]["Ref"]].construct is front


def test_rule_needs_source_and_has_each_once():
    rule: dict[str, Any] = {"from_port": 80, "to_port": 80, "protocol": "tcp"}
    assert "needs a block" in error_of(Ingress, **rule)
    twice = [Ingress(**rule, source_group="sg-0123456789abcdef0") for _ in range(2)]
    assert "duplicate rule" in error_of(SecurityGroup, name="a", ingresses=twice)


def test_load_balancer_without_options_is_unchanged():
    template = parse(render(Cluster(scope=SCOPE, name="services", services=[web()])).body)
    assert set(template["Outputs"]) == {"ClusterName", "WebServiceName", "WebLogGroupName"}
    assert LoadBalancer(scope=SCOPE, name="a").stack_name == "shop-a"
    assert Container(source="nginx", tag="1").command == ()
