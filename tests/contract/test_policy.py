"""A role with exactly the policy of `iam-policy` deploys, changes and deletes a stack."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.contract.scenario import PREFIX

pytestmark = pytest.mark.contract

_ROLE = f"{PREFIX}-deployer"
_REGISTRY = ("--name", f"{PREFIX}-of-deployer")


@pytest.fixture
def keys(endpoint):
    """Keys of a role with exactly the printed policy."""
    iam = endpoint.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{endpoint.account}:root"},
        "Action": "sts:AssumeRole",
    }
    policy = endpoint.run(
        "iam-policy", "registry", *_REGISTRY, "--account", endpoint.account, "--region", endpoint.region
    )
    role = iam.create_role(
        RoleName=_ROLE, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]
    iam.put_role_policy(RoleName=_ROLE, PolicyName="deploy", PolicyDocument=policy.stdout)
    for _ in endpoint.poll(120):
        # A new role can be assumed after some seconds.
        try:
            found = endpoint.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName=PREFIX)["Credentials"]
            break
        except ClientError:
            continue
    yield {
        "AWS_PROFILE": "",
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }
    iam.delete_role_policy(RoleName=_ROLE, PolicyName="deploy")
    iam.delete_role(RoleName=_ROLE)


@pytest.mark.quick
def test_role_with_printed_policy_deploys_and_deletes(endpoint, keys):
    stack = f"{PREFIX}-of-deployer"
    endpoint.run("deploy-registry", *_REGISTRY, "--yes", **keys)
    try:
        endpoint.run("deploy-registry", *_REGISTRY, "--untagged-retention-in-days", "7", "--yes", **keys)
        assert endpoint.stack(stack)["StackStatus"] == "UPDATE_COMPLETE"
    finally:
        endpoint.run("delete", stack, "--yes", **keys)
    assert endpoint.stack(stack) is None
