"""The programs in `examples/` have types, and run in the sandbox."""

from __future__ import annotations

import os
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


def test_examples_pass_mypy():
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--no-error-summary"]
    for name in RESOURCES:
        ran = subprocess.run(
            [*command, str(EXAMPLES / name / "program.py")], capture_output=True, text=True, check=False
        )
        assert ran.stdout == "", name


@pytest.mark.live
@pytest.mark.parametrize("name", RESOURCES)
def test_example_is_deployed_unchanged_and_deleted(
    name: str, live: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    (tmp_path / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    monkeypatch.setenv("SSH_KEY", str(tmp_path / "key"))
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> str:
        session = Session()
        session.__dict__["account"] = live
        ran = CliRunner().invoke(cli, [*arguments, "program.py"], prog_name=PROGRAM, obj=session)
        assert ran.exit_code == 0, ran.output
        return ran.output

    run("plan")
    run("up", "--yes", "--allow-broadening")
    resources = live.client("cloudformation")
    found = {
        resource["ResourceType"]
        for stack in resources.describe_stacks()["Stacks"]
        for resource in resources.describe_stack_resources(StackName=stack["StackName"])["StackResources"]
    }
    assert found >= RESOURCES[name]
    assert "up to date" in run("up", "--yes")
    run("down", "--yes", "--empty")
    assert resources.describe_stacks()["Stacks"] == []
