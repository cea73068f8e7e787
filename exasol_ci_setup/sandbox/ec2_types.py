"""The CloudFormation types AWS::EC2::Instance and AWS::EC2::KeyPair, and the public parameters with Ubuntu's images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from exasol_ci_setup.sandbox.codebuild import Values

REPLACING: Final = {
    "AWS::EC2::Instance": ("AvailabilityZone", "ImageId", "KeyName", "NetworkInterfaces", "SubnetId"),
    "AWS::EC2::KeyPair": ("KeyFormat", "KeyName", "KeyType", "PublicKeyMaterial", "Tags"),
}
"""`createOnlyProperties` of the resource schemas that cfn-lint 1.57 bundles, as far as they are used."""

_UBUNTU: Final = {
    f"/aws/service/canonical/ubuntu/server/24.04/stable/current/{architecture}/hvm/ebs-gp3/ami-id": image
    for architecture, image in (("amd64", "ami-02404000000000864"), ("arm64", "ami-024040000000000a4"))
}


def extend() -> None:
    """Give CloudFormation the types, and Systems Manager the parameters that Canonical publishes on AWS."""
    from ministack.services import ssm
    from ministack.services.cloudformation import provisioners

    ssm._PUBLIC_AMI_PARAMETERS.update(_UBUNTU)  # noqa: SLF001
    provisioners._STACK_TAG_PROPERTY["AWS::EC2::Instance"] = ("Tags", "list")  # noqa: SLF001
    instances, pairs = _InstanceType(provisioners), _KeyPairType()
    for name, handler in (("AWS::EC2::Instance", instances), ("AWS::EC2::KeyPair", pairs)):
        provisioners._RESOURCE_HANDLERS[name] = {  # noqa: SLF001
            "create": handler.create,
            "update": handler.update,
            "delete": handler.delete,
        }


class _InstanceType:
    """AWS::EC2::Instance. Ref is the id; it is a record without a machine behind it."""

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
        # Of a block for documentation, so that nobody's machine is mistaken for it: https://www.rfc-editor.org/rfc/rfc5737#section-3.
        made["PublicIpAddress"] = self._ec2._random_ip("203.0.113.")  # noqa: SLF001
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
        # As for real, a terminated instance is still described for a while.
        self._ec2._terminate_instances({"InstanceId.1": [instance_id]})  # noqa: SLF001

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


class _KeyPairType:
    """AWS::EC2::KeyPair, of imported keys alone. Ref is the name."""

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
