"""Helpers: templates, and deployments by change set."""

from __future__ import annotations

import json
import time
from typing import Any

ROLE: dict[str, Any] = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
    },
}
CREDENTIALS = {
    "Resources": {
        "Credentials": {
            "Type": "AWS::CodeBuild::SourceCredential",
            "Properties": {
                "ServerType": "GITHUB",
                "AuthType": "PERSONAL_ACCESS_TOKEN",
                "Username": "{{resolve:secretsmanager:github:SecretString:user}}",
                "Token": "{{resolve:secretsmanager:github:SecretString:token}}",
            },
        }
    },
    "Outputs": {"Arn": {"Value": {"Ref": "Credentials"}}},
}


def buckets(*logical_ids: str, **names: str) -> dict[str, Any]:
    """Return a template with a bucket for each logical id; `names` have physical names."""
    resources: dict[str, Any] = {logical_id: {"Type": "AWS::S3::Bucket"} for logical_id in logical_ids}
    for logical_id, name in names.items():
        resources[logical_id] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}}
    return {"Resources": resources}


def project(**properties: Any) -> dict[str, Any]:
    """Return a template with a role and a CodeBuild project for a GitHub repository, by default named Slc."""
    return {
        "Resources": {
            "Role": ROLE,
            "Project": {
                "Type": "AWS::CodeBuild::Project",
                "Properties": {
                    "Name": "Slc",
                    "ServiceRole": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Artifacts": {"Type": "NO_ARTIFACTS"},
                    "Environment": {
                        "Type": "LINUX_CONTAINER",
                        "ComputeType": "BUILD_GENERAL1_SMALL",
                        "Image": "aws/codebuild/standard:7.0",
                    },
                    "Source": {"Type": "GITHUB", "Location": "https://github.com/exasol/some-repository"},
                    **properties,
                },
            },
        },
        "Outputs": {"Name": {"Value": {"Ref": "Project"}}, "Arn": {"Value": {"Fn::GetAtt": ["Project", "Arn"]}}},
    }


def plan(cloudformation: Any, name: str, template: dict[str, Any], kind: str = "CREATE", **more: Any) -> Any:
    """Create a change set and return its description."""
    more.setdefault("Capabilities", ["CAPABILITY_NAMED_IAM"])
    created = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=f"change-{time.monotonic_ns()}",
        ChangeSetType=kind,
        TemplateBody=json.dumps(template),
        **more,
    )
    return cloudformation.describe_change_set(ChangeSetName=created["Id"], IncludePropertyValues=True)


def wait(cloudformation: Any, name: str) -> Any:
    """Wait until no operation is in progress on a stack, and return it."""
    while True:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(0.02)


def deploy(cloudformation: Any, name: str, template: dict[str, Any], kind: str = "CREATE", **more: Any) -> Any:
    """Create and execute a change set, wait for its end, and return the stack."""
    change_set = plan(cloudformation, name, template, kind, **more)
    assert change_set["Status"] == "CREATE_COMPLETE", change_set["StatusReason"]
    cloudformation.execute_change_set(ChangeSetName=change_set["ChangeSetId"], ClientRequestToken="token-1")
    return wait(cloudformation, change_set["StackId"])


def events(cloudformation: Any, name: str) -> list[tuple[str, str]]:
    """Return logical id and status of each event of a stack, oldest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
    newest_first = [event for page in pages for event in page["StackEvents"]]
    return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(newest_first)]
