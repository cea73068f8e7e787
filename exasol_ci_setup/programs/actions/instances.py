"""`instance.public_ip`: the current address in EC2, since a stopped instance releases its address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exasol_ci_setup.aws.session import ignore_aws_errors
from exasol_ci_setup.core.errors import StackError
from exasol_ci_setup.programs import actions

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from exasol_ci_setup.constructs.compute import Instance


def public_ip(instance: Instance) -> str:
    """Return the current public address of an instance. The stack's output has the address at its last update.

    In a dry run it is the output. Raises InputError if the instance is not deployed, StackError if it has no address, and the errors of the
    AWS boundary.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
    """
    runtime = actions.current()
    if runtime.is_dry_run:
        return instance.output("PublicIp")
    instance_id = instance.output("InstanceId")
    found = _describe(runtime.connect(instance.resolved_scope).client("ec2"), instance_id)
    address = found.get("PublicIpAddress")
    if address:
        return str(address)
    status = found.get("State", {}).get("Name", "missing")
    raise StackError(
        f"Instance {instance.name!r} has no public address: {instance_id} is {status}",
        hint=_hint(instance, instance_id, status),
        stack_name=instance.stack_name,
    )


def _describe(ec2: EC2Client, instance_id: str) -> Any:
    reservations: list[Any] = []
    with ignore_aws_errors("InvalidInstanceID.NotFound"):
        reservations += ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return next((each for reservation in reservations for each in reservation["Instances"]), {})


def _hint(instance: Instance, instance_id: str, status: str) -> str:
    options = f"--instance-ids {instance_id} --region {instance.resolved_scope.region}"
    if status in {"stopped", "stopping"}:
        return f"start it, which assigns a new address: `aws ec2 start-instances {options}`"
    if status in {"pending", "running"}:
        return f"check its interfaces: `aws ec2 describe-instances {options}`"
    return (
        "it was terminated outside of CloudFormation: "
        f"`exasol-ci-setup drift {instance.stack_name} --region {instance.resolved_scope.region}` shows what is missing"
    )
