"""The programs in `examples/` run in the sandbox; tests/test_library_page.py checks their types."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from tests.templates.samples import PUBLIC_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws.session import Account

EXAMPLES = Path(__file__).parents[1] / "examples"
RESOURCES = {
    "web_app": {
        *("AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::ElasticLoadBalancingV2::LoadBalancer"),
        *("AWS::ElasticLoadBalancingV2::ListenerRule", "AWS::SecretsManager::Secret", "AWS::ECS::Service"),
    },
    "worker": {"AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::Scheduler::Schedule", "AWS::ECS::Service"},
    "gpu": {"AWS::EC2::Instance", "AWS::EC2::EIP", "AWS::IAM::InstanceProfile"},
}


def test_each_example_is_listed():
    folders = {path.parent.name for path in EXAMPLES.glob("*/program.py")}
    assert folders == set(RESOURCES)
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}/program.py)" in readme for name in folders)


@pytest.fixture
def run(live: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Copy an example, and run a command of its program there."""
    (tmp_path / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    monkeypatch.setenv("SSH_KEY", str(tmp_path / "key"))

    def command(name: str, *arguments: str) -> str:
        if not (tmp_path / name).exists():
            shutil.copytree(EXAMPLES / name, tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        session = Session()
        session.__dict__["account"] = live
        ran = CliRunner().invoke(cli, [*arguments, "program.py"], prog_name=PROGRAM, obj=session)
        assert ran.exit_code == 0, ran.output
        return ran.output

    return command


@pytest.mark.live
@pytest.mark.parametrize("name", RESOURCES)
def test_example_is_deployed_unchanged_and_deleted(name: str, live: Account, run: Callable[..., str]):
    run(name, "plan")
    run(name, "up", "--yes", "--allow-broadening")
    resources = live.client("cloudformation")
    found = {
        resource["ResourceType"]
        for stack in resources.describe_stacks()["Stacks"]
        for resource in resources.describe_stack_resources(StackName=stack["StackName"])["StackResources"]
    }
    assert found >= RESOURCES[name]
    assert "up to date" in run(name, "up", "--yes")
    run(name, "down", "--yes", "--empty")
    assert resources.describe_stacks()["Stacks"] == []


@pytest.mark.live
def test_worker_stores_result_of_message_and_deletes_old_results(
    live: Account, account_id: str, tmp_path: Path, run: Callable[..., str]
):
    run("worker", "up", "--yes", "--allow-broadening")
    stack = live.client("cloudformation").describe_stacks(StackName="jobs-data")["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    # The endpoint in the URL of a queue is that of the sandbox's default port.
    queue = f"{live.endpoint_url}/{account_id}/{outputs['QueueUrl'].rpartition('/')[2]}"
    sqs, s3 = live.session.client("sqs", endpoint_url=live.endpoint_url), live.client("s3")
    sent = sqs.send_message(QueueUrl=queue, MessageBody="first line\nsecond\tline")["MessageId"]

    # Release 1 of the AWS CLI does not read the endpoint of SQS from the environment.
    tools = tmp_path / "tools"
    tools.mkdir()
    command = shlex.join([str(Path(sys.executable).with_name("aws")), "--endpoint-url", str(live.endpoint_url)])
    (tools / "aws").write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    (tools / "aws").chmod(0o755)

    def job(name: str, **variables: str) -> str:
        environment = {
            **os.environ,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": account_id,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": live.region,
            "QUEUE_URL": queue,
            "BUCKET": outputs["BucketName"],
            **variables,
        }
        path = tmp_path / "worker" / "job" / name
        ran = subprocess.run(["sh", str(path)], env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert f"stored the result of message {sent}" in job("work", ONCE="1", WAIT="1")
    found = s3.get_object(Bucket=outputs["BucketName"], Key=sent)["Body"].read().decode()
    assert found == "FIRST LINE\nSECOND\tLINE\n"
    assert "stored" not in job("work", ONCE="1", WAIT="0")

    assert "delete:" not in job("clean-up")
    assert f"delete: s3://{outputs['BucketName']}/{sent}" in job("clean-up", DAYS="-1")
    assert "Contents" not in s3.list_objects_v2(Bucket=outputs["BucketName"])
