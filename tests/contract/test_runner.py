"""The program that runs the contract tests: its preview, its refusals, the deletion of leftovers, and the evidence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from exasol_ci_setup.access.deployer import LARGEST_POLICY, size
from exasol_ci_setup.access.resource_arns import Place
from tests.answers import AwsError
from tests.contract import evidence, preview, scenario
from tests.contract.__main__ import main
from tests.contract.conftest import create_github_secret
from tests.contract.endpoint import environment
from tests.contract.scenario import TAG

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
ACCOUNT = "711122224444"


class Ran(NamedTuple):
    """The exit code and the output of a run."""

    code: object
    stdout: str
    stderr: str


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Return a function that runs `python -m tests.contract` in this process, without credentials, except those in `more`."""

    def run(*words: str, **more: str) -> Ran:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["tests.contract", *words])
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            code: object = main()
        except SystemExit as end:
            code = end.code
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def shown():
    """The output of a dry run."""
    return preview.text(Place("111122223333", "eu-central-1"))


def test_dry_run_needs_no_credentials(program):
    ran = program("aws", "--dry-run", "--region", "eu-central-1", "--account", "111122223333")

    assert ran.code == 0, ran.stderr
    assert "contract-images: ECR::Repository" in ran.stdout
    assert json.loads(ran.stdout[ran.stdout.index("\n[\n") :])[0]["Version"] == "2012-10-17"


def test_dry_run_writes_each_policy_to_file_and_prints_commands(tmp_path: Path, program):
    ran = program(
        *("aws", "--dry-run", "--region", "eu-central-1", "--account", ACCOUNT, "--into", str(tmp_path / "new"))
    )

    assert ran.code == 0, ran.stderr
    files = sorted((tmp_path / "new").iterdir())
    documents = [json.loads(path.read_text()) for path in files]
    place = Place(ACCOUNT, "eu-central-1")
    assert documents == preview.policy(preview.stacks(place), place)
    assert all(size(each) <= LARGEST_POLICY for each in documents)
    assert ran.stdout.splitlines()[-len(files) :] == [
        f"aws iam create-policy --policy-name contract-{number} --policy-document file://{path}"
        for number, path in enumerate(files, 1)
    ]


def test_cost_of_run_is_below_one_dollar(shown):
    total = re.search(r"at most ([0-9.]+) USD", shown)

    assert total is not None
    assert 0.05 < float(total[1]) < 1


def test_each_document_of_policy_can_be_attached():
    place = Place("111122223333", "eu-central-1")
    documents = preview.policy(preview.stacks(place), place)

    # A user or a role can have ten managed policies.
    assert len(documents) <= 10
    assert all(size(each) <= LARGEST_POLICY for each in documents)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name the account"),
        (("--account", "12"), "name the account"),
        (("--account", "111122223333"), "name the region"),
    ],
)
def test_run_without_account_or_region_is_refused(options, message, program):
    ran = program("clean", *options)

    assert (ran.code, ran.stdout) == (2, "")
    assert message in ran.stderr


@pytest.fixture
def credentials(server):
    """The environment of an account in the sandbox, used in place of AWS."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.mark.live
def test_run_in_other_account_is_refused(credentials, program):
    ran = program("clean", "--region", "eu-central-1", "--account", "111122223333", **credentials)

    assert ran.code == 2
    assert f"belong to account {ACCOUNT}, not to 111122223333: nothing was created" in ran.stderr


@pytest.mark.live
def test_leftovers_are_listed_and_deleted(server, credentials, program):
    from exasol_ci_setup.aws.session import connect  # noqa: PLC0415 - boto3 is slow to import

    account = connect(region="eu-central-1", endpoint_url=server.url, access_key=(ACCOUNT, "test"))
    cloudformation, s3, logs = (account.client(name) for name in ("cloudformation", "s3", "logs"))
    ecr, secrets = (account.client(name) for name in ("ecr", "secretsmanager"))
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    tags: Any = [{"Key": TAG[0], "Value": TAG[1]}, {"Key": "exasol-ci-setup:name", "Value": "left"}]
    cloudformation.create_stack(StackName="left-behind", TemplateBody=body, Tags=tags)
    cloudformation.create_stack(StackName="of-user", TemplateBody=body)
    place: Any = {"LocationConstraint": "eu-central-1"}
    bucket = f"contract-templates-{ACCOUNT}-eu-central-1"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    logs.create_log_group(logGroupName="/contract/import")
    ecr.create_repository(repositoryName="contract-images")
    secrets.create_secret(Name="contract-github", SecretString="left")
    # Names of the user that begin alike.
    cloudformation.create_stack(StackName="contract-archive", TemplateBody=body)
    s3.create_bucket(Bucket="contract-source-code", CreateBucketConfiguration=place)
    logs.create_log_group(logGroupName="/contract/imports")
    secrets.create_secret(Name="contract-database", SecretString="of user")
    words = ("clean", "--region", "eu-central-1", "--account", ACCOUNT)

    refused = program(*words, **credentials)
    assert refused.code == 2
    assert "confirmation is needed" in refused.stderr
    ran = program(*words, "--yes", **credentials)

    assert ran.code == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "stack left-behind",
        f"bucket {bucket}",
        "log group /contract/import",
        "repository contract-images",
        "secret contract-github",
    ]
    stacks = cloudformation.describe_stacks()["Stacks"]
    assert {each["StackName"] for each in stacks} == {"of-user", "contract-archive"}
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == ["contract-source-code"]
    assert [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]] == ["/contract/imports"]
    assert [each["Name"] for each in secrets.list_secrets()["SecretList"] if "contract" in each["Name"]] == [
        "contract-database"
    ]


def test_names_of_leftovers_include_each_stack_bucket_and_log_group():
    place = Place("111122223333", "eu-central-1")
    stacks = preview.stacks(place)

    assert {each.name for each in stacks} <= scenario.STACKS
    for stack in stacks:
        for logical_id, resource in stack.template["Resources"].items():
            if resource["Type"] == "AWS::S3::Bucket":
                assert scenario.BUCKETS.fullmatch(f"{stack.name}-{logical_id}-1a2b3c".lower())
    named = {
        arn.partition("log-group:")[2].removesuffix(":*").removesuffix("*")
        for document in preview.policy(stacks, place)
        for statement in document["Statement"]
        if "logs:PutLogGroupDeletionProtection" in statement["Action"]
        for arn in statement["Resource"]
    }
    assert {name for name in named if not name.startswith(scenario.GROUPS)} == set()


def test_missing_credentials_are_one_line():
    # A process, as `make` starts it.
    words = ("clean", "--region", "eu-central-1", "--account", "111122223333", "--profile", "no-such-profile")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.contract", *words],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )

    assert ran.returncode == 2
    assert ran.stderr.startswith("error: AWS profile 'no-such-profile' does not exist\nhint: ")


def test_secret_that_another_worker_creates_is_used(answers):
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException"))
    answers.on("secretsmanager", "CreateSecret", AwsError("ResourceExistsException"))

    create_github_secret(answers.account.client("secretsmanager"))

    assert answers.names() == ["DescribeSecret", "CreateSecret"]


def report(when: str, outcome: str, **more: object) -> Any:
    values: dict[str, object] = {"longrepr": None, "longreprtext": "", "user_properties": [], **more}
    return SimpleNamespace(
        nodeid="tests/contract/test_stacks.py::test_new_stack_is_deployed[registry]",
        when=when,
        duration=1.0,
        skipped=outcome == "skipped",
        failed=outcome == "failed",
        **values,
    )


def test_evidence_has_messages_and_no_account(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorder = evidence.Recorder()
    command = {
        "command": "deploy-registry",
        "exit_code": 1,
        "seconds": 2.0,
        "messages": [f"role {ACCOUNT}", "ASIA" + "A" * 16],
    }
    for phase in (
        report("setup", "passed"),
        report("call", "failed", longreprtext=f"E   AssertionError: exit code 1\nE   error: denied to {ACCOUNT}"),
        report("teardown", "passed", user_properties=[("command", json.dumps(command))]),
    ):
        recorder.pytest_runtest_logreport(phase)

    page = evidence.write(
        recorder, kind="aws", region="eu-central-1", account=ACCOUNT, leftovers=[], seconds=60, complete=True
    )

    texts = page.read_text() + page.with_suffix(".json").read_text()
    assert ACCOUNT not in texts
    assert "A" * 16 not in texts
    assert "role 111122223333" in texts
    found = json.loads(page.with_suffix(".json").read_text())
    assert found["counts"] == {"failed": 1}
    assert found["cases"]["stacks: new_stack_is_deployed[registry]"]["seconds"] == 3.0
    assert page.parent.name == "evidence"


def test_expected_failure_that_passes_is_failure():
    recorder = evidence.Recorder()
    recorder.pytest_runtest_logreport(report("call", "skipped", wasxfail="AWS differs"))
    assert recorder.counts == {"failed as expected": 1}
    recorder.pytest_runtest_logreport(report("call", "failed", longreprtext="[XPASS(strict)] AWS differs"))
    assert recorder.counts == {"failed": 1}
