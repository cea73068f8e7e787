"""Addresses in AWS's console, by the partition of an ARN."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from exasol_ci_setup.aws import console

ACCOUNT = "123456789012"


def client(url):
    return SimpleNamespace(meta=SimpleNamespace(endpoint_url=url))


@pytest.mark.parametrize(
    ("partition", "host", "expected"),
    [
        ("aws", "codebuild.eu-central-1.amazonaws.com", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "codebuild.cn-north-1.amazonaws.com.cn", "eu-central-1.console.amazonaws.cn"),
        ("aws-us-gov", "codebuild.us-gov-west-1.amazonaws.com", "eu-central-1.console.amazonaws-us-gov.com"),
    ],
)
def test_address_belongs_to_partition(partition, host, expected):
    batch = f"arn:{partition}:codebuild:eu-central-1:{ACCOUNT}:build-batch/P:u"
    stack = f"arn:{partition}:cloudformation:eu-central-1:{ACCOUNT}:stack/P/1-2"

    of_batch = console.of_batch(client(f"https://{host}"), batch, "P", "P:u")
    of_stack = console.of_stack(client(f"https://{host}"), stack)

    assert of_batch == f"https://{expected}/codesuite/codebuild/{ACCOUNT}/projects/P/batch/P%3Au?region=eu-central-1"
    assert of_stack.startswith(
        f"https://{expected}/cloudformation/home?region=eu-central-1#/stacks/events?stackId=arn%3A"
    )
    assert of_stack.endswith("%3Astack%2FP%2F1-2")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4566", "https://amazonaws.com.example.org", "https://xamazonaws.com"]
)
def test_endpoint_other_than_aws_has_no_address(url):
    arn = f"arn:aws:codebuild:eu-central-1:{ACCOUNT}:build-batch/P:u"

    assert console.of_batch(client(url), arn, "P", "P:u") == ""
    assert console.of_stack(client(url), arn) == ""
