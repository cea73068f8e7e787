"""Secrets of spaces: keys of JSON, parameters of SSM, and KMS keys of the customer."""

from __future__ import annotations

import json

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import SpaceRequestError
from exasol_ci_setup.platform import space_secrets
from tests.answers import AwsError
from tests.platform.spaces import task_definition
from tests.reporters import RecordingReporter

IMAGE = "public.ecr.aws/nginx/nginx:1.27"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012"


def statements(account):
    """The statements of the role that starts the container, by their IDs."""
    iam = account.client("iam")
    roles = [each["RoleName"] for each in iam.list_roles(PathPrefix="/space/web/")["Roles"]]
    (role,) = [each for each in roles if "ExecutionRole" in each]
    document = iam.get_role_policy(RoleName=role, PolicyName="start")["PolicyDocument"]
    found = json.loads(document) if isinstance(document, str) else document
    return {each["Sid"]: each["Resource"] for each in found["Statement"]}


@pytest.mark.live
def test_role_can_read_and_decrypt_each_kind_of_secret(live):
    context = Context(live)
    keys = [live.client("kms").create_key()["KeyMetadata"] for _ in range(3)]
    live.client("kms").create_alias(AliasName="alias/mine", TargetKeyId=keys[0]["KeyId"])
    secret = live.client("secretsmanager").create_secret(Name="naas/db", SecretString="{}", KmsKeyId="alias/mine")
    plain = naas.secret.create("plain", "value", context=context)
    ssm = live.client("ssm")
    ssm.put_parameter(Name="/app/level", Value="1", Type="SecureString", KeyId=keys[1]["KeyId"])
    ssm.put_parameter(Name="mode", Value="1", Type="String")
    ssm.put_parameter(Name="/key", Value="1", Type="SecureString", KeyId=keys[2]["KeyId"])

    naas.space.create(
        "web",
        image=IMAGE,
        secrets={"A": "db:password", "B": "plain", "C": "ssm:/app/level", "D": "ssm:mode", "E": "ssm:/key"},
        context=context,
    )

    (container,) = task_definition(live, "web")["containerDefinitions"]
    level, mode, key = (
        f"arn:aws:ssm:eu-central-1:{live.client('sts').get_caller_identity()['Account']}:parameter/{name}"
        for name in ("app/level", "mode", "key")
    )
    assert {each["name"]: each["valueFrom"] for each in container["secrets"]} == {
        "A": f"{secret['ARN']}:password::",
        "B": plain.arn,
        "C": level,
        "D": mode,
        "E": key,
    }
    allowed = statements(live)
    assert sorted(allowed["ReadSecrets"]) == sorted([secret["ARN"], plain.arn])
    assert allowed["ReadParameters"] == [level, mode, key]
    assert allowed["DecryptSecrets"] == sorted(each["Arn"] for each in keys)
    assert naas.secret.spaces_with("db", context=context) == ["web"]

    naas.space.update("web", unset=["A", "C", "E"], context=context)

    assert statements(live).keys() & {"ReadParameters", "DecryptSecrets"} == {"ReadParameters"}
    with pytest.raises(SpaceRequestError, match="parameter 'missing' does not exist"):
        naas.space.update("web", secrets={"A": "ssm:missing"}, context=context)


@pytest.mark.parametrize(
    ("described", "found"),
    [
        ({"KmsKeyId": KEY}, (KEY,)),
        ({"KmsKeyId": "alias/aws/secretsmanager"}, ()),
        ({}, ()),
        (AwsError("AccessDeniedException", "no"), ()),
    ],
)
def test_keys_of_aws_and_unknown_keys_get_no_permission(answers, described, found):
    answers.on("secretsmanager", "DescribeSecret", described)
    reporter = RecordingReporter()
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"

    assert space_secrets.keys_of(Context(answers.account, reporter=reporter), {"A": f"{arn}:key::", "B": arn}) == found

    assert answers.of("DescribeSecret") == [{"SecretId": arn}]
    is_denied = isinstance(described, AwsError)
    assert [f"the KMS key of {arn} is unknown" in note for note in reporter.notes] == ([True] if is_denied else [])
