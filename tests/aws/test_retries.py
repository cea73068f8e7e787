"""The number of attempts for a request, by kind of error."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError, HTTPClientError, ReadTimeoutError

from exasol_ci_setup.aws.session import for_optional_calls, translate_aws_errors
from exasol_ci_setup.core.errors import AwsUnavailableError, CredentialsInvalidError, ThrottledError, UnreachableError
from tests.answers import AwsError, DroppedConnectionError

REFUSED = EndpointConnectionError(endpoint_url="http://127.0.0.1:1/")


def call(answers):
    with translate_aws_errors():
        return answers.account.client("sts").get_caller_identity()


def call_for_display(answers):
    with translate_aws_errors():
        return for_optional_calls(answers.account.client("sts")).get_caller_identity()


def test_refused_connection_ends_after_four_attempts(answers, caplog):
    answers.on("sts", "GetCallerIdentity", REFUSED)

    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1.*4 attempts"):
        call(answers)

    assert len(answers.calls) == 4
    assert sum(answers.retry_pauses) <= 7
    assert "retrying" in caplog.text
    assert "127.0.0.1:1" in caplog.text


def test_lost_connection_is_retried_long_once_endpoint_answered(answers):
    answers.on("sts", "GetCallerIdentity", [{"Account": "1"}, REFUSED], repeat_last=True)
    call(answers)

    with pytest.raises(UnreachableError, match="10 attempts"):
        call(answers)

    assert len(answers.calls) == 11


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (AwsError("Throttling", "Rate exceeded"), ThrottledError),
        (AwsError("InternalFailure", "fault", status=500), AwsUnavailableError),
        (DroppedConnectionError, UnreachableError),
    ],
)
def test_throttling_and_faults_keep_ten_attempts(answers, caplog, reply, kind):
    answers.on("sts", "GetCallerIdentity", reply)

    with pytest.raises(kind):
        call(answers)

    assert len(answers.calls) == 10
    assert len([each for each in caplog.records if each.name == "exasol_ci_setup.aws.retries"]) == 1


@pytest.mark.parametrize("reply", [AwsError("InternalFailure", "fault", status=500), DroppedConnectionError, REFUSED])
def test_optional_call_is_sent_twice(answers, reply):
    answers.on("sts", "GetCallerIdentity", reply)

    with pytest.raises(AwsUnavailableError):
        call_for_display(answers)

    assert len(answers.calls) == 2


def test_optional_call_without_answer_in_time_is_sent_once(answers):
    answers.on("sts", "GetCallerIdentity", ReadTimeoutError(endpoint_url="https://sts.amazonaws.com"))

    with pytest.raises(UnreachableError, match="Read timeout"):
        call_for_display(answers)

    assert len(answers.calls) == 1


def test_client_for_optional_calls_times_out_after_eight_seconds(answers):
    client = for_optional_calls(answers.account.client("sts"))

    assert client.meta.config.read_timeout == 8
    assert for_optional_calls(answers.account.client("sts")) is client


def test_credential_that_no_header_may_have_is_not_retried(answers):
    answers.on("sts", "GetCallerIdentity", HTTPClientError(error=ValueError("Invalid header value b's3cr\\net'")))

    with pytest.raises(CredentialsInvalidError) as caught:
        call(answers)

    assert len(answers.calls) == 1
    assert "s3cr" not in str(caught.value)
