"""Templates of the user: nested stacks, a transform of SAM, 60 parameters, and an import."""

from __future__ import annotations

import json

import pytest

from tests.contract import scenario
from tests.contract.scenario import PREFIX, TAG

pytestmark = pytest.mark.contract

_TAG = ("--tag", "=".join(TAG))


@pytest.fixture
def deployed(endpoint):
    """Return a function that deploys a template, and delete its stack afterwards."""
    stacks = []

    def deploy(name, files, *more):
        scenario.write(endpoint.folder, files)
        stacks.append(f"{PREFIX}-{name}")
        return endpoint.run(
            *("deploy-template", next(iter(files)), "--stack-name", stacks[-1], *_TAG, "--yes", "--allow-broadening"),
            *more,
        )

    yield deploy
    for stack in stacks:
        if endpoint.stack(stack) is not None:
            endpoint.run("delete", stack, "--yes")
            assert endpoint.stack(stack) is None


@pytest.fixture
def bucket(endpoint):
    """A bucket for templates."""
    s3 = endpoint.client("s3")
    name = f"{scenario.TEMPLATE_BUCKET}{endpoint.account}-{endpoint.region}"
    location = {"CreateBucketConfiguration": {"LocationConstraint": endpoint.region}}
    s3.create_bucket(Bucket=name, **({} if endpoint.region == "us-east-1" else location))
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for each in page.get("Contents", ()):
            s3.delete_object(Bucket=name, Key=each["Key"])
    s3.delete_bucket(Bucket=name)


def test_nested_stack_in_local_file_is_uploaded_and_deployed(endpoint, deployed, bucket):
    deployed("nested", {"outer.yaml": scenario.OUTER, "inner.yaml": scenario.INNER}, "--template-bucket", bucket)

    assert endpoint.outputs(f"{PREFIX}-nested")["TopicName"]


def test_change_of_nested_stack_is_planned(endpoint, deployed, bucket):
    files = {"outer.yaml": scenario.OUTER, "inner.yaml": scenario.INNER}
    deployed("nested", files, "--template-bucket", bucket)
    scenario.write(endpoint.folder, {"inner.yaml": scenario.INNER.replace("!Ref Name", "another")})
    stack = f"{PREFIX}-nested"
    ran = endpoint.run(
        *("deploy-template", "outer.yaml", "--stack-name", stack, *_TAG, "--template-bucket", bucket, "--plan"),
    )

    assert "DisplayName" in ran.stdout


def test_sam_transform_creates_function(endpoint, deployed):
    deployed("serverless", {"serverless.yaml": scenario.SERVERLESS})

    name = endpoint.outputs(f"{PREFIX}-serverless")["FunctionName"]
    assert endpoint.client("lambda").get_function_configuration(FunctionName=name)["Handler"] == "index.handler"


@pytest.mark.quick
def test_sixty_parameters_keep_their_values(endpoint, deployed):
    values = {f"P{number:02d}": f"value {number}" for number in range(scenario.PARAMETERS)}
    files = {"parameters.json": scenario.many_parameters(), "values.json": json.dumps(values)}
    deployed("parameters", files, "--parameters-file", "values.json")

    assert endpoint.outputs(f"{PREFIX}-parameters")["All"].split(",") == list(values.values())


def test_existing_log_group_is_imported(endpoint):
    logs, stack = endpoint.client("logs"), f"{PREFIX}-import"
    logs.create_log_group(logGroupName="/contract/import")
    logs.put_retention_policy(logGroupName="/contract/import", retentionInDays=3)
    scenario.write(endpoint.folder, {"import.yaml": scenario.IMPORTED})
    try:
        endpoint.run(
            *("import", "template", "import.yaml", "--stack-name", stack, "--resource", "Group=/contract/import"),
            "--yes",
        )
        assert endpoint.physical_id(stack, "AWS::Logs::LogGroup") == "/contract/import"
        endpoint.run("delete", stack, "--yes")
        # An imported resource is kept.
        assert logs.describe_log_groups(logGroupNamePrefix="/contract/import")["logGroups"]
    finally:
        logs.delete_log_group(logGroupName="/contract/import")
