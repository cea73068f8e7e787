"""The template of a workspace: golden file and permissions."""

from __future__ import annotations

import json

import pytest

from exasol_ci_setup.constructs import Workspace, build
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.platform.workspaces import Bucket, storage_policy
from exasol_ci_setup.template.lint import lint
from exasol_ci_setup.template.render import capabilities, parse, render

PRIVATE = Workspace(workspace_id="123")
PUBLIC = Workspace(workspace_id="0b5a6c1e-60d4-4f4b-9a53-1c7f6a2b9d10", public_assets=True)
GOLDEN = {"workspace.yaml": PRIVATE, "workspace_public.yaml": PUBLIC}


def resources(construct):
    return {name: each["Properties"] for name, each in parse(render(construct).body)["Resources"].items()}


def statements(construct):
    return resources(construct)["BucketPolicy"]["PolicyDocument"]["Statement"]


@pytest.mark.parametrize("name", GOLDEN)
def test_template_matches_golden_file(name, golden):
    golden(name, render(GOLDEN[name]).body)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("name", GOLDEN)
def test_linter_has_no_findings(name, region):
    assert lint(render(GOLDEN[name]), region) == []


def test_workspace_is_private_encrypted_and_versioned():
    bucket = resources(PRIVATE)["Bucket"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "AES256"
    }
    (only,) = statements(PRIVATE)
    assert (only["Effect"], only["Action"]) == ("Deny", "s3:*")
    assert only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_public_objects_are_readable_by_everyone():
    (given,) = [each for each in statements(PUBLIC) if each["Effect"] == "Allow"]

    assert given["Principal"] == "*"
    assert given["Action"] == "s3:GetObject"
    assert given["Resource"] == {"Fn::Sub": "${Bucket.Arn}/public/*"}
    assert resources(PUBLIC)["Bucket"]["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True


def test_role_can_be_assumed_only_in_account():
    role = resources(PRIVATE)["StorageRole"]

    assert [each["Principal"] for each in role["AssumeRolePolicyDocument"]["Statement"]] == [
        {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    ]
    assert capabilities(parse(render(PRIVATE).body)) == ("CAPABILITY_IAM",)


def test_session_has_no_more_permissions_than_role():
    role = resources(PRIVATE)["StorageRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    session = storage_policy(Bucket("123", "b", "arn:aws:iam::123456789012:role/r", is_public=False), "mine")

    allowed = {
        action for each in role for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    for each in session["Statement"]:
        asked = {each["Action"]} if isinstance(each["Action"], str) else set(each["Action"])
        assert asked <= allowed
        assert "mine" in json.dumps(each)


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_session_policy_has_partition_of_role_and_allowed_length(partition):
    bucket = Bucket("1" * 64, "b" * 63, f"arn:{partition}:iam::123456789012:role/r", is_public=False)

    policy = storage_policy(bucket, "s" * 63)

    assert f"arn:{partition}:s3:::" in json.dumps(policy)
    assert len(json.dumps(policy, separators=(",", ":"))) < 2048


def test_stacks_of_different_workspaces_have_different_names():
    assert PRIVATE.stack_name == "workspace-123"
    assert PRIVATE.tags["exasol-ci-setup:name"] == "123"
    assert Workspace(workspace_id="123", stack_name="other").stack_name == "other"


@pytest.mark.parametrize("wrong", ["", "-1", "1-", "a--b", "a_b", "a" * 65, "ä", "a.b"])
def test_id_that_is_no_valid_stack_name_is_rejected(wrong):
    with pytest.raises(InputError, match="--workspace-id"):
        build(Workspace, workspace_id=wrong)
