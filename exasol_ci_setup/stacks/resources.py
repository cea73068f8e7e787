"""The resources of a stack, as AWS lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a stack: `status` and `drift_status` are CloudFormation's, `physical_id` is empty while it does not exist."""

    logical_id: str
    physical_id: str
    type: str
    status: str
    drift_status: str = ""


def of_id(cfn: CloudFormationClient, stack_id: str) -> list[Resource]:
    """Return the resources of the stack with this ARN, in the order in which AWS lists them, without those that were deleted."""
    with translate_aws_errors():
        return [
            Resource(
                summary["LogicalResourceId"],
                summary.get("PhysicalResourceId", ""),
                summary["ResourceType"],
                summary["ResourceStatus"],
                summary.get("DriftInformation", {}).get("StackResourceDriftStatus", ""),
            )
            for page in cfn.get_paginator("list_stack_resources").paginate(StackName=stack_id)
            for summary in page["StackResourceSummaries"]
            if summary["ResourceStatus"] != "DELETE_COMPLETE"
        ]
