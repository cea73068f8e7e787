"""Find the stack whose resource has a name that a failed resource wanted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import ClientError
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.stacks.optional import optional

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackResourceTypeDef

    from exasol_ci_setup.core.stacks import Event

# Identifiers in reasons of the Cloud Control API and of older handlers.
_IDENTIFIER: Final = re.compile(r"with identifier '(?P<identifier>\{.*?\}|[^']*)' already exists")
_SUBJECT: Final = re.compile(r"(^|\")(?P<name>[^\s\"]+) already exists")


def hint(cfn: CloudFormationClient, failure: Event, hint: str) -> tuple[str, str]:
    """Return the next step for a resource whose name is in use, and a line on what is not known, which may be empty.

    `hint` is the step if no stack of this account and region has the resource.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html
    """
    name = failure.physical_id or wanted_name(failure.reason)
    if not name:
        return hint, ""
    try:
        owners = find(cfn, name)
    except SetupError as error:
        return hint, f"whether a stack has {name} could not be looked up: {error.message}"
    others = [each for each in owners if (each.get("StackName"), each["LogicalResourceId"]) != _place(failure)]
    # A resource that was to be created is also listed, with the name that it did not get.
    if not owners or (not others and failure.status == "CREATE_FAILED"):
        return hint, ""
    if not others:
        return (
            "the resource to be replaced has this name: CloudFormation creates the new one first, so choose another name",
            "",
        )
    stack, logical_id = others[0].get("StackName", ""), others[0]["LogicalResourceId"]
    if stack == failure.stack_name:
        return f"{logical_id} of this stack has this name: keep its logical ID, or choose another name", ""
    return f"the resource belongs to stack {stack}: leave it to that stack, or choose another name", ""


def find(cfn: CloudFormationClient, name: str) -> list[StackResourceTypeDef]:
    """Return the resources of stacks with this physical ID. Raises the errors of `translate_aws_errors`."""
    try:
        with optional(cfn, "DescribeStackResources") as client:
            answer = client.describe_stack_resources(PhysicalResourceId=name)
    except SetupError as error:
        # AWS reports a resource without a stack as a validation error.
        if isinstance(error.__cause__, ClientError) and "ValidationError" in str(error.__cause__):
            return []
        raise
    # The answer has all resources of the stack.
    return [each for each in answer["StackResources"] if each.get("PhysicalResourceId") == name]


def _place(failure: Event) -> tuple[str, str]:
    return failure.stack_name, failure.logical_id


def wanted_name(reason: str) -> str:
    """Return the name that a reason reports as in use, empty if it has none."""
    if found := _IDENTIFIER.search(reason):
        try:
            values = list(json.loads(found["identifier"]).values())
        except (ValueError, AttributeError):
            return found["identifier"]
        return str(values[0]) if len(values) == 1 else ""
    found = _SUBJECT.search(reason)
    return found["name"] if found else ""
