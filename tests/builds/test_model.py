"""The model of builds that is read from responses of CodeBuild, without AWS."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from exasol_ci_setup.builds.model import batch_of, build_of, id_of, time_of


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:codebuild:eu-central-1:123456789012:build/Slc:1-2", "Slc:1-2"),
        ("arn:aws-us-gov:codebuild:us-gov-west-1:123456789012:build-batch/Slc:1-2", "Slc:1-2"),
        ("Slc:1-2", "Slc:1-2"),
        ("", ""),
    ],
)
def test_arn_contains_id(arn, expected):
    assert id_of(arn) == expected


def test_token_value_is_not_read_as_secret_name():
    variables = [{"name": "GITHUB_TOKEN", "value": "ghp_plain", "type": "PLAINTEXT"}]

    batch = batch_of({"id": "P:u", "environment": {"environmentVariables": variables}})

    assert batch.token_secret == ""
    assert "ghp_plain" not in repr(batch)


def test_group_without_build_is_pending():
    batch = batch_of({"id": "P:u", "buildGroups": [{"identifier": "one"}]})

    assert (batch.builds[0].status, batch.builds[0].has_ended) == ("PENDING", False)


def test_phase_contexts_are_joined_without_blank_ones():
    contexts = [{"statusCode": "", "message": " "}, {"statusCode": "A", "message": "b"}, {"message": "c"}]

    build = build_of({"id": "P:u", "phases": [{"phaseType": "BUILD", "contexts": contexts}]})

    assert build.phases[0].message == "A: b; c"


def test_almost_empty_response_is_read():
    assert batch_of({}).id == ""
    assert build_of({}).id == ""


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Mon, 04 May 2026 03:00:00 GMT", datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)),
        ("Mon, 04 May 2026 03:00:00 GMT, Mon, 04 May 2026 03:00:00 GMT", None),
        ("Mon, 04 May 2026 03:00:00", None),
        ("Mon, 04 May 2026 99:00:00 GMT", None),
        ("soon", None),
        (None, None),
    ],
)
def test_time_of_aws_has_time_zone_or_is_none(date, expected):
    found = time_of({"ResponseMetadata": {"HTTPHeaders": {"date": date} if date else {}}})

    assert found == expected


def test_build_without_log_has_no_log_url():
    logs = {"groupName": "/g", "deepLink": "https://console/log?group=null"}

    assert build_of({"id": "P:1", "logs": logs}).log_url == ""
    assert build_of({"id": "P:1", "logs": {**logs, "streamName": "s"}}).log_url == logs["deepLink"]
