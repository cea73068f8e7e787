"""Read the events of one stack page by page, the newest first."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.core.stacks import Event, Hook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_cloudformation import CloudFormationClient


def newest_first(cfn: CloudFormationClient, stack: str) -> Iterator[Event]:
    """Yield the events of `stack`, its name or ARN; pages are requested on demand. Raises botocore's errors untranslated.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html. A deleted stack is found by its
    ARN only.
    """
    for page in cfn.get_paginator("describe_stack_events").paginate(StackName=stack):
        for described in page["StackEvents"]:
            yield _event(described)


def since(cfn: CloudFormationClient, stack: str, at: datetime) -> list[Event]:
    """Return the events of `stack`, its name or ARN, since `at`, the oldest first. Raises botocore's errors untranslated."""
    return list(takewhile(lambda event: event.at >= at, newest_first(cfn, stack)))[::-1]


def _event(described: Mapping[str, Any]) -> Event:
    return Event(
        id=described["EventId"],
        stack_id=described["StackId"],
        stack_name=described["StackName"],
        logical_id=described.get("LogicalResourceId", ""),
        physical_id=described.get("PhysicalResourceId", ""),
        type=described.get("ResourceType", ""),
        status=described.get("ResourceStatus", ""),
        reason=described.get("ResourceStatusReason", ""),
        at=described["Timestamp"],
        token=described.get("ClientRequestToken", ""),
        hook=_hook(described) if described.get("HookType") else None,
        service_token=_service_token(described),
    )


def _service_token(described: Mapping[str, Any]) -> str:
    """Return the ARN that a custom resource calls, empty for other resources.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html
    """
    kind = described.get("ResourceType", "")
    if not kind.startswith("Custom::") and kind != "AWS::CloudFormation::CustomResource":
        return ""
    try:
        return str(json.loads(described.get("ResourceProperties", ""))["ServiceToken"])
    except (ValueError, KeyError, TypeError):
        return ""


def _hook(described: Mapping[str, Any]) -> Hook:
    return Hook(
        name=described["HookType"],
        status=described.get("HookStatus", ""),
        reason=described.get("HookStatusReason", ""),
        point=described.get("HookInvocationPoint", ""),
        failure_mode=described.get("HookFailureMode", ""),
        id=described.get("HookInvocationId", ""),
    )
