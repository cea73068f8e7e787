"""Options of a deployment in `deploy-fleet` and `delete-fleet`, and runs that resume others, in the sandbox."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.fleets.test_live import stacks

pytestmark = pytest.mark.live

TOPIC = "Resources: {Topic: {Type: AWS::SNS::Topic}}\nOutputs: {Arn: {Value: !Ref Topic}}\n"
FLEET = """
targets:
  main: {region: eu-central-1}
  west: {region: eu-west-1}
defaults: {target: main, tags: {team: web, cost: "1"}}
stacks:
  one: {template: topic.yaml, protect: true}
  two: {template: topic.yaml}
  three: {template: topic.yaml, target: west}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "topic.yaml").write_text(TOPIC, encoding="utf-8")
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    return str(tmp_path / "fleet.yaml")


@pytest.fixture
def stack(live):
    def find(name: str) -> Any:
        (found,) = live.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return found

    return find


def tags(stack: Any) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in stack["Tags"]}


def test_options_override_values_of_file(here, file, stack):
    ran = here("deploy-fleet", file, "--yes", "--no-lint", "--tag", "cost=2", "--no-termination-protection")

    assert ran.code == 0, ran.stderr
    assert tags(stack("one")).items() >= {"team": "web", "cost": "2"}.items()
    assert stack("one")["EnableTerminationProtection"] is False
    again = here("deploy-fleet", file, "--yes", "--no-lint")
    assert "3 stacks: 3 done" in again.stderr
    assert stack("one")["EnableTerminationProtection"] is True
    assert tags(stack("one"))["cost"] == "1"


def test_alarm_applies_to_stacks_of_its_region(here, file, live):
    live.client("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        MetricName="Errors",
        Namespace="app",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Sum",
    )
    (alarm,) = live.client("cloudwatch").describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
    elsewhere = alarm["AlarmArn"].replace("eu-central-1", "us-east-1")

    refused = here("deploy-fleet", file, "--yes", "--no-lint", "--rollback-alarm", elsewhere)
    ran = here("deploy-fleet", file, "--plan", "--no-lint", "--rollback-alarm", alarm["AlarmArn"], "--output", "json")

    assert refused.code == 2
    assert f"alarm {elsewhere} is in another account or region than all stacks" in refused.stderr
    assert ran.code == 0, ran.stderr
    plans = {each["name"]: json.dumps(each) for each in ran.records if each["type"] == "plan"}
    assert plans.keys() == {"main/one", "main/two", "west/three"}
    assert stacks(live) == {}


def test_protected_stacks_are_all_named_with_working_commands(here, file, live):
    assert here("deploy-fleet", file, "--yes", "--no-lint", "--termination-protection").code == 0

    refused = here("delete-fleet", file, "--yes")

    assert refused.code == 1
    for name in ("one", "two", "three"):
        assert f"stack {name} is protected against deletion" in refused.stderr
        region = "eu-west-1" if name == "three" else "eu-central-1"
        command = "aws cloudformation update-termination-protection --no-enable-termination-protection"
        assert f"`{command} --stack-name {name} --region {region}`" in refused.stderr
    assert stacks(live).keys() == {"one", "two"}
    # As the hint says: with the option of the command that deploys.
    assert here("deploy-fleet", file, "--yes", "--no-lint", "--no-termination-protection").code == 0
    assert here("delete-fleet", file, "--yes").code == 0
    assert stacks(live) == {}


def until_creating(live) -> None:
    """Wait until a stack is being created. The table of the command shows it in other words."""
    deadline = time.monotonic() + 60
    while "CREATE_IN_PROGRESS" not in stacks(live).values():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("option", ["--plan", ""])
def test_followed_creation_is_reported_as_done(begin, file, operations, live, option):
    operations.hold()
    arguments = ("deploy-fleet", file, "--no-lint", "--select", "one", "--no-termination-protection")
    with begin(*arguments, "--yes") as killed:
        until_creating(live)
        killed.process.kill()

    with begin(*arguments, *([option] if option else [])) as again:
        again.wait_for("following the operation in progress")
        operations.release()
        code = again.end()

    assert code == 0, again.text
    assert "1 stack: 1 done" in again.text
    assert "[y/N]" not in again.text
