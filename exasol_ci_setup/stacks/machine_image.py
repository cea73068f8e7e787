"""Choose the image of an instance: that of the deployed machine, because another one would replace it, or the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.compute import Instance

_ARCHITECTURES: Final = {"amd64": "x86_64", "arm64": "arm64"}
"""The words of EC2 for those of Canonical."""


def choose(account: Account, instance: Instance) -> str:
    """Return the ID of the image that the deployed machine has, or the newest one if there is no machine of the same architecture.

    With `update_image` it is always the newest. Raises InputError if the region has no such image, and the errors of
    `translate_aws_errors`.
    """
    machine = {} if instance.update_image else _deployed_machine(account, instance.stack_name)
    if machine.get("Architecture") == _ARCHITECTURES[instance.architecture]:
        return str(machine["ImageId"])
    return _newest(account, instance)


def _newest(account: Account, instance: Instance) -> str:
    with translate_aws_errors():
        try:
            found = account.client("ssm").get_parameter(Name=instance.ami_parameter)
        except ClientError as error:
            if error_code(error) != "ParameterNotFound":
                raise
            raise InputError(
                f"{account.region} has no image of Ubuntu 24.04 for {instance.instance_type}: "
                f"parameter {instance.ami_parameter} does not exist",
                hint="set the image (--image-id, or image_id= of the Instance)",
            ) from error
    return str(found["Parameter"]["Value"])


def _deployed_machine(account: Account, stack_name: str) -> Any:
    """Return the description of the machine of a stack; empty if it has none."""
    stack = state.find(account.client("cloudformation"), stack_name)
    instance_id = stack.outputs.get("InstanceId") if stack is not None else None
    if instance_id is None:
        return {}
    with translate_aws_errors():
        try:
            reservations = account.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
        except ClientError as error:
            if error_code(error) == "InvalidInstanceID.NotFound":
                return {}
            raise
    return next((each for reservation in reservations for each in reservation["Instances"]), {})
