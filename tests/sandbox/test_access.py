"""Tests of the sandbox's access control: off by default, else as on AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup import sandbox
from exasol_ci_setup.aws.session import ClientError, connect, error_code
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.sandbox import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.sandbox.server import Server

pytestmark = pytest.mark.live


@pytest.fixture
def enforced(server: Server) -> Iterator[None]:
    server.control_access(True)
    yield
    server.control_access(False)


@pytest.fixture
def bucket(live):
    name = f"bucket-{os.urandom(6).hex()}"
    s3 = live.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket=name, Key="mine/a", Body=b"a")
    s3.put_object(Bucket=name, Key="yours/b", Body=b"b")
    return name


def session(live: Account, account_id: str, bucket: str, *, prefix: str) -> S3Client:
    """Return a client with a role that can read a bucket, and a session policy limited to `prefix`."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"}, "Action": "sts:AssumeRole"}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    limit = {**read, "Resource": f"arn:aws:s3:::{bucket}/{prefix}*"}
    iam = live.make("iam")
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=json.dumps({"Statement": [read]}))
    keys = live.client("sts").assume_role(
        RoleArn=role["Arn"],
        RoleSessionName="reading",
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [limit]}),
    )["Credentials"]
    client: S3Client = live.make(
        "s3",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    return client


@pytest.mark.usefixtures("enforced")
def test_session_needs_permission_of_role_and_session_policy(live, account_id, bucket):
    s3 = session(live, account_id, bucket, prefix="mine/")

    assert s3.get_object(Bucket=bucket, Key="mine/a")["Body"].read() == b"a"
    for attempt in (
        lambda: s3.get_object(Bucket=bucket, Key="yours/b"),
        lambda: s3.put_object(Bucket=bucket, Key="mine/c", Body=b""),
    ):
        with pytest.raises(ClientError) as caught:
            attempt()
        assert error_code(caught.value) == "AccessDenied"


@pytest.mark.usefixtures("enforced")
def test_local_requests_count_as_encrypted(live, account_id, bucket):
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    live.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [statement]}))

    assert session(live, account_id, bucket, prefix="mine/").get_object(Bucket=bucket, Key="mine/a")


def status(url: str) -> int:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def link(s3: S3Client, bucket: str) -> str:
    """Return a presigned URL of the object a."""
    return s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})


def test_url_presigned_with_any_key_is_accepted_by_default(server, live, account_id, bucket):
    live.client("s3").put_object(Bucket=bucket, Key="a", Body=b"a")
    url = link(live.make("s3", aws_access_key_id=account_id, aws_secret_access_key="another"), bucket)

    assert status(url) == 200
    server.control_access(True)
    try:
        assert status(url) == 403
    finally:
        server.control_access(False)


@pytest.mark.usefixtures("enforced")
def test_builds_are_checked_against_their_project(live):
    iam = live.client("iam")
    iam.create_user(UserName="builder")
    arn = "arn:aws:codebuild:eu-central-1:*:project/own"
    read = {"Effect": "Allow", "Action": "codebuild:BatchGetBuildBatches", "Resource": arn}
    iam.put_user_policy(UserName="builder", PolicyName="read", PolicyDocument=json.dumps({"Statement": [read]}))
    key = iam.create_access_key(UserName="builder")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    codebuild = live.make("codebuild", **keys)

    assert codebuild.batch_get_build_batches(ids=["own:1"])["buildBatchesNotFound"] == ["own:1"]
    with pytest.raises(ClientError, match="AccessDenied"):
        codebuild.batch_get_build_batches(ids=["other:1"])


def test_access_control_changes_while_server_runs(server, live, account_id, bucket):
    s3 = session(live, account_id, bucket, prefix="mine/")

    assert s3.get_object(Bucket=bucket, Key="yours/b")
    server.control_access(True)
    with pytest.raises(ClientError):
        s3.get_object(Bucket=bucket, Key="yours/b")
    server.control_access(False)
    assert s3.get_object(Bucket=bucket, Key="yours/b")


def test_option_or_variable_enables_access_control(monkeypatch):
    assert not settings.collect().access_control
    assert settings.collect(access_control=True).access_control
    monkeypatch.setenv(settings.ACCESS_CONTROL_VARIABLE, "1")
    assert settings.collect().access_control
    monkeypatch.setenv(settings.ACCESS_CONTROL_VARIABLE, "perhaps")
    with pytest.raises(InputError, match="invalid EXASOL_CI_SETUP_SANDBOX_ACCESS_CONTROL: 'perhaps'"):
        settings.collect()


def test_sandbox_with_access_control_enforces_policies(tmp_path, monkeypatch):
    monkeypatch.setenv("EXASOL_CI_SETUP_SANDBOX_DIR", str(tmp_path / "state"))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "exasol_ci_setup", "sandbox", *words], capture_output=True, text=True, check=True
        )

    run("start", "--access-control")
    try:
        endpoint = sandbox.find()
        assert endpoint is not None

        account = connect(region=endpoint.region, endpoint_url=endpoint.url, access_key=(endpoint.account, "sandbox"))
        s3 = account.client("s3")
        s3.create_bucket(Bucket="a-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket="a-bucket", Key="a", Body=b"")
        assert status(f"{endpoint.url}/a-bucket/a") == 403
        assert status(link(s3, "a-bucket")) == 200
        assert "to change its access control, stop it first" in run("start", "--access-control").stderr
    finally:
        run("stop")


@pytest.mark.usefixtures("enforced")
def test_public_parameter_has_arn_without_account(live):
    iam = live.client("iam")
    iam.create_user(UserName="reader")
    arn = "arn:aws:ssm:eu-central-1::parameter/aws/service/canonical/*"
    read = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": arn}
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps({"Statement": [read]}))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    ssm = live.make("ssm", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"

    assert ssm.get_parameter(Name=name)["Parameter"]["Value"].startswith("ami-")
    with pytest.raises(ClientError, match="AccessDenied"):
        ssm.get_parameter(Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64")
