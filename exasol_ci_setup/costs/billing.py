"""Charges of each resource type, derived from its properties.

A rule returns None for a resource that differs from those in our templates. The cost of such a resource is reported as unknown, not as
free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from exasol_ci_setup.costs import rates
from exasol_ci_setup.costs.model import HOURS_A_MONTH, Charge
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.references import referred_name

Charges: TypeAlias = "tuple[Charge, ...] | None"
_Rule: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], Charges]

_CPU_UNITS: Final = 1024  # in a vCPU
_MIB: Final = 1024  # in a GB that AWS bills
_COMPUTE_TYPE_PREFIX: Final = "BUILD_GENERAL1_"
_BUILD_HOSTS: Final = ("LINUX_CONTAINER", "ARM_CONTAINER")
# General-purpose volumes are billed by size only, unless provisioned IOPS or throughput are added.
_BILLED_BY_SIZE: Final = {"gp2", "gp3"}
# Default of the unlimited mode by instance family, in which CPU time above the earned credits is billed:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode-concepts.html.
_UNLIMITED: Final = {"t2": False, "t3": True, "t3a": True, "t4g": True}

FREE: Final = frozenset(
    {
        # https://aws.amazon.com/autoscaling/pricing/. The alarms of a scaling policy are billed, and so unknown here.
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::CodeBuild::SourceCredential",
        "AWS::EC2::KeyPair",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::ECS::TaskDefinition",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::ListenerCertificate",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::S3::BucketPolicy",
    }
)
"""Resource types that are always free."""


def charges(resource: Mapping[str, Any], resources: Mapping[str, Any]) -> Charges:
    """Return the charges of `resource`: empty if it is free, None if they are unknown.

    `resources` are all resources of the template. Both are in the form that `intrinsics.resolve` returns.
    """
    kind = str(resource.get("Type"))
    if kind in FREE:
        return ()
    rule = _RULES.get(kind)
    return None if rule is None else rule(as_mapping(resource.get("Properties")), resources)


def _build_project(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    environment = as_mapping(properties.get("Environment"))
    size, kind = environment.get("ComputeType"), environment.get("Type")
    if kind not in _BUILD_HOSTS or not isinstance(size, str) or not size.startswith(_COMPUTE_TYPE_PREFIX):
        return None
    if "Fleet" in environment:
        # A fleet is billed while it exists, not by the build minute.
        return None
    name = size.removeprefix(_COMPUTE_TYPE_PREFIX).lower()
    arm = kind == "ARM_CONTAINER"
    label = f"builds on {'an arm64' if arm else 'a'} {name} host"
    return (Charge(label, "minute", rates.build_minutes(name, arm=arm)),)


def _log_group(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    if properties.get("LogGroupClass", "STANDARD") != "STANDARD":
        return None
    return (
        Charge("log ingestion", "GB", rates.LOGS_INGESTED),
        Charge("log storage", "GB-month", rates.LOGS_STORED),
    )


def _bucket(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    rules = as_mapping(properties.get("BucketEncryption")).get("ServerSideEncryptionConfiguration")
    defaults = [
        as_mapping(as_mapping(rule).get("ServerSideEncryptionByDefault"))
        for rule in rules or ()
        if isinstance(rules, list)
    ]
    charges = [
        Charge("objects", "GB-month", rates.OBJECTS),
        Charge("writing and listing objects", "requests", rates.OBJECT_WRITES, per=1000),
        Charge("reading objects", "requests", rates.OBJECT_READS, per=1000),
    ]
    if any(default.get("SSEAlgorithm") == "aws:kms" for default in defaults):
        charges.append(_KEY_REQUESTS)
    return tuple(charges)


def _repository(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    encryption = as_mapping(properties.get("EncryptionConfiguration")).get("EncryptionType", "AES256")
    images = Charge("images", "GB-month", rates.IMAGES)
    return {"AES256": (images,), "KMS": (images, _KEY_REQUESTS)}.get(str(encryption))


def _cluster(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    # A setting can turn on Container Insights, which is billed by metrics.
    return None if "ClusterSettings" in properties else ()


def _service(properties: Mapping[str, Any], resources: Mapping[str, Any]) -> Charges:
    if properties.get("LaunchType") != "FARGATE":
        return None
    task = as_mapping(as_mapping(resources.get(referred_name(properties.get("TaskDefinition")))).get("Properties"))
    platform = as_mapping(task.get("RuntimePlatform"))
    cpu, memory = _number(task.get("Cpu")), _number(task.get("Memory"))
    if cpu is None or memory is None or "EphemeralStorage" in task:
        return None
    if platform.get("OperatingSystemFamily", "LINUX") != "LINUX":
        return None
    by_cpu, by_memory = rates.fargate(arm=platform.get("CpuArchitecture") == "ARM64")
    count = _number(properties.get("DesiredCount", 1))
    hours = None if count is None else count * HOURS_A_MONTH
    network = as_mapping(as_mapping(properties.get("NetworkConfiguration")).get("AwsvpcConfiguration"))
    return (
        Charge("Fargate processors", "vCPU-hour", by_cpu, _times(hours, cpu / _CPU_UNITS), runs=True),
        Charge("Fargate memory", "GB-hour", by_memory, _times(hours, memory / _MIB), runs=True),
        *(_public_addresses(hours) if network.get("AssignPublicIp") == "ENABLED" else ()),
    )


def _load_balancer(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    if properties.get("Type", "application") != "application":
        return None
    hours = Decimal(HOURS_A_MONTH)
    subnets = properties.get("Subnets")
    is_public = properties.get("Scheme", "internet-facing") == "internet-facing"
    # One node with an address in each subnet; AWS adds nodes under high load.
    addresses = hours * len(subnets) if isinstance(subnets, list) else None
    return (
        Charge("load balancer", "hour", rates.LOAD_BALANCER, hours, runs=True),
        Charge("load balancer capacity", "LCU-hour", rates.LOAD_BALANCER_CAPACITY),
        *(_public_addresses(addresses) if is_public else ()),
    )


def _instance(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    kind = properties.get("InstanceType")
    disks = _disks(properties.get("BlockDeviceMappings"))
    if not isinstance(kind, str) or disks is None or properties.get("Tenancy", "default") != "default":
        return None
    hours = Decimal(HOURS_A_MONTH)
    interfaces = properties.get("NetworkInterfaces")
    is_public = isinstance(interfaces, list) and any(
        str(as_mapping(each).get("AssociatePublicIpAddress")).lower() == "true" for each in interfaces
    )
    family = kind.partition(".")[0]
    credit = as_mapping(properties.get("CreditSpecification")).get("CPUCredits")
    unlimited = credit == "unlimited" if credit else _UNLIMITED.get(family, False)
    return (
        Charge(f"{kind} with Linux", "hour", rates.instance(kind), hours, runs=True),
        *disks,
        *(_public_addresses(hours) if is_public else ()),
        *(
            (Charge("processor time above the baseline", "vCPU-hour", rates.processor_credits(family)),)
            if unlimited and family in _UNLIMITED
            else ()
        ),
    )


def _address(_: Mapping[str, Any], __: Mapping[str, Any]) -> Charges:
    # Since February 2024 all public addresses are billed: https://aws.amazon.com/vpc/pricing/.
    return _public_addresses(Decimal(HOURS_A_MONTH))


def _disks(mappings: Any) -> Charges:
    if not isinstance(mappings, list):
        # The size depends on the image.
        return None
    disks: list[Charge] = []
    for mapping in mappings:
        volume = as_mapping(as_mapping(mapping).get("Ebs"))
        kind = str(volume.get("VolumeType"))
        size = _number(volume.get("VolumeSize"))
        if kind not in _BILLED_BY_SIZE or size is None or volume.keys() & {"Iops", "Throughput"}:
            return None
        disks.append(Charge(f"{kind} disk", "GB-month", rates.disk(kind), size, runs=True))
    return tuple(disks)


def _secret(_: Mapping[str, Any], __: Mapping[str, Any]) -> Charges:
    return (
        Charge("secret", "month", rates.SECRET, Decimal(1), runs=True),
        Charge("reading the secret", "requests", rates.SECRET_REQUESTS, per=10_000),
    )


def _record(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Charges:
    # Queries of an alias to a load balancer are free: https://aws.amazon.com/route53/pricing/.
    return () if "AliasTarget" in properties else None


_KEY_REQUESTS: Final = Charge("encryption by KMS", "requests", rates.KEY_REQUESTS, per=10_000)


def _public_addresses(hours: Decimal | None) -> tuple[Charge, ...]:
    return (
        Charge("public IPv4 addresses", "hour", rates.PUBLIC_IPV4, hours, runs=True),
        Charge("data out to the internet", "GB", rates.DATA_OUT),
    )


def _number(value: Any) -> Decimal | None:
    """Return an integer of a template, which may be text; None for other values."""
    text = str(value)
    return Decimal(text) if text.isascii() and text.isdecimal() else None


def _times(hours: Decimal | None, each: Decimal) -> Decimal | None:
    return None if hours is None else hours * each


_RULES: Final[dict[str, _Rule]] = {
    "AWS::CodeBuild::Project": _build_project,
    "AWS::EC2::EIP": _address,
    "AWS::EC2::Instance": _instance,
    "AWS::ECR::Repository": _repository,
    "AWS::ECS::Cluster": _cluster,
    "AWS::ECS::Service": _service,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Route53::RecordSet": _record,
    "AWS::S3::Bucket": _bucket,
    "AWS::SecretsManager::Secret": _secret,
}
