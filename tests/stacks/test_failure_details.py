"""What the log of a custom resource's function and CloudTrail add to a failure, answered inside botocore."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from exasol_ci_setup.core.stacks import Event
from exasol_ci_setup.stacks import failure_details
from exasol_ci_setup.stacks.event_pages import since
from tests.answers import AwsError

AT = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
FUNCTION = "arn:aws:lambda:eu-central-1:111122223333:function:shop-keys"
NO_RESPONSE = "CloudFormation did not receive a response from your Custom Resource."
STACK_ID = "arn:aws:cloudformation:eu-central-1:111122223333:stack/Shop/1"


def failed(reason: str, kind: str = "AWS::S3::BucketPolicy", token: str = "") -> Event:
    place: dict[str, Any] = {
        "id": "1",
        "stack_id": STACK_ID,
        "stack_name": "Shop",
        "logical_id": "L",
        "physical_id": "",
    }
    return Event(**place, type=kind, status="CREATE_FAILED", reason=reason, at=AT, service_token=token)


def written(answers, *messages: str) -> None:
    answers.on("lambda", "GetFunctionConfiguration", {"FunctionName": "shop-keys"})
    answers.on("logs", "FilterLogEvents", {"events": [{"message": message, "timestamp": 1} for message in messages]})


def recorded(answers, *calls: dict[str, Any]) -> None:
    answers.on("cloudtrail", "LookupEvents", {"Events": [{"CloudTrailEvent": json.dumps(call)} for call in calls]})


def test_log_of_function_is_part_of_explanation(answers):
    written(answers, "Traceback (most recent call last):\n  in handler\n", "KeyError: 'Name'")
    found = failure_details.find(answers.account, failed(NO_RESPONSE, "Custom::Key", FUNCTION))
    assert found == (
        "shop-keys wrote: Traceback (most recent call last): in handler",
        "shop-keys wrote: KeyError: 'Name'",
    )
    (request,) = answers.of("FilterLogEvents")
    assert request["logGroupName"] == "/aws/lambda/shop-keys"
    assert "Traceback" in request["filterPattern"]


def test_stream_in_reason_selects_log_lines(answers):
    written(answers, *(f"line {number}" for number in range(30)))
    reason = "See the details in CloudWatch Log Stream: 2026/11/29/[$LATEST]0123 (RequestId: x)"
    found = failure_details.find(answers.account, failed(reason, "AWS::CloudFormation::CustomResource", FUNCTION))
    assert found == tuple(f"shop-keys wrote: line {number}" for number in range(20, 30))
    (request,) = answers.of("FilterLogEvents")
    assert request["logStreamNames"] == ["2026/11/29/[$LATEST]0123"]


def test_function_with_own_log_group_is_read_there(answers):
    answers.on("lambda", "GetFunctionConfiguration", {"LoggingConfig": {"LogGroup": "/shop/keys"}})
    answers.on("logs", "FilterLogEvents", {"events": []})
    found = failure_details.find(answers.account, failed(NO_RESPONSE, "Custom::Key", FUNCTION))
    assert found == ("the log of function shop-keys has no errors of this time: see log group /shop/keys",)


def test_denied_log_adds_one_line(answers):
    answers.on("lambda", "GetFunctionConfiguration", AwsError("AccessDeniedException"))
    message = "User: x is not authorized to perform: logs:FilterLogEvents"
    answers.on("logs", "FilterLogEvents", AwsError("AccessDeniedException", message))
    found = failure_details.find(answers.account, failed(NO_RESPONSE, "Custom::Key", FUNCTION))
    assert len(found) == 1
    assert found[0].startswith("the log of function shop-keys is not available")
    assert "logs:FilterLogEvents" in found[0]


def call(**values: object) -> dict[str, Any]:
    return {
        "eventName": "PutBucketPolicy",
        "sourceIPAddress": "cloudformation.amazonaws.com",
        "errorCode": "AccessDenied",
        "errorMessage": "public policies are blocked by the BlockPublicPolicy setting",
        **values,
    }


@pytest.mark.parametrize(
    "reason", ["Internal Failure", "", 'Resource handler returned message: "Access Denied (Service: S3)"']
)
def test_general_reason_is_explained_by_cloudtrail(answers, reason):
    recorded(answers, call(errorCode=None), call(sourceIPAddress="192.0.2.1"), call(), call(errorMessage="older"))
    assert failure_details.find(answers.account, failed(reason)) == (
        "CloudTrail: s3:PutBucketPolicy failed with AccessDenied: public policies are blocked by the BlockPublicPolicy setting",
    )
    (request,) = answers.of("LookupEvents")
    assert request["LookupAttributes"] == [{"AttributeKey": "EventSource", "AttributeValue": "s3.amazonaws.com"}]


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("AWS::CloudWatch::Alarm", "monitoring"),
        ("AWS::ElasticLoadBalancingV2::Listener", "elasticloadbalancing"),
        ("AWS::KinesisFirehose::DeliveryStream", "firehose"),
        ("AWS::SQS::Queue", "sqs"),
    ],
)
def test_calls_are_looked_up_by_name_of_service_in_cloudtrail(answers, kind, source):
    recorded(answers)
    failure_details.find(answers.account, failed("Internal Failure", kind))

    (request,) = answers.of("LookupEvents")
    assert request["LookupAttributes"][0]["AttributeValue"] == f"{source}.amazonaws.com"


def test_cloudtrail_without_failed_call_adds_line(answers):
    recorded(answers)
    assert failure_details.find(answers.account, failed("Internal Failure")) == (
        "CloudTrail has no failed call for this resource; calls appear there after up to 15 minutes",
    )


def test_denied_cloudtrail_adds_one_line(answers):
    message = "User: x is not authorized to perform: cloudtrail:LookupEvents"
    answers.on("cloudtrail", "LookupEvents", AwsError("AccessDeniedException", message))
    (line,) = failure_details.find(answers.account, failed("Internal Failure"))
    assert line.startswith("the failed call could not be looked up in CloudTrail")
    assert "cloudtrail:LookupEvents" in line


@pytest.mark.parametrize(
    "reason",
    [
        "User: x is not authorized to perform: s3:PutBucketPolicy on resource: y (AccessDenied)",
        "API: s3:CreateBucket Access Denied",
        "The bucket policy has an invalid principal",
    ],
)
def test_precise_reason_needs_no_look_up(answers, reason):
    assert failure_details.find(answers.account, failed(reason)) == ()
    assert answers.calls == []


def test_service_token_of_custom_resource_is_read_from_event(answers):
    described = {
        "EventId": "1",
        "StackId": STACK_ID,
        "StackName": "Shop",
        "Timestamp": AT,
        "LogicalResourceId": "Key",
        "ResourceType": "Custom::Key",
        "ResourceProperties": json.dumps({"ServiceToken": FUNCTION}),
    }
    other = {**described, "ResourceType": "AWS::S3::Bucket"}
    odd = {**described, "ResourceProperties": "no JSON"}
    answers.on("cloudformation", "DescribeStackEvents", {"StackEvents": [described, other, odd]})
    events = since(answers.account.client("cloudformation"), "Shop", AT)
    assert [event.service_token for event in events] == ["", "", FUNCTION]
