"""Charges of the resources in our templates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.constructs import Workspace
from exasol_ci_setup.costs import billing, rates
from exasol_ci_setup.costs.billing import charges
from exasol_ci_setup.costs.model import Charge
from exasol_ci_setup.template.intrinsics import resolve
from exasol_ci_setup.template.render import parse, render, template_directory
from tests.stacks.odd import VALUES_OF_ANY_SHAPE
from tests.templates import samples
from tests.templates.test_golden import GOLDEN as BUILDS

WORKSPACES = {
    "workspace.yaml": Workspace(workspace_id="Eicqb5ZDBKCaZmkuJmXeQ9"),
    "workspace_public.yaml": Workspace(workspace_id="Eicqb5ZDBKCaZmkuJmXeQ9", public_assets=True),
}
EVERYTHING = {**samples.GOLDEN, **BUILDS, **WORKSPACES}


def resources(construct, **parameters: str) -> dict[str, Any]:
    parsed = parse(render(construct).body)
    found: dict[str, Any] = resolve(parsed, {**parameters, "AWS::Region": "eu-central-1"})["Resources"]
    return found


def of(construct, logical_id: str, **parameters: str) -> dict[str, Charge]:
    everything = resources(construct, **parameters)
    found = charges(everything[logical_id], everything)
    assert found is not None
    return {charge.what: charge for charge in found}


# The cost of these is reported as unknown: alarms of scaling policies, queries and names of Cloud Map, and invocations of schedules.
WITHOUT_PRICE = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::Scheduler::Schedule",
        "AWS::ServiceDiscovery::PrivateDnsNamespace",
        "AWS::ServiceDiscovery::Service",
    }
)


def has_no_price(resource, everything):
    """Return whether the price list of AWS has no price, as for Fargate Spot, or this tool does not read it."""
    properties = resource.get("Properties", {})
    if resource["Type"] != "AWS::ECS::Service":
        return resource["Type"] in WITHOUT_PRICE
    task = everything[properties["TaskDefinition"]["Ref"]]
    return "CapacityProviderStrategy" in properties or "EphemeralStorage" in task["Properties"]


@pytest.mark.parametrize("name", [*EVERYTHING, "instance.yaml", "instance_many_options.yaml"])
def test_every_resource_of_own_templates_is_known(name, tmp_path):
    construct = EVERYTHING.get(name) or samples.instances(tmp_path)[name]
    everything = resources(construct)

    assert {logical_id: charges(each, everything) is not None for logical_id, each in everything.items()} == {
        logical_id: not has_no_price(each, everything) for logical_id, each in everything.items()
    }


def test_every_template_has_sample():
    shipped = {path.name for path in (template_directory() / "cloudformation").glob("[!_]*.j2")}

    assert {construct.template for construct in EVERYTHING.values()} == shipped - {"instance.yaml.j2"}


def test_service_charges_cpu_memory_and_addresses():
    found = of(samples.CLUSTER.model_copy(update={"public_ip": True}), "WebService")

    assert found["Fargate processors"].quantity == Decimal("182.5")
    assert found["Fargate memory"].quantity == Decimal(365)
    assert found["public IPv4 addresses"].quantity == Decimal(730)
    assert found["data out to the internet"].quantity is None
    assert not found["data out to the internet"].runs


def test_private_tasks_have_no_address_charge():
    found = of(samples.MANY, "WebService")

    assert found["Fargate processors"].quantity == Decimal(3 * 730)
    assert found["Fargate memory"].quantity == Decimal(3 * 3 * 730)
    assert set(found) == {"Fargate processors", "Fargate memory"}


def service(properties: dict[str, Any], **task: Any) -> Any:
    everything = {
        "Task": {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {"Cpu": "1024", "Memory": "2048", **task},
        },
        "Service": {
            "Type": "AWS::ECS::Service",
            "Properties": {"LaunchType": "FARGATE", "TaskDefinition": {"Ref": "Task"}, **properties},
        },
    }
    return charges(everything["Service"], everything)


def test_arm_has_own_rate():
    by_cpu, by_memory = service({}, RuntimePlatform={"CpuArchitecture": "ARM64"})

    assert (by_cpu.rate, by_memory.rate) == rates.fargate(arm=True)
    assert by_cpu.rate.usage == "Fargate-ARM-vCPU-Hours:perCPU"


def test_unresolved_task_count_has_no_quantity():
    by_cpu, by_memory = service({"DesiredCount": {"Ref": "Count"}})

    assert by_cpu.runs
    assert by_cpu.quantity is by_memory.quantity is None


@pytest.mark.parametrize(
    ("properties", "task"),
    [
        ({"LaunchType": "EC2"}, {}),
        ({"TaskDefinition": "arn:elsewhere"}, {}),
        ({}, {"Cpu": "1 vCPU"}),
        ({}, {"EphemeralStorage": {"SizeInGiB": 100}}),
        ({}, {"RuntimePlatform": {"OperatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}}),
    ],
)
def test_other_service_settings_are_unknown(properties, task):
    assert service(properties, **task) is None


def test_load_balancer_has_address_per_subnet():
    found = of(samples.BALANCER, "LoadBalancer", SubnetIds="subnet-1,subnet-2,subnet-3")

    assert found["load balancer"].quantity == Decimal(730)
    assert found["public IPv4 addresses"].quantity == Decimal(3 * 730)
    assert not found["load balancer capacity"].runs


def test_load_balancer_without_subnets_has_no_quantity():
    found = of(samples.BALANCER, "LoadBalancer")

    assert found["public IPv4 addresses"].runs
    assert found["public IPv4 addresses"].quantity is None


def test_instance_charges_type_disk_address_and_credits(tmp_path):
    found = of(samples.instances(tmp_path)["instance_many_options.yaml"], "Instance")

    assert found["t4g.large with Linux"].rate == rates.instance("t4g.large")
    assert found["gp3 disk"].quantity == Decimal(100)
    assert found["public IPv4 addresses"].quantity == Decimal(730)
    assert found["processor time above the baseline"].rate.usage == "CPUCredits:t4g"


def machine(**properties: Any) -> Any:
    disks = [{"Ebs": {"VolumeType": "gp3", "VolumeSize": 8}}]
    return charges(
        {
            "Type": "AWS::EC2::Instance",
            "Properties": {"InstanceType": "m7i.large", "BlockDeviceMappings": disks, **properties},
        },
        {},
    )


def test_only_unlimited_instances_charge_credits():
    def usages(**properties: Any) -> list[str]:
        return [charge.rate.usage for charge in machine(**properties)]

    plain = ["BoxUsage:t3.micro", "EBS:VolumeUsage.gp3"]
    assert usages() == ["BoxUsage:m7i.large", "EBS:VolumeUsage.gp3"]
    assert usages(InstanceType="t3.micro") == [*plain, "CPUCredits:t3"]
    assert usages(InstanceType="t3.micro", CreditSpecification={"CPUCredits": "standard"}) == plain
    assert usages(InstanceType="t2.micro") == ["BoxUsage:t2.micro", "EBS:VolumeUsage.gp3"]


@pytest.mark.parametrize(
    "properties",
    [
        {"InstanceType": {"Ref": "Type"}},
        {"Tenancy": "dedicated"},
        {"BlockDeviceMappings": {"Ref": "Disks"}},
        {"BlockDeviceMappings": [{"Ebs": {"VolumeType": "io2", "VolumeSize": 8}}]},
        {"BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp3", "VolumeSize": 8, "Iops": 6000}}]},
        {"BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp3"}}]},
    ],
)
def test_other_instance_settings_are_unknown(properties):
    assert machine(**properties) is None


def test_build_project_charges_minutes_by_size():
    (minutes,) = of(BUILDS["ci_build_many_options.yaml"], "CodeBuild").values()

    assert minutes.rate.usage == "Build-Min:Linux:g1.2xlarge"
    assert not minutes.runs


@pytest.mark.parametrize(
    "environment",
    [
        {"Type": "LINUX_GPU_CONTAINER"},
        {"ComputeType": "BUILD_LAMBDA_1GB"},
        {"Fleet": {"FleetArn": "arn"}},
        {"ComputeType": 1},
    ],
)
def test_other_build_settings_are_unknown(environment):
    given = {"Type": "LINUX_CONTAINER", "ComputeType": "BUILD_GENERAL1_SMALL", **environment}

    assert charges({"Type": "AWS::CodeBuild::Project", "Properties": {"Environment": given}}, {}) is None


def test_arm_build_host_has_its_own_rate():
    given = {"Type": "ARM_CONTAINER", "ComputeType": "BUILD_GENERAL1_SMALL"}

    (minutes,) = charges({"Type": "AWS::CodeBuild::Project", "Properties": {"Environment": given}}, {}) or ()

    assert (minutes.what, minutes.rate.usage) == ("builds on an arm64 small host", "Build-Min:ARM:g1.small")


def test_kms_charges_only_with_kms_encryption():
    assert "encryption by KMS" in of(samples.REGISTRY, "Repository")
    assert "encryption by KMS" in of(samples.ASSET, "Bucket")
    assert "encryption by KMS" not in of(WORKSPACES["workspace.yaml"], "Bucket")


def test_secret_charges_by_month():
    month, requests = charges({"Type": "AWS::SecretsManager::Secret"}, {}) or ()

    assert (month.quantity, month.runs) == (Decimal(1), True)
    assert (requests.per, requests.runs) == (10_000, False)


@pytest.mark.parametrize(
    "resource",
    [
        {"Type": "AWS::RDS::DBInstance"},
        {"Type": "AWS::CloudFormation::Stack"},
        {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupClass": "INFREQUENT_ACCESS"}},
        {"Type": "AWS::ECR::Repository", "Properties": {"EncryptionConfiguration": {"EncryptionType": "KMS_DSSE"}}},
        {
            "Type": "AWS::ECS::Cluster",
            "Properties": {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]},
        },
        {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network"}},
        {"Type": "AWS::Route53::RecordSet", "Properties": {"Type": "A"}},
    ],
    ids=lambda resource: resource["Type"],
)
def test_unlisted_type_is_unknown(resource):
    assert charges(resource, {}) is None


@given(
    kind=st.sampled_from([*billing.FREE, *billing._RULES]) | VALUES_OF_ANY_SHAPE,
    properties=VALUES_OF_ANY_SHAPE,
)
def test_malformed_resource_does_not_fail(kind, properties):
    charges({"Type": kind, "Properties": properties}, {"Task": properties})
