"""Stacks of templates in a fleet, in the sandbox."""

from __future__ import annotations

import json

import pytest

from tests.fleets.test_live import stacks

pytestmark = pytest.mark.live

QUEUE = """
Parameters: {Retention: {Type: Number, Default: 345600}}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {MessageRetentionPeriod: !Ref Retention}
Outputs:
  Name: {Value: !GetAtt Queue.QueueName}
"""
TOPIC = """
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties: {DisplayName: {{ title }}}
Outputs:
  Arn: {Value: !Ref Topic}
"""
PARAMETER = """
Parameters:
  First: {Type: String}
  Second: {Type: String, Default: none}
Resources:
  Url:
    Type: AWS::SSM::Parameter
    Properties: {Type: String, Value: !Sub "${First} ${Second}"}
Outputs:
  Value: {Value: !GetAtt Url.Value}
"""
TARGETS = """
name: shop
targets:
  west: {region: eu-west-1}
  main: {region: eu-central-1}
defaults: {target: main}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "queue.yaml").write_text(QUEUE, encoding="utf-8")
    (tmp_path / "topic.yaml.j2").write_text(TOPIC, encoding="utf-8")
    (tmp_path / "parameter.yaml").write_text(PARAMETER, encoding="utf-8")
    return tmp_path


@pytest.fixture
def fleet(here, folder):
    def run(command: str, text: str, *options: str):
        (folder / "fleet.yaml").write_text(TARGETS + text, encoding="utf-8")
        return here(
            command, str(folder / "fleet.yaml"), *options, *(["--no-lint"] if command == "deploy-fleet" else [])
        )

    return run


def value(live, stack: str, output: str) -> object:
    (found,) = live.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return next(each["OutputValue"] for each in found["Outputs"] if each["OutputKey"] == output)


ENVIRONMENT = """
stacks:
  url:
    template: parameter.yaml
    parameters:
      First: !StackOutput queue.Name
      Second: !StackOutput west/alerts.Arn
    tags: {team: web}
    protect: true
  queue: {template: queue.yaml, parameters: {Retention: 0600}}
  alerts: {template: topic.yaml.j2, target: west, vars: {title: "Alerts: all"}}
"""


def test_outputs_travel_between_stacks_and_targets(fleet, live):
    planned = fleet("deploy-fleet", ENVIRONMENT, "--plan")
    deployed = fleet("deploy-fleet", ENVIRONMENT, "--yes")
    again = fleet("deploy-fleet", ENVIRONMENT, "--yes")

    assert planned.code == 0, planned.stderr
    assert "it needs outputs of queue" in planned.stdout or "it needs outputs of alerts" in planned.stdout
    assert deployed.code == 0, deployed.stderr
    queue, arn = str(value(live, "url", "Value")).split(" ")
    assert queue == value(live, "queue", "Name")
    assert arn.startswith("arn:aws:sns:eu-west-1:")
    assert "3 stacks: 3 no changes" in again.stderr
    (url,) = live.client("cloudformation").describe_stacks(StackName="url")["Stacks"]
    assert url["EnableTerminationProtection"]
    tags = {each["Key"]: each["Value"] for each in url["Tags"]}
    assert (tags["team"], tags["exasol-ci-setup:fleet"]) == ("web", "shop")


def test_outputs_of_other_stacks_are_looked_up(fleet, here, folder, live):
    here("deploy-template", str(folder / "queue.yaml"), "--stack-name", "outside", "--yes", "--no-lint")
    text = "stacks: {url: {template: parameter.yaml, parameters: {First: !StackOutput outside.Name}}}\n"

    ran = fleet("deploy-fleet", text, "--yes")
    missing = fleet("deploy-fleet", text.replace("outside.Name", "outside.Nme"), "--plan")

    assert ran.code == 0, ran.stderr
    assert value(live, "url", "Value") == f"{value(live, 'outside', 'Name')} none"
    assert missing.code == 2
    assert "did you mean Name?" in missing.stdout + missing.stderr


def test_selected_stack_uses_outputs_of_deployed_ones(fleet):
    fleet("deploy-fleet", ENVIRONMENT.replace("    protect: true\n", ""), "--yes")

    ran = fleet("deploy-fleet", ENVIRONMENT.replace("{team: web}", "{team: db}"), "--select", "url", "--yes")

    assert ran.code == 0, ran.stderr
    assert "1 stack: 1 done" in ran.stderr


def test_stack_of_template_command_becomes_member(fleet, here, folder):
    here("deploy-template", str(folder / "queue.yaml"), "--yes", "--no-lint")

    ran = fleet("deploy-fleet", "stacks: {queue: {template: queue.yaml}}\n", "--yes")

    assert ran.code == 0, ran.stderr


def test_fifty_stacks_are_deployed_changed_pruned_and_deleted(fleet, live):
    def text(count: int, retention: int = 600) -> str:
        entries = [
            f"  q{number}: {{template: queue.yaml, parameters: {{Retention: {retention if number == 0 else 600}}}}}"
            for number in range(count)
        ]
        entries += [
            f"  p{number}: {{template: parameter.yaml, target: {'west' if number % 2 else 'main'}, parameters: {{First: !StackOutput main/q{number}.Name}}}}"
            for number in range(count)
        ]
        return "\n".join(["stacks:", *entries, "  alerts: {template: topic.yaml.j2, vars: {title: x}}", ""])

    deployed = fleet("deploy-fleet", text(25), "--yes")
    changed = fleet("deploy-fleet", text(25, retention=700), "--yes")
    pruned = fleet("deploy-fleet", text(24, retention=700), "--prune", "--yes", "--allow-data-loss")
    deleted = fleet("delete-fleet", text(24), "--yes", "--output", "json")

    assert deployed.code == 0, deployed.stderr
    assert "51 stacks: 51 done" in deployed.stderr
    assert "51 stacks: 1 done, 50 no changes" in changed.stderr
    assert pruned.code == 0, pruned.stderr
    assert [line.split()[1:] for line in pruned.stdout.splitlines() if "deleted" in line] == [
        ["q24", "deleted"],
        ["p24", "deleted"],
    ] or "2 deleted" in pruned.stderr
    assert deleted.code == 0, deleted.stderr
    assert len(json.loads(deleted.stdout.splitlines()[-1])["stacks"]) == 49
    assert stacks(live) == {}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{template: missing.yaml}", "fleet.yaml:8: stacks.a.template: the file "),
        ("{template: queue.yaml, target: east}", "stacks.a.target: target 'east' does not exist"),
        ("{template: queue.yaml, needs: [bb]}", "stack 'bb' does not exist"),
        ("{template: queue.yaml, parameters: {Retention: {a: b}}}", "use text, a list of texts, or !StackOutput"),
        (
            "{template: queue.yaml, parameters: {Retention: !StackOutput b}}",
            "write STACK.OUTPUT or TARGET/STACK.OUTPUT",
        ),
        ("{template: queue.yaml, parameters: {Retention: !StackOutput east/b.X}}", "target 'east' does not exist"),
        ("{template: queue.yaml, parameters: {Retention: !StackOutput b.Value}}", "cycle"),
        ("{template: queue.yaml, parameters: {Retntion: 1}}", "Retntion"),
    ],
)
def test_mistakes_in_stacks_exit_2(fleet, live, entry, message):
    other = "  b: {template: parameter.yaml, parameters: {First: !StackOutput a.Name}}\n"

    ran = fleet("deploy-fleet", f"stacks:\n  a: {entry}\n{other}", "--plan")

    assert ran.code == 2, ran.stderr
    assert message in ran.stdout + ran.stderr
    assert stacks(live) == {}


def test_prune_keeps_nested_stacks(fleet, here, folder, live):
    (folder / "outer.yaml").write_text(
        "Resources:\n  Inner: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./queue.yaml}}\n",
        encoding="utf-8",
    )
    text = "stacks: {outer: {template: outer.yaml}}\n"
    deployed = fleet("deploy-fleet", text, "--yes")
    (nested,) = [name for name in stacks(live) if name.startswith("outer-Inner")]

    again = fleet("deploy-fleet", text, "--prune", "--yes")
    kept = stacks(live)
    refused = here("delete", nested, "--yes")
    listed = here("list")
    deleted = fleet("delete-fleet", text, "--yes")

    assert deployed.code == 0, deployed.stderr
    assert again.code == 0, again.stderr
    assert kept[nested] == "CREATE_COMPLETE"
    assert "no longer in" not in again.stderr
    assert refused.code == 1
    assert "is nested in stack outer" in refused.stderr
    assert nested not in listed.stdout
    assert deleted.code == 0, deleted.stderr
    assert stacks(live) == {}


def test_all_problems_of_templates_are_reported_before_deployment(fleet, folder, live):
    (folder / "broken.yaml").write_text("Resources: {A: {Type: [\n", encoding="utf-8")
    (folder / "code.yaml").write_text(
        "Resources: {F: {Type: AWS::Lambda::Function, Properties: {Code: ./missing}}}\n", encoding="utf-8"
    )
    text = """
stacks:
  good: {template: queue.yaml}
  unknown: {template: queue.yaml, parameters: {Retntion: 1}}
  missing: {template: parameter.yaml}
  variable: {template: topic.yaml.j2}
  artifact: {template: code.yaml}
  broken: {template: broken.yaml}
"""

    ran = fleet("deploy-fleet", text, "--yes")

    assert ran.code == 2
    for message in ("Retntion", "First", "'title' is undefined", "missing", "broken.yaml"):
        assert message in ran.stderr
    assert ran.stderr.count("fleet.yaml:") == 5
    assert stacks(live) == {}


def test_unknown_outputs_are_all_reported_before_deployment(fleet, live):
    alerts = fleet("deploy-fleet", "stacks: {other: {template: queue.yaml}}\n", "--yes")
    text = """
stacks:
  alerts: {template: topic.yaml.j2, target: west, vars: {title: Alerts}}
  first: {template: parameter.yaml, parameters: {First: !StackOutput alerts.Arn}}
  second: {template: parameter.yaml, parameters: {First: !StackOutput other.Nmae, Second: !StackOutput gone.X}}
  third: {template: parameter.yaml, parameters: {First: !StackOutput second.Value}}
"""

    ran = fleet("deploy-fleet", text, "--yes")
    selected = fleet("deploy-fleet", text, "--yes", "--select", "third")

    assert alerts.code == 0, alerts.stderr
    assert (ran.code, selected.code) == (2, 2)
    for problem in (
        "fleet.yaml:10: stacks.first.parameters.First: main/alerts.Arn: stack alerts does not exist; did you mean west/alerts?",
        "fleet.yaml:11: stacks.second.parameters.First: main/other.Nmae: stack other has no output Nmae; did you mean Name?",
        "fleet.yaml:11: stacks.second.parameters.Second: main/gone.X: stack gone does not exist",
    ):
        assert problem in ran.stderr
    assert "main/second.Value: stack second does not exist; it is in the file, but not selected" in selected.stderr
    assert "to list the stacks of main: `exasol-ci-setup list --region eu-central-1`" in ran.stderr
    assert stacks(live).keys() == {"other"}
