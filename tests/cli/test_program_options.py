"""Options of the engine on `up`, `plan` and `down`."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.live

PROGRAM = """
    from exasol_ci_setup import Asset, Registry, Scope

    def hangar_run():
        scope = Scope(name="opt", region="eu-central-1", tags={"team": "web"})
        Registry(scope=scope, name="reg").deploy()
        Asset(scope=scope, name="data").deploy()
"""
ROLE = "arn:aws:iam::123456789012:role/deployer"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:events"
POLICY = {"Statement": [{"Effect": "Deny", "Action": "Update:Delete", "Principal": "*", "Resource": "*"}]}


@pytest.fixture
def sent(live) -> list[tuple[str, dict[str, Any]]]:
    """The operations that changed something, with their parameters."""
    made: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        made.append((model.name, params))

    live.session.events.register("before-parameter-build.cloudformation", note)
    return made


def of(sent: list[tuple[str, dict[str, Any]]], name: str) -> list[dict[str, Any]]:
    return [params for called, params in sent if called == name]


def test_settings_apply_to_each_stack_of_program(here, live, write, tmp_path, sent):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY), encoding="utf-8")
    options = (
        *("--tag", "cost=42", "--tag", "team=data", "--role-arn", ROLE, "--notification-arn", TOPIC),
        *("--stack-policy", str(policy), "--termination-protection", "--on-failure", "delete"),
        "--no-lint",
    )
    program = write(PROGRAM)

    first = here("up", program, "--yes", *options)
    planned = here("plan", program, *(each for each in options if each not in {"--on-failure", "delete"}))
    second = here("up", program, "--yes", *options)

    assert first.code == 0, first.stderr
    cfn = live.client("cloudformation")
    stacks = cfn.describe_stacks()["Stacks"]
    assert len(stacks) == 2
    for stack in stacks:
        tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
        assert (tags["cost"], tags["team"], tags["exasol-ci-setup:scope"]) == ("42", "data", "opt")
        assert stack["EnableTerminationProtection"]
        assert json.loads(cfn.get_stack_policy(StackName=stack["StackName"])["StackPolicyBody"]) == POLICY
    created = [each for each in of(sent, "CreateChangeSet") if each["ChangeSetType"] == "CREATE"]
    assert [(each["RoleARN"], each["NotificationARNs"], each["OnStackFailure"]) for each in created] == [
        (ROLE, [TOPIC], "DELETE")
    ] * 2
    assert (planned.code, planned.stdout) == (0, ""), planned.stderr
    assert "2 stacks up to date" in second.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--monitoring-minutes", "5"), "add --rollback-alarm"),
        (("--stack-policy", "/dev/null"), "is not JSON"),
        (("--tag", "aws:x=1"), "aws:"),
        (("--express",), "No such option"),
    ],
)
def test_invalid_options_of_up_exit_2_without_changes(here, live, write, options, said):
    ran = here("up", write(PROGRAM), "--yes", "--no-lint", *options)

    assert ran.code == 2
    assert said in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_plan_from_template_alone_shows_settings(here, write):
    program = write("""
        from exasol_ci_setup import Asset, Cluster, Container, Scope, Service

        def hangar_run():
            scope = Scope(name="opt", region="eu-central-1")
            data = Asset(scope=scope, name="data")
            web = Service(name="web", container=Container(source="nginx", tag="1"), env_vars={"BUCKET": data.bucket_name})
            Cluster(scope=scope, name="web", services=[web]).deploy()
    """)

    ran = here("plan", program, "--no-lint", "--tag", "cost=42", "--termination-protection")

    assert ran.code == 0, ran.stderr
    [_, plan] = ran.stdout.split("Plan for stack opt-web (new)")
    assert "planned from the template alone" in plan
    assert '+ tags.cost: "42"' in plan
    assert "~ termination-protection: false → true" in plan


def test_up_adopts_stack_of_other_tool_only_with_option(here, live, write):
    cfn = live.client("cloudformation")
    cfn.create_stack(StackName="opt-reg", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}')

    refused = here("up", write(PROGRAM), "--yes", "--no-lint")
    adopted = here("up", write(PROGRAM), "--yes", "--no-lint", "--adopt")

    assert refused.code == 1
    assert "--adopt" in refused.stderr
    assert adopted.code == 0, adopted.stderr
    tags = {tag["Key"]: tag["Value"] for tag in cfn.describe_stacks(StackName="opt-reg")["Stacks"][0]["Tags"]}
    assert tags["exasol-ci-setup:construct"] == "Registry"


@pytest.mark.parametrize("delete", [("down",), ("up", "--prune", "--allow-data-loss")])
def test_role_applies_to_deletions(here, write, sent, delete):
    here("up", write(PROGRAM), "--yes", "--no-lint", "--role-arn", ROLE)
    command, *more = delete
    program = write(PROGRAM if command == "down" else PROGRAM.replace('Asset(scope=scope, name="data").deploy()', ""))
    no_lint = [] if command == "down" else ["--no-lint"]

    ran = here(command, program, "--yes", *more, *no_lint, "--role-arn", ROLE)

    assert ran.code == 0, ran.stderr
    assert {each["RoleARN"] for each in of(sent, "DeleteStack")} == {ROLE}


def test_timed_out_deletion_exits_7(here, write, operations):
    here("up", write(PROGRAM), "--yes", "--no-lint")
    operations.hold()

    ran = here("down", write(PROGRAM), "--yes", "--timeout", "1s")

    assert ran.code == 7, ran.stderr
    assert "AWS continues with it" in ran.stderr


def test_missing_alarm_of_second_region_exits_2_before_first_stack(here, live, write):
    """The stacks of the first region have an alarm that exists, and would be deployed before."""
    live.client("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        MetricName="Errors",
        Namespace="Own",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Sum",
    )
    [alarm] = live.client("cloudwatch").describe_alarms()["MetricAlarms"]
    missing = alarm["AlarmArn"].replace("eu-central-1", "eu-west-1")
    program = write("""
        from exasol_ci_setup import Registry, Scope

        def hangar_run():
            for region in ("eu-central-1", "eu-west-1"):
                Registry(scope=Scope(name=f"opt-{region}", region=region), name="images").deploy()
    """)

    ran = here("up", program, "--yes", "--no-lint", "--rollback-alarm", alarm["AlarmArn"], "--rollback-alarm", missing)

    assert ran.code == 2
    assert f"alarm {missing} does not exist" in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_up_names_types_that_were_not_compared(here, live, write):
    program = write("""
        from exasol_ci_setup import Cluster, Container, Scope, Service

        def hangar_run():
            services = [Service(name=name, container=Container(source="nginx", tag="1")) for name in ("a", "b")]
            Cluster(scope=Scope(name="opt", region="eu-central-1"), name="web", services=services).deploy()
    """)
    here("up", program, "--yes", "--no-lint")
    found = live.client("ecs").update_service(cluster="opt-web-Cluster", service="a", desiredCount=3)["service"]
    assert found["desiredCount"] == 3

    for command in (("up", "--yes", "--no-lint"), ("plan", "--no-lint")):
        ran = here(command[0], program, *command[1:])
        assert "1 stack up to date" in ran.stderr
        assert (
            "\nnot compared with the templates, because CloudFormation cannot: AWS::ECS::Cluster, AWS::ECS::Service (2), "
            in ran.stderr
        )
