"""What AWS recorded about a failure whose reason is empty or general: the log of a custom resource's function, and CloudTrail.

If a request fails, one line names the cause, such as the missing permission.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.stacks.optional import optional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Event

# Reasons that do not state which call failed, or why.
_GENERAL: Final = re.compile(
    r"Internal ?Failure|ServiceInternalError|Access ?Denied|Resource handler returned message: \"?null",
    re.IGNORECASE,
)
_NAMES_ACTION: Final = re.compile(r"(perform:? ?|API: )[\w-]+:\w+")
_LOG_STREAM: Final = re.compile(r"CloudWatch Log Stream: (?P<stream>\S+)")
_FUNCTION: Final = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d{12}:function:(?P<name>[\w-]+)")
_FAILURES: Final = '?ERROR ?Error ?error ?Exception ?Traceback ?"timed out"'
_LINES: Final = 10
_PAGES: Final = 4
# A function runs for 15 minutes at most, and CloudFormation waits for up to an hour for its response.
_BEFORE: Final = timedelta(minutes=75)
# CloudFormation retries a call before it reports the failure.
_CALL_BEFORE: Final = timedelta(minutes=10)
_AFTER: Final = timedelta(minutes=1)
# Names of services in CloudTrail that differ from the second part of the resource type in lower case.
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-aws-service-specific-topics.html
_SOURCES: Final = {
    "ElasticLoadBalancingV2": "elasticloadbalancing",
    "CertificateManager": "acm",
    "CloudWatch": "monitoring",
    "Cognito": "cognito-idp",
    "KinesisFirehose": "firehose",
    "MSK": "kafka",
    "ApplicationAutoScaling": "autoscaling",
    "OpenSearchService": "es",
    "EFS": "elasticfilesystem",
    "ApiGatewayV2": "apigateway",
    "StepFunctions": "states",
    "Events": "events",
    "Pipes": "pipes",
}


def find(account: Account, failure: Event) -> tuple[str, ...]:
    """Return lines about the failed resource of `failure`, in which `service_token` names the function of a custom resource."""
    if function := _FUNCTION.match(failure.service_token):
        return tuple(_log(account, failure, function["name"]))
    is_general = not failure.reason.strip() or (
        _GENERAL.search(failure.reason) and not _NAMES_ACTION.search(failure.reason)
    )
    if is_general and failure.type.startswith("AWS::"):
        return tuple(_failed_calls(account, failure))
    return ()


def _log(account: Account, failure: Event, function: str) -> Iterator[str]:
    """Yield the last lines of the function's log, or those with errors if the reason does not name the log stream."""
    stream = _LOG_STREAM.search(failure.reason)
    try:
        group = _log_group(account, function)
        wanted: dict[str, Any] = {"logStreamNames": [stream["stream"]]} if stream else {"filterPattern": _FAILURES}
        with optional(account.client("logs"), "FilterLogEvents") as logs:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group,
                startTime=int((failure.at - _BEFORE).timestamp() * 1000),
                endTime=int((failure.at + _AFTER).timestamp() * 1000),
                PaginationConfig={"MaxItems": 1000},
                **wanted,
            )
            messages = [event.get("message", "").strip() for page in pages for event in page["events"]]
    except SetupError as error:
        yield f"the log of function {function} is not available: {error.message}"
        return
    if not messages:
        yield f"the log of function {function} has no {'lines' if stream else 'errors'} of this time: see log group {group}"
    for message in messages[-_LINES:]:
        yield f"{function} wrote: {' '.join(message.split())}"


def _log_group(account: Account, function: str) -> str:
    """Return the log group of a function: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html."""
    default = f"/aws/lambda/{function}"
    try:
        with optional(account.client("lambda"), "GetFunctionConfiguration") as client:
            configuration: Mapping[str, Any] = client.get_function_configuration(FunctionName=function)
    except SetupError:
        # Without the permission, or after the rollback deleted the function. Its log remains.
        return default
    return str(configuration.get("LoggingConfig", {}).get("LogGroup") or default)


def _failed_calls(account: Account, failure: Event) -> Iterator[str]:
    """Yield the last failed call of CloudFormation to the service of the resource, from CloudTrail.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    """
    service = failure.type.split("::")[1]
    source = f"{_SOURCES.get(service, service.lower())}.amazonaws.com"
    try:
        with optional(account.client("cloudtrail"), "LookupEvents") as client:
            pages = client.get_paginator("lookup_events").paginate(
                LookupAttributes=[{"AttributeKey": "EventSource", "AttributeValue": source}],
                StartTime=failure.at - _CALL_BEFORE,
                EndTime=failure.at + _AFTER,
                PaginationConfig={"MaxItems": 50 * _PAGES, "PageSize": 50},
            )
            calls = [json.loads(event["CloudTrailEvent"]) for page in pages for event in page.get("Events", [])]
    except (SetupError, ValueError, KeyError) as error:
        why = error.message if isinstance(error, SetupError) else "the response of CloudTrail cannot be read"
        yield f"the failed call could not be looked up in CloudTrail: {why}"
        return
    # The newest is the first.
    for call in calls:
        if call.get("errorCode") and _is_of_cloudformation(call):
            said = " ".join(str(call.get("errorMessage") or "no message").split())
            yield f"CloudTrail: {source.partition('.')[0]}:{call.get('eventName')} failed with {call['errorCode']}: {said}"
            return
    yield "CloudTrail has no failed call for this resource; calls appear there after up to 15 minutes"


def _is_of_cloudformation(call: Mapping[str, Any]) -> bool:
    callers = (call.get("sourceIPAddress"), call.get("userAgent"), (call.get("userIdentity") or {}).get("invokedBy"))
    return "cloudformation.amazonaws.com" in callers
