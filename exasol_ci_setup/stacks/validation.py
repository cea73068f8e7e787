"""What CloudFormation found when it validated a change set before anything was deployed.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.aws import ClientError, boundary, error_code
from exasol_ci_setup.errors import AccessDenied, AwsUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

_LOG = logging.getLogger(__name__)


def remarks(cfn: CloudFormationClient, change_set_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the validation of a change set found: errors, for which AWS failed it, and warnings, each one line.

    That the findings may not be read, or cannot be, is a warning: the plan is good without them. An endpoint that does not know
    DescribeEvents has found nothing.
    """
    errors: list[str] = []
    warnings: list[str] = []
    try:
        with boundary():
            for event in _events(cfn, change_set_id):
                if event.get("EventType") in {"VALIDATION_ERROR", "HOOK_INVOCATION_ERROR"}:
                    failed = "FAIL" in {event.get("ValidationFailureMode"), event.get("HookFailureMode")}
                    (errors if failed else warnings).append(_line(event))
    except AccessDenied:
        warnings.append(
            "AWS validated the change, but its findings may not be read: the permission cloudformation:DescribeEvents is missing"
        )
    except AwsUnavailable as error:
        if _is_unknown(error.__cause__):
            _LOG.info("this endpoint has no DescribeEvents, so findings of its validation are not shown")
        else:
            warnings.append(f"AWS validated the change, but its findings could not be read: {error}")
    return tuple(dict.fromkeys(errors)), tuple(dict.fromkeys(warnings))


def _events(cfn: CloudFormationClient, change_set_id: str) -> Iterator[Mapping[str, Any]]:
    # The full ARN: by its name alone AWS finds a change set only together with its stack.
    for page in cfn.get_paginator("describe_events").paginate(ChangeSetName=change_set_id):
        yield from page["OperationEvents"]


def _is_unknown(error: BaseException | None) -> bool:
    return isinstance(error, ClientError) and error_code(error) in {"InvalidAction", "UnknownOperationException"}


def _line(event: Mapping[str, Any]) -> str:
    what = event.get("LogicalResourceId", "")
    path = event.get("ValidationPath", "")
    reason = event.get("ValidationStatusReason") or event.get("HookStatusReason") or "no reason given"
    by = event.get("ValidationName") or event.get("HookType", "")
    place = f"{what} ({event['ResourceType']})" if what and event.get("ResourceType") else what or path
    return f"{place}: {reason}" + (f" [{by}]" if by else "")
