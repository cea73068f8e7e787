"""The scripted AWS account that other tests use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ParamValidationError

from exasol_ci_setup.aws.session import connect, is_transient, translate_aws_errors
from exasol_ci_setup.core.errors import CredentialsInvalidError, UnreachableError
from tests.answers import AwsError, Call, DroppedConnectionError, VirtualClock

NOW = datetime(2026, 5, 4, 3, 2, 1, 500000, tzinfo=timezone.utc)
STACK = {
    "StackName": "Slc",
    "CreationTime": NOW,
    "StackStatus": "CREATE_COMPLETE",
    "EnableTerminationProtection": True,
    "Outputs": [{"OutputKey": "Name", "OutputValue": "a <b> & 'c' ü 😀"}],
    "Tags": [],
}


def test_reply_equals_scripted_value(answers):
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [STACK]})

    found = answers.account.client("cloudformation").describe_stacks(StackName="Slc")

    assert found["Stacks"] == [STACK]
    assert answers.calls == [Call("cloudformation", "DescribeStacks", {"StackName": "Slc"})]


def test_json_replies_keep_times_maps_and_lists(answers):
    project = {"name": "SlcCodeBuild", "created": NOW, "tags": [{"key": "a", "value": "b"}], "timeoutInMinutes": 5}
    answers.on("codebuild", "BatchGetProjects", {"projects": [project]})

    found = answers.account.client("codebuild").batch_get_projects(names=["SlcCodeBuild"])["projects"][0]

    assert {**found, "created": found["created"].astimezone(timezone.utc)} == project


def test_s3_replies_carry_headers_lists_and_bodies(answers):
    s3 = answers.account.client("s3")
    answers.on("s3", "HeadBucket", {"BucketRegion": "eu-central-1"})
    answers.on("s3", "GetObject", {"Body": b"text", "ETag": '"1"', "LastModified": NOW.replace(microsecond=0)})
    answers.on(
        "s3",
        "ListObjectVersions",
        {"Name": "bucket", "IsTruncated": False, "Versions": [{"Key": "a", "VersionId": "1"}, {"Key": "b"}]},
    )
    answers.on("s3", "PutObject", {"ETag": '"2"'})
    answers.on("s3", "GetBucketLocation", AwsError("NoSuchBucket", "gone", status=404))

    assert s3.head_bucket(Bucket="bucket")["BucketRegion"] == "eu-central-1"
    got = s3.get_object(Bucket="bucket", Key="a")
    assert (got["Body"].read(), got["LastModified"]) == (b"text", NOW.replace(microsecond=0))
    versions = s3.list_object_versions(Bucket="bucket")["Versions"]
    assert [version["Key"] for version in versions] == ["a", "b"]
    assert s3.put_object(Bucket="bucket", Key="a", Body=b"x")["ETag"] == '"2"'
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.get_bucket_location(Bucket="bucket")


def test_botocore_itself_checks_parameters(answers):
    answers.on("cloudformation", "DescribeStacks", {"Stacks": []})

    with pytest.raises(ParamValidationError, match="Unknown parameter"):
        answers.account.client("cloudformation").describe_stacks(Stack="Slc")

    assert answers.calls == []


def test_paginator_reads_all_pages(answers):
    def page(params):
        return {"Stacks": [{**STACK, "StackName": "second"}]} if "NextToken" in params else first

    first = {"Stacks": [STACK], "NextToken": "more"}
    answers.on("cloudformation", "DescribeStacks", page)

    pages = answers.account.client("cloudformation").get_paginator("describe_stacks").paginate()

    assert [stack["StackName"] for page in pages for stack in page["Stacks"]] == ["Slc", "second"]
    assert answers.of("DescribeStacks") == [{}, {"NextToken": "more"}]


def test_call_throttled_twice_succeeds_after_pauses_of_botocore(answers, clock):
    throttled = AwsError("Throttling", "Rate exceeded")
    answers.on("cloudformation", "DescribeStacks", [throttled, throttled, {"Stacks": [STACK]}])

    found = answers.account.client("cloudformation").describe_stacks()

    assert found["ResponseMetadata"]["RetryAttempts"] == 2
    assert len(answers.retry_pauses) == 2
    assert clock.sleeps == answers.retry_pauses
    assert answers.names() == ["DescribeStacks"] * 3


def test_permanent_error_is_raised_immediately_with_its_type(answers):
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException", "no such secret"))
    client = answers.account.client("secretsmanager")

    with pytest.raises(client.exceptions.ResourceNotFoundException, match="no such secret"):
        client.describe_secret(SecretId="x")

    assert len(answers.calls) == 1


@pytest.mark.parametrize(("status", "passing"), [(499, False), (500, True), (503, True)])
def test_status_from_500_is_retryable(answers, status, passing):
    answers.on("sts", "GetCallerIdentity", AwsError("Odd", "odd", status=status))
    with pytest.raises(ClientError) as caught:
        answers.account.client("sts").get_caller_identity()
    assert is_transient(caught.value) is passing


def test_expired_token_is_translated(answers):
    answers.on("sts", "GetCallerIdentity", AwsError("ExpiredToken", "The security token has expired", status=403))

    with pytest.raises(CredentialsInvalidError, match="expired"), translate_aws_errors():
        answers.account.client("sts").get_caller_identity()


def test_repeated_connection_reset_is_raised_after_retries(answers):
    answers.on("cloudformation", "DescribeStacks", DroppedConnectionError)

    with pytest.raises(ConnectionClosedError) as caught:
        answers.account.client("cloudformation").describe_stacks()

    assert len(answers.calls) == 10
    with pytest.raises(UnreachableError), translate_aws_errors():
        raise caught.value


def test_one_connection_reset_is_retried(answers):
    answers.on("cloudformation", "DescribeStacks", [DroppedConnectionError(), {"Stacks": []}])

    assert answers.account.client("cloudformation").describe_stacks()["Stacks"] == []


def test_exception_of_botocore_is_raised_unchanged(answers):
    answers.on("sts", "GetCallerIdentity", EndpointConnectionError(endpoint_url="https://sts.example"))

    with pytest.raises(EndpointConnectionError, match=r"sts\.example"):
        answers.account.client("sts").get_caller_identity()


def test_failures_of_every_second_request_consume_no_replies(answers):
    answers.disturb = lambda _call: AwsError("Throttling", "Rate exceeded") if len(answers.calls) % 2 else None
    answers.on("cloudformation", "DescribeStacks", [{"Stacks": []}, {"Stacks": [STACK]}])
    client = answers.account.client("cloudformation")

    assert [len(client.describe_stacks()["Stacks"]) for _ in range(2)] == [0, 1]
    assert len(answers.calls) == 4


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ({"Stack": []}, "Stack"),
        ({"Stacks": [{"StackName": "Slc"}]}, "CreationTime"),
        ({"Stacks": "Slc"}, "list"),
    ],
)
def test_reply_that_does_not_match_model_of_aws_is_rejected(answers, reply, complaint):
    with pytest.raises(pytest.fail.Exception, match=rf"cloudformation DescribeStacks is none.*(?s:.*){complaint}"):
        answers.on("cloudformation", "DescribeStacks", reply)


def test_empty_list_is_accepted_where_model_requires_entries(answers):
    answers.on("codebuild", "ListProjects", {"projects": []})

    assert answers.account.client("codebuild").list_projects()["projects"] == []


def test_computed_reply_is_validated(answers):
    answers.on("cloudformation", "DescribeStacks", lambda _params: {"Unknown": 1})

    with pytest.raises(pytest.fail.Exception, match="Unknown"):
        answers.account.client("cloudformation").describe_stacks()


def test_operation_without_output_has_empty_reply(answers):
    answers.on("cloudformation", "CancelUpdateStack", {})
    answers.account.client("cloudformation").cancel_update_stack(StackName="Slc")

    with pytest.raises(pytest.fail.Exception, match="must be empty"):
        answers.on("cloudformation", "CancelUpdateStack", {"StackId": "x"})


def test_call_without_reply_names_service_operation_and_parameters(answers):
    with pytest.raises(pytest.fail.Exception, match=r"secretsmanager GetSecretValue with {'SecretId': 'x'}"):
        answers.account.client("secretsmanager").get_secret_value(SecretId="x")


def test_exhausted_list_fails_unless_its_last_reply_repeats(answers):
    client = answers.account.client("cloudformation")
    answers.on("cloudformation", "DescribeStacks", [{"Stacks": []}, {"Stacks": [STACK]}], repeat_last=True)
    assert [len(client.describe_stacks()["Stacks"]) for _ in range(4)] == [0, 1, 1, 1]

    answers.on("cloudformation", "DescribeStacks", [{"Stacks": []}])
    client.describe_stacks()
    with pytest.raises(pytest.fail.Exception, match="all 1 answers to cloudformation DescribeStacks are used up"):
        client.describe_stacks()


@pytest.mark.parametrize(("service", "operation"), [("cloudformation", "DescribeStack"), ("cloudform", "X")])
def test_misspelled_operation_is_rejected_when_scripted(answers, service, operation):
    with pytest.raises(pytest.fail.Exception, match=operation if service == "cloudformation" else service):
        answers.on(service, operation, {})


def test_parallel_calls_get_their_own_replies(answers):
    answers.on("cloudformation", "DescribeStacks", lambda params: {"Stacks": [{**STACK, **params}]})
    client = answers.account.client("cloudformation")
    names = [f"stack-{number}" for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: client.describe_stacks(StackName=name)["Stacks"][0]["StackName"], names))

    assert found == names


def test_replies_have_time_of_skewed_clock(answers):
    answers.skew = timedelta(hours=2)
    answers.on("sts", "GetCallerIdentity", {"Account": "123456789012"})

    headers = answers.account.client("sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]

    ahead = parsedate_to_datetime(headers["date"]) - datetime.now(timezone.utc)
    assert timedelta(minutes=119) < ahead < timedelta(minutes=121)


def test_clock_runs_planned_callbacks_at_their_time():
    clock = VirtualClock()
    seen: list[float] = []
    clock.at(5, lambda: seen.append(clock.elapsed))
    clock.at(2, lambda: seen.append(clock.elapsed))
    clock.at(30, lambda: seen.append(clock.elapsed))

    clock.sleep(10)

    assert seen == [2, 5]
    assert (clock.elapsed, clock.now(), clock.sleeps) == (10, 1010, [10])


def test_clock_stops_where_callback_interrupts_sleep():
    clock = VirtualClock()

    def interrupt():
        raise KeyboardInterrupt

    clock.at(3, interrupt)

    with pytest.raises(KeyboardInterrupt):
        clock.sleep(10)
    assert clock.elapsed == 3


def test_sessions_share_models_of_services():
    accounts = [connect(region="eu-central-1", access_key=(str(number) * 12, "test")) for number in (1, 2)]
    one, other = (vars(account.client("ec2").meta.service_model)["_service_description"] for account in accounts)

    assert one is other
