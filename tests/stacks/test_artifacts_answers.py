"""Artifacts are uploaded once, to a private bucket that keeps them; outputs of stacks are looked up together."""

from __future__ import annotations

import json

import pytest

from exasol_ci_setup.core.errors import AwsUnavailableError, InputError
from exasol_ci_setup.stacks.output_values import look_up
from exasol_ci_setup.stacks.upload import TemplateBucket
from exasol_ci_setup.template.artifacts import find_artifacts, package
from exasol_ci_setup.template.input_files import StackOutput
from exasol_ci_setup.template.render import Template, parse
from tests.answers import ACCOUNT_ID, AwsError

BODY = json.dumps({"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": {"Code": "src"}}}})


@pytest.fixture
def found(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x")
    return find_artifacts(Template("t", BODY), parse(BODY), tmp_path, root=tmp_path)


def identity(answers) -> None:
    answers.on("sts", "GetCallerIdentity", {"Account": ACCOUNT_ID})


def test_existing_artifact_is_not_uploaded(answers, found):
    identity(answers)
    answers.on("s3", "HeadObject", {})

    packaged = package(found, TemplateBucket(answers.account))

    assert answers.names() == ["GetCallerIdentity", "HeadObject"]
    assert [each.is_new for each in packaged.objects.values()] == [False]
    assert answers.of("HeadObject")[0]["ExpectedBucketOwner"] == ACCOUNT_ID


def test_missing_bucket_of_user_is_reported(answers, found):
    identity(answers)
    answers.on("s3", "HeadObject", AwsError("404", status=404))
    answers.on("s3", "PutObject", AwsError("NoSuchBucket", status=404))

    with pytest.raises(AwsUnavailableError, match="the bucket mine for large templates does not exist"):
        package(found, TemplateBucket(answers.account, "mine"))


def test_bucket_of_other_account_is_refused(answers, found):
    identity(answers)
    answers.on("s3", "HeadObject", AwsError("403", status=403))
    answers.on("s3", "HeadBucket", AwsError("403", status=403))

    with pytest.raises(AwsUnavailableError, match="belongs to another account"):
        package(found, TemplateBucket(answers.account))


def test_second_deployment_of_artifact_uploads_nothing(live, found, account_id):
    first = package(found, TemplateBucket(live))
    second = package(found, TemplateBucket(live))

    (old,), (new,) = first.objects.values(), second.objects.values()
    assert (old.is_new, new.is_new) == (True, False)
    assert first.template == second.template
    s3 = live.client("s3")
    assert s3.get_object(Bucket=old.bucket, Key=old.key)["Body"].read()[:2] == b"PK"
    rules = s3.get_bucket_lifecycle_configuration(Bucket=old.bucket)["Rules"]
    expiring = [rule["Filter"]["Prefix"] for rule in rules if "Expiration" in rule]
    assert expiring == ["templates/"]
    assert old.key.startswith("artifacts/")
    assert account_id in old.bucket


def test_large_artifact_is_uploaded_in_parts(live, tmp_path):
    content = bytes(9 * 1024 * 1024)
    (tmp_path / "a.txt").write_bytes(content)
    body = json.dumps(
        {"Resources": {"J": {"Type": "AWS::Glue::Job", "Properties": {"Command": {"ScriptLocation": "a.txt"}}}}}
    )

    packaged = package(find_artifacts(Template("t", body), parse(body), tmp_path, root=tmp_path), TemplateBucket(live))

    (stored,) = packaged.objects.values()
    head = live.client("s3").head_object(Bucket=stored.bucket, Key=stored.key)
    assert head["ContentLength"] == len(content)
    assert head["ETag"].endswith('-2"')


def described(name: str, **outputs: str) -> dict[str, object]:
    rows = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    return {"Stacks": [{"StackName": name, "StackStatus": "CREATE_COMPLETE", "CreationTime": 0, "Outputs": rows}]}


def test_each_stack_is_read_once(answers):
    answers.on("cloudformation", "DescribeStacks", described("net", VpcId="vpc-1", SubnetId="subnet-1"))
    wanted = [StackOutput("net", "VpcId"), StackOutput("net", "SubnetId")]
    targets = []

    def account_of(target):
        targets.append(target)
        return answers.account

    assert look_up(wanted, account_of) == dict(zip(wanted, ("vpc-1", "subnet-1"), strict=True))
    assert answers.names() == ["DescribeStacks"]
    assert targets == [""]


def test_unknown_outputs_are_all_named_with_suggestion(answers):
    missing = AwsError("ValidationError", "Stack with id gone does not exist")
    answers.on(
        "cloudformation",
        "DescribeStacks",
        lambda params: missing if params["StackName"] == "gone" else described("net", VpcId="vpc-1"),
    )

    with pytest.raises(InputError) as caught:
        look_up([StackOutput("net", "VpcID"), StackOutput("gone", "A")], lambda _target: answers.account)

    assert caught.value.message.splitlines() == [
        "2 outputs are unknown:",
        "  net.VpcID: stack net has no output VpcID; did you mean VpcId?",
        "  gone.A: stack gone does not exist",
    ]
