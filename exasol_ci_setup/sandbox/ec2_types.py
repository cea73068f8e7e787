"""Add EC2 instances and key pairs in CloudFormation, changing public addresses, and used security groups to ministack."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import add_resource_type, resource_handlers, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from exasol_ci_setup.sandbox.private import Values

REPLACING: Final = {
    "AWS::EC2::Instance": ("AvailabilityZone", "ImageId", "KeyName", "NetworkInterfaces", "SubnetId"),
    "AWS::EC2::KeyPair": ("KeyFormat", "KeyName", "KeyType", "PublicKeyMaterial", "Tags"),
}
"""`createOnlyProperties` of the resource schemas in cfn-lint 1.57, limited to the supported ones."""

_UBUNTU_ARM: Final = "ami-024040000000000a4"
_UBUNTU: Final = {
    f"/aws/service/canonical/ubuntu/server/24.04/stable/current/{architecture}/hvm/ebs-gp3/ami-id": image
    for architecture, image in (("amd64", "ami-02404000000000864"), ("arm64", _UBUNTU_ARM))
}


def extend() -> None:
    """Add the types to CloudFormation, and Canonical's public parameters to Systems Manager."""
    from ministack.services.cloudformation import provisioners

    extend_parameters()
    provisioners._STACK_TAG_PROPERTY["AWS::EC2::Instance"] = ("Tags", "list")  # noqa: SLF001
    add_resource_type("AWS::EC2::Instance", _InstanceType(provisioners))
    add_resource_type("AWS::EC2::KeyPair", _KeyPairType())
    add_resource_type("AWS::EC2::EIP", _AddressType())
    wrap(resource_handlers()["AWS::EC2::SecurityGroup"], "delete", _delete_group)


def extend_parameters() -> None:
    """Add Canonical's public parameters to Systems Manager."""
    from ministack.services import ssm

    ssm._PUBLIC_AMI_PARAMETERS.update(_UBUNTU)  # noqa: SLF001


def extend_calls() -> None:
    """Change the public address of an instance when it stops and starts, and reject the deletion of a used group.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
    """
    from ministack.services import ec2

    actions = ec2._ACTION_MAP  # noqa: SLF001
    wrap(actions, "DeleteSecurityGroup", _call_delete_security_group)
    actions["DescribeInstanceTypeOfferings"] = _call_describe_offerings
    for name in ("StartInstances", "StopInstances"):
        wrap(actions, name, _call_and_readdress)
    # AWS omits the address of an instance without one.
    wrap(ec2, "_instance_xml", lambda inner, instance: inner(instance).replace("<ipAddress></ipAddress>", ""))


def _call_delete_security_group(inner: Callable[[Values], Any], parameters: Values) -> Any:
    from ministack.services import ec2

    group = ec2._p(parameters, "GroupId")  # noqa: SLF001
    if any(_users(group)):
        return ec2._error("DependencyViolation", _dependency_message(group), 400)  # noqa: SLF001
    return inner(parameters)


def _call_describe_offerings(parameters: Values) -> Any:
    """Return that each zone has the instance types of the filter."""
    from ministack.core.responses import get_region
    from ministack.services import ec2

    types = [
        value
        for each in ec2._parse_filters(parameters).items()  # noqa: SLF001
        if each[0] == "instance-type"
        for value in each[1]
    ]
    items = "".join(
        f"<item><instanceType>{kind}</instanceType><locationType>availability-zone</locationType>"
        f"<location>{get_region()}{letter}</location></item>"
        for kind in types
        for letter in "abc"
    )
    return ec2._xml(  # noqa: SLF001
        200, "DescribeInstanceTypeOfferingsResponse", f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>"
    )


def _call_and_readdress(inner: Callable[[Values], Any], parameters: Values) -> Any:
    from ministack.services import ec2

    answer = inner(parameters)
    for instance in list(ec2._instances.values()):  # noqa: SLF001
        _readdress(ec2, instance)
    return answer


def _readdress(ec2: Any, instance: Values) -> None:
    runs = instance["State"]["Name"] == "running"
    if instance.get("IsPrivate"):
        return
    if any(each.get("InstanceId") == instance["InstanceId"] for each in ec2._addresses.values()):  # noqa: SLF001
        return
    if runs == bool(instance["PublicIpAddress"]):
        return
    former = instance.setdefault("FormerAddresses", [])
    if not runs:
        former.append(instance["PublicIpAddress"])
    instance["PublicIpAddress"] = _address(ec2, without=former) if runs else ""


def _address(ec2: Any, *, without: Collection[str] = ()) -> str:
    """Return an address of the block for documentation, which no real machine uses: https://www.rfc-editor.org/rfc/rfc5737#section-3."""
    while (found := ec2._random_ip("203.0.113.")) in without:  # noqa: SLF001
        pass
    return str(found)


def _users(group: str) -> Iterator[str]:
    """Yield the users of a security group: instances, interfaces, services, load balancers, and other groups."""
    from ministack.services import alb, ec2, ecs

    for instance in list(ec2._instances.values()):  # noqa: SLF001
        if instance["State"]["Name"] not in {"shutting-down", "terminated"}:
            yield from (instance["InstanceId"] for each in instance["SecurityGroups"] if each["GroupId"] == group)
    for interface in list(ec2._network_interfaces.values()):  # noqa: SLF001
        yield from (interface["NetworkInterfaceId"] for each in interface["Groups"] if each["GroupId"] == group)
    for service in list(ecs._services.values()):  # noqa: SLF001
        settings = (service.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
        if (
            service.get("status") == "ACTIVE"
            and service.get("desiredCount")
            and group in settings.get("securityGroups", ())
        ):
            yield service["serviceArn"]
    for arn, balancer in list(alb._lbs.items()):  # noqa: SLF001
        if group in balancer.get("SecurityGroups", ()):
            yield arn
    for other, settings in list(ec2._security_groups.items()):  # noqa: SLF001
        rules = [*settings.get("IpPermissions", ()), *settings.get("IpPermissionsEgress", ())]
        if other != group and any(
            pair.get("GroupId") == group for rule in rules for pair in rule.get("UserIdGroupPairs", ())
        ):
            yield other


def _dependency_message(group: str) -> str:
    return f"resource {group} has a dependent object"


def _delete_group(inner: Callable[[str, Values], None], group: str, properties: Values) -> None:
    """Reject the deletion of a used security group.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
    """
    if any(_users(group)):
        raise ValueError(f"{_dependency_message(group)} (Service: Ec2, Status Code: 400)")
    inner(group, properties)


class _InstanceType:
    """AWS::EC2::Instance. Ref is the id; no machine runs."""

    def __init__(self, provisioners: Any) -> None:
        from ministack.services import ec2

        self._ec2: Any = ec2
        self._tag = provisioners._ec2_apply_tags  # noqa: SLF001

    def create(self, _logical_id: str, properties: Values, _stack_name: str) -> tuple[str, Values]:
        self._ec2._ensure_defaults_initialized()  # noqa: SLF001
        key = properties.get("KeyName", "")
        if key and key not in self._ec2._key_pairs:  # noqa: SLF001
            raise ValueError(f"The key pair '{key}' does not exist")
        interface: Values = next(iter(properties.get("NetworkInterfaces", ())), {})
        (made,) = self._ec2._launch_instances_internal(  # noqa: SLF001
            image_id=properties["ImageId"],
            instance_type=properties.get("InstanceType", "m1.small"),
            subnet_id=interface.get("SubnetId") or properties.get("SubnetId") or self._ec2._DEFAULT_SUBNET_ID,  # noqa: SLF001
            count=1,
            key_name=key,
            sg_ids=interface.get("GroupSet") or properties.get("SecurityGroupIds"),
        )
        made["Architecture"] = self._architecture(properties["ImageId"])
        made["IsPrivate"] = not interface.get("AssociatePublicIpAddress", True)
        made["PublicIpAddress"] = "" if made["IsPrivate"] else _address(self._ec2)
        self._tag(made["InstanceId"], properties)
        return made["InstanceId"], self._attributes(made)

    def update(self, instance_id: str, old: Values, new: Values, stack_name: str) -> tuple[str, Values]:
        if any(old.get(name) != new.get(name) for name in REPLACING["AWS::EC2::Instance"]):
            made = self.create("", new, stack_name)
            self.delete(instance_id, old)
            return made
        instance = self._ec2._instances[instance_id]  # noqa: SLF001
        instance["InstanceType"] = new.get("InstanceType", "m1.small")
        self._tag(instance_id, new, old)
        return instance_id, self._attributes(instance)

    def delete(self, instance_id: str, _properties: Values) -> None:
        # As on AWS, a terminated instance can still be described for some time.
        self._ec2._terminate_instances({"InstanceId.1": [instance_id]})  # noqa: SLF001

    @staticmethod
    def _architecture(image: str) -> str:
        return "arm64" if image == _UBUNTU_ARM else "x86_64"

    @staticmethod
    def _attributes(instance: Values) -> Values:
        return {
            "InstanceId": instance["InstanceId"],
            "PublicIp": instance["PublicIpAddress"],
            "PrivateIp": instance["PrivateIpAddress"],
            "PublicDnsName": instance["PublicDnsName"],
            "PrivateDnsName": instance["PrivateDnsName"],
            "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        }


class _AddressType:
    """AWS::EC2::EIP of an instance. Ref is the address."""

    def __init__(self) -> None:
        from ministack.services import ec2

        self._ec2: Any = ec2

    def create(self, _logical_id: str, properties: Values, _stack_name: str) -> tuple[str, Values]:
        allocation = f"eipalloc-{uuid.uuid4().hex[:17]}"
        address = _address(self._ec2)
        self._ec2._addresses[allocation] = {  # noqa: SLF001
            "AllocationId": allocation,
            "PublicIp": address,
            "Domain": "vpc",
            **dict.fromkeys(("AssociationId", "InstanceId", "NetworkInterfaceId", "PrivateIpAddress")),
        }
        self._associate(allocation, properties)
        return address, {"AllocationId": allocation, "PublicIp": address}

    def update(self, address: str, _old: Values, new: Values, _stack_name: str) -> tuple[str, Values]:
        allocation = self._allocation(address)
        self._associate(allocation, new)
        return address, {"AllocationId": allocation, "PublicIp": address}

    def delete(self, address: str, _properties: Values) -> None:
        self._ec2._addresses.pop(self._allocation(address), None)  # noqa: SLF001

    def _allocation(self, address: str) -> str:
        addresses = self._ec2._addresses.items()  # noqa: SLF001
        return next((name for name, each in addresses if each["PublicIp"] == address), "")

    def _associate(self, allocation: str, properties: Values) -> None:
        record = self._ec2._addresses[allocation]  # noqa: SLF001
        instance = self._ec2._instances.get(properties.get("InstanceId", ""))  # noqa: SLF001
        if instance is not None:
            record["InstanceId"] = instance["InstanceId"]
            instance["PublicIpAddress"] = record["PublicIp"]


class _KeyPairType:
    """AWS::EC2::KeyPair, for imported keys only. Ref is the name."""

    def __init__(self) -> None:
        from ministack.services import ec2

        self._ec2: Any = ec2

    def create(self, _logical_id: str, properties: Values, _stack_name: str) -> tuple[str, Values]:
        name = properties["KeyName"]
        if name in self._ec2._key_pairs:  # noqa: SLF001
            raise ValueError(f"The keypair already exists: {name}")
        if not str(properties.get("PublicKeyMaterial", "")).startswith(("ssh-rsa ", "ssh-ed25519 ")):
            raise ValueError("Key is not in valid OpenSSH public key format")
        self._ec2._import_key_pair({"KeyName": [name]})  # noqa: SLF001
        pair = self._ec2._key_pairs[name]  # noqa: SLF001
        return name, {"KeyPairId": pair["KeyPairId"], "KeyFingerprint": pair["KeyFingerprint"]}

    def update(self, name: str, _old: Values, new: Values, stack_name: str) -> tuple[str, Values]:
        made = self.create("", new, stack_name)
        self.delete(name, {})
        return made

    def delete(self, name: str, _properties: Values) -> None:
        self._ec2._key_pairs.pop(name, None)  # noqa: SLF001
