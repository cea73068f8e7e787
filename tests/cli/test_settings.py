"""Options for stack policies and rollback alarms."""

from __future__ import annotations

import json

import pytest

from exasol_ci_setup.cli.options import Tag
from exasol_ci_setup.core.errors import AccessDeniedError
from exasol_ci_setup.stacks.request import rollback_alarms
from tests.answers import AwsError
from tests.stacks.test_deploy_answers import NEW, UPDATE, Aws, run, stack_in

REGISTRY = ("deploy-registry", "--name", "images", "--yes", "--no-lint")
ALARM = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors"
BOTH = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors and delays"
POLICY = {"Statement": [{"Effect": "Deny", "Action": "Update:Replace", "Principal": "*", "Resource": "*"}]}


def test_tag_similar_to_reserved_prefix_is_accepted():
    assert Tag().convert("awsteam=x", None, None) == ("awsteam", "x")


@pytest.fixture
def policy(tmp_path):
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(POLICY, indent=4))
    return str(file)


@pytest.mark.live
def test_second_deploy_with_same_policy_changes_nothing(here, live, policy):
    created = here(*REGISTRY, "--stack-policy", policy)
    again = here(*REGISTRY, "--stack-policy", policy)
    without = here(*REGISTRY)

    assert (created.code, again.code, without.code) == (0, 0, 0)
    assert "stack-policy" in created.stderr
    assert "up to date" in again.stderr
    assert "up to date" in without.stderr
    there = live.client("cloudformation").get_stack_policy(StackName="images")["StackPolicyBody"]
    assert json.loads(there) == POLICY


@pytest.mark.live
def test_policy_change_needs_no_change_set(here, live, policy):
    assert here(*REGISTRY).code == 0

    planned = here(*REGISTRY, "--stack-policy", policy, "--plan")
    ran = here(*REGISTRY, "--stack-policy", policy)

    assert (planned.code, ran.code) == (0, 0)
    assert "stack-policy" in planned.stdout
    cfn = live.client("cloudformation")
    assert json.loads(cfn.get_stack_policy(StackName="images")["StackPolicyBody"]) == POLICY
    assert cfn.list_change_sets(StackName="images")["Summaries"] == []
    statuses = [event["ResourceStatus"] for event in cfn.describe_stack_events(StackName="images")["StackEvents"]]
    assert not [status for status in statuses if "UPDATE" in status]


@pytest.fixture
def calls(live):
    """The names of later calls that change stacks."""
    made: list[str] = []

    def note(model, **_):
        if model.name in {"SetStackPolicy", "ExecuteChangeSet"}:
            made.append(model.name)

    live.session.events.register("before-call.cloudformation", note)
    return made


@pytest.mark.live
def test_new_policy_applies_before_update_and_after_creation(here, policy, tmp_path, calls):
    assert here(*REGISTRY, "--stack-policy", policy).code == 0
    assert calls == ["ExecuteChangeSet", "SetStackPolicy"]
    calls.clear()
    loose = tmp_path / "loose.json"
    loose.write_text('{"Statement": []}', encoding="utf-8")

    ran = here(*REGISTRY, "--stack-policy", str(loose), "--untagged-retention-in-days", "3")

    assert ran.code == 0, ran.stderr
    assert calls == ["SetStackPolicy", "ExecuteChangeSet"]


def test_failed_update_reports_new_policy(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "GetStackPolicy", {})
    answers.on("cloudformation", "SetStackPolicy", {})
    answers.on("cloudformation", "ExecuteChangeSet", AwsError("AccessDenied", "User: x is not authorized", status=403))

    with pytest.raises(AccessDeniedError) as caught:
        run(answers, clock, stack_policy=json.dumps(POLICY))

    assert caught.value.hint.endswith("the stack has its new stack policy already")


@pytest.mark.live
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is no stack policy"),
        (b'{"Statement": [' + b'"x",' * 6000 + b'"x"]}', "is too long"),
        (b"\xff\xfe\xfd{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"Statement": [], "Version": NaN}', "JSON has no NaN"),
        (b"", "is not JSON"),
    ],
)
def test_invalid_policy_is_rejected_before_deployment(here, live, tmp_path, content, says):
    file = tmp_path / "policy.json"
    file.write_bytes(content)

    ran = here(*REGISTRY, "--stack-policy", str(file))

    assert ran.code == 2
    assert says in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.live
def test_policy_with_byte_order_mark_is_accepted(here, live, tmp_path):
    file = tmp_path / "policy.json"
    file.write_text('{"Statement": []}', encoding="utf-8-sig")

    ran = here(*REGISTRY, "--stack-policy", str(file))

    assert ran.code == 0, ran.stderr
    assert live.client("cloudformation").get_stack_policy(StackName="images")["StackPolicyBody"] == '{"Statement": []}'


def test_alarms_and_minutes_reach_change_set(answers, clock):
    Aws(answers, events=UPDATE)

    run(answers, clock, rollback_alarms={ALARM: "AWS::CloudWatch::Alarm"}, monitoring_minutes=15)

    (created,) = answers.of("CreateChangeSet")
    assert created["RollbackConfiguration"] == {
        "RollbackTriggers": [{"Arn": ALARM, "Type": "AWS::CloudWatch::Alarm"}],
        "MonitoringTimeInMinutes": 15,
    }


@pytest.mark.parametrize(("minutes", "change_sets"), [(15, 0), (20, 1)])
def test_same_alarms_change_nothing(answers, clock, minutes, change_sets):
    Aws(answers, events=UPDATE)
    stack = stack_in("UPDATE_COMPLETE")
    stack["Stacks"][0]["RollbackConfiguration"] = {
        "RollbackTriggers": [{"Arn": ALARM, "Type": "AWS::CloudWatch::Alarm"}],
        "MonitoringTimeInMinutes": 15,
    }
    answers.on("cloudformation", "DescribeStacks", stack)
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": NEW})
    tags = {"exasol-ci-setup:construct": "Test"}

    run(
        answers,
        clock,
        tags=tags,
        rollback_alarms={ALARM: "AWS::CloudWatch::Alarm"},
        monitoring_minutes=minutes,
        approve=lambda _plan: False,
    )

    assert len(answers.of("CreateChangeSet")) == change_sets


def test_kind_of_alarm_comes_from_cloudwatch(answers):
    answers.on(
        "cloudwatch",
        "DescribeAlarms",
        {"MetricAlarms": [{"AlarmArn": ALARM}], "CompositeAlarms": [{"AlarmArn": BOTH, "AlarmRule": "x"}]},
    )

    found = rollback_alarms(answers.account, [BOTH, ALARM])

    assert found == {BOTH: "AWS::CloudWatch::CompositeAlarm", ALARM: "AWS::CloudWatch::Alarm"}
    (asked,) = answers.of("DescribeAlarms")
    assert asked["AlarmNames"] == ["errors and delays", "errors"]


@pytest.mark.live
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--rollback-alarm", ALARM), "does not exist"),
        (("--rollback-alarm", "errors"), "use the ARN of a CloudWatch alarm"),
        (("--monitoring-minutes", "5"), "add --rollback-alarm"),
        (tuple(["--rollback-alarm", ALARM] * 6), "at most 5, got 6"),
    ],
)
def test_invalid_alarm_is_rejected_before_deployment(here, live, options, says):
    ran = here(*REGISTRY, *options)

    assert ran.code == 2
    assert says in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.live
def test_express_mode_rejects_on_failure_options(here):
    refused = here(*REGISTRY, "--express", "--on-failure", "keep")
    assert refused.code == 2
    assert "does not work with --express" in refused.stderr

    ran = here(*REGISTRY, "--express")
    assert ran.code == 0, ran.stderr
    assert "stack images is deployed; its resources may not be ready yet" in ran.stderr
