"""Plans of stacks with nested stacks, answered inside botocore."""

from __future__ import annotations

from typing import Any

import pytest

from exasol_ci_setup.cli.render import show
from exasol_ci_setup.core.errors import InputError, TemplateRejectedError
from exasol_ci_setup.core.stacks import Outcome, Plan
from tests.answers import AwsError
from tests.reporters import RecordingReporter
from tests.stacks.test_deploy_answers import BEGIN, ID, SET, UPDATE, Aws, operations, press, run

STACK = "AWS::CloudFormation::Stack"
INNER_ID = ID.replace("Slc", "Slc-Inner")
INNER_SET = SET.replace("exasol-ci-setup-x", "exasol-ci-setup-x-Inner")
DEEP_SET = SET.replace("exasol-ci-setup-x", "exasol-ci-setup-x-Deep")
SECOND_SET = SET.replace("exasol-ci-setup-x", "exasol-ci-setup-y")
OUTER = 'Resources: {Inner: {Type: "AWS::CloudFormation::Stack", Properties: {TemplateURL: "https://s3/%s.yaml"}}}'
ROLE = (
    'Resources: {R: {Type: "AWS::IAM::Role", Properties: {AssumeRolePolicyDocument: {}, Policies: [{PolicyName: p,'
    'PolicyDocument: {Statement: [{Effect: Allow, Action: "s3:*", Resource: "*"}]}}]}}}'
)
UNKNOWN = "Usage of {{IntrinsicFunction://Fn::ImportValue}} is not allowed"
FAILED = f"Nested change set {INNER_SET} was not successfully created: Currently in FAILED."


def changed(name: str, kind: str = "AWS::SNS::Topic", action: str = "Modify", **more: Any) -> Any:
    return {
        "Type": "Resource",
        "ResourceChange": {"Action": action, "LogicalResourceId": name, "ResourceType": kind, **more},
    }


def nested(name: str, change_set: str = "", action: str = "Modify") -> Any:
    more = {"ChangeSetId": change_set} if change_set else {}
    there = {} if action == "Add" else {"PhysicalResourceId": INNER_ID}
    return changed(name, STACK, action, **more, **there)


class Nested(Aws):
    """CloudFormation with a stack that contains Inner. `sets` has the nested change sets by ARN: the first page, or all pages.

    The nested stacks have one resource, of the type `holds`.
    """

    def __init__(self, answers, sets=None, *, templates=None, holds="AWS::SNS::Topic", **more):
        super().__init__(answers, events=UPDATE, **more)
        self.sets = {INNER_SET: {"Changes": [changed("Topic")]}} if sets is None else sets
        self.templates = templates or {}
        self.root = self.change_set(Changes=[nested("Inner", INNER_SET)])
        answers.on("cloudformation", "DescribeChangeSet", self.describe)
        answers.on("cloudformation", "GetTemplate", self.template)
        resource = {
            "LogicalResourceId": "Held",
            "PhysicalResourceId": "held",
            "ResourceType": holds,
            "ResourceStatus": "CREATE_COMPLETE",
            "LastUpdatedTimestamp": BEGIN,
        }
        answers.on("cloudformation", "ListStackResources", {"StackResourceSummaries": [resource]})

    def describe(self, params):
        described = self.sets.get(params["ChangeSetName"])
        if isinstance(described, list):
            described = described[int(params.get("NextToken", 0))]
        return self.root if described is None else described

    def template(self, params):
        which = params.get("ChangeSetName") or params["StackName"]
        return {"TemplateBody": self.templates.get(which, OUTER % "old" if which == "Slc" else "Resources: {}")}

    def stacks(self, params):
        if params["StackName"] == INNER_ID:
            described = {"StackName": "Slc-Inner", "StackId": INNER_ID, "CreationTime": BEGIN}
            return {"Stacks": [{**described, "StackStatus": "UPDATE_COMPLETE"}]}
        return super().stacks(params)


def planned(answers, clock, **more) -> Plan:
    reporter = more.pop("shown", None) or RecordingReporter(lambda _plan: False)
    run(answers, clock, body=OUTER % "new", shown=reporter, **more)
    plan: Plan = reporter.plans[0]
    return plan


def created(answers):
    return answers.of("CreateChangeSet")


def test_nested_change_sets_are_requested_only_for_nested_stacks(answers, clock):
    Nested(answers)
    planned(answers, clock)
    Aws(answers, events=UPDATE)
    run(answers, clock)

    assert [params.get("IncludeNestedStacks") for params in created(answers)] == [True, None]


def test_changes_in_nested_stacks_are_listed_below_them(answers, clock):
    inner = [
        {"Changes": [changed("Topic", Replacement="True")], "NextToken": "1"},
        {"Changes": [nested("Deep", DEEP_SET)]},
    ]
    Nested(answers, {INNER_SET: inner, DEEP_SET: {"Changes": [changed("Queue", "AWS::SQS::Queue", "Remove")]}})

    plan = planned(answers, clock)

    assert list(plan.every_change) == ["Inner", "Inner/Topic", "Inner/Deep", "Inner/Deep/Queue"]
    lines = show.plan(plan, unicode=False)
    at = next(number for number, line in enumerate(lines) if "~ Inner" in line)
    bare = [line.replace("\x1b[33m", "").replace("\x1b[35m", "").replace("\x1b[31m", "") for line in lines[at:]]
    bare = [line.replace("\x1b[0m", "").rstrip() for line in bare if "TemplateURL" not in line]
    assert bare[:4] == [
        "~ Inner  AWS::CloudFormation::Stack",
        "    +- Topic  AWS::SNS::Topic  (replacement)",
        "    ~ Deep   AWS::CloudFormation::Stack",
        "        - Queue  AWS::SQS::Queue  (data loss: its messages)",
    ]
    assert "0 to add, 2 to change, 1 to remove, 1 to replace, 1 with data loss" in lines[-1]


def test_broader_access_in_nested_stack_is_listed(answers, clock):
    Nested(answers, templates={INNER_SET: ROLE})

    broadening, *_ = planned(answers, clock).broadenings

    assert broadening.logical_id == "Inner/R"
    assert broadening.message == "Inner: role R may s3:* on every resource"


def test_existing_access_of_nested_stack_is_not_listed(answers, clock):
    Nested(answers, templates={INNER_SET: ROLE, INNER_ID: ROLE})

    assert planned(answers, clock).broadenings == ()


def test_new_nested_stack_has_no_previous_template(answers, clock):
    aws = Nested(answers, templates={INNER_SET: ROLE})
    aws.root = aws.change_set(Changes=[nested("Inner", INNER_SET, "Add")])

    broadening, *_ = planned(answers, clock).broadenings

    assert broadening.logical_id == "Inner/R"


def test_unreadable_nested_change_set_counts_as_broader_access(answers, clock):
    Nested(answers)
    denied = AwsError("AccessDenied", "no", status=403)
    answers.disturb = lambda call: denied if call.params.get("ChangeSetName") == INNER_SET else None

    plan = planned(answers, clock)

    assert plan.notes == (
        "the changes in nested stack Inner are not available: AWS does not allow DescribeChangeSet: no",
    )
    assert [(each.kind, each.logical_id, each.public) for each in plan.broadenings] == [
        ("nested-stack", "Inner", False)
    ]


def test_endpoint_without_nested_change_sets_leaves_changes_unknown(answers, clock):
    aws = Nested(answers)
    aws.root = aws.change_set(Changes=[nested("Inner")])

    plan = planned(answers, clock)

    assert plan.changes[0].nested == ()
    assert [each.message for each in plan.broadenings] == [
        "nested stack Inner may broaden access: its changes are unknown"
    ]


RETAINED = "Resources: {Held: {Type: T, DeletionPolicy: Retain}}"


@pytest.mark.parametrize(
    ("root", "template", "lost"),
    [
        (nested("Inner", action="Remove"), "Resources: {}", ("Inner/Held",)),
        (nested("Inner", action="Remove"), RETAINED, ()),
        (nested("Inner"), "Resources: {}", ("Inner",)),
        (nested("Inner", action="Add"), "Resources: {}", ()),
    ],
    ids=["removed", "removed-and-retained", "unseen", "new"],
)
def test_data_in_nested_stack_counts(answers, clock, root, template, lost):
    aws = Nested(answers, templates={INNER_ID: template}, holds="AWS::DynamoDB::Table")
    aws.root = aws.change_set(Changes=[root])

    assert planned(answers, clock).data_loss == lost


def test_policies_of_nested_templates_count(answers, clock):
    removed, replaced = (
        changed(name, "AWS::DynamoDB::Table", action, **more)
        for name, action, more in (("Old", "Remove", {}), ("Table", "Modify", {"Replacement": "True"}))
    )
    before = "Resources: {Old: {Type: T, DeletionPolicy: Retain}, Table: {Type: T}}"
    after = "Resources: {Table: {Type: T, UpdateReplacePolicy: %s}}"
    aws = Nested(answers, {INNER_SET: {"Changes": [removed, replaced]}}, templates={INNER_ID: before})

    aws.templates[INNER_SET] = after % "Delete"
    assert planned(answers, clock).data_loss == ("Inner/Table",)

    aws.templates[INNER_SET] = after % "Retain"
    assert planned(answers, clock).data_loss == ()


@pytest.mark.parametrize("action", ["Remove", "Modify"])
def test_unreadable_nested_stack_counts_as_data_loss(answers, clock, action):
    aws = Nested(answers)
    aws.root = aws.change_set(Changes=[nested("Inner", action=action)])
    denied = AwsError("AccessDenied", "no", status=403)
    answers.disturb = lambda call: denied if call.operation == "ListStackResources" else None

    assert planned(answers, clock).data_loss == ("Inner",)


def test_removed_nested_stack_is_not_read(answers, clock):
    aws = Nested(answers)
    aws.root = aws.change_set(Changes=[nested("Inner", INNER_SET, "Remove")])

    assert planned(answers, clock).broadenings == ()
    assert INNER_SET not in {params["ChangeSetName"] for params in answers.of("DescribeChangeSet")}


def test_reason_of_failed_nested_change_set_is_reported(answers, clock):
    deep = f"Nested change set {DEEP_SET} was not successfully created: Currently in FAILED."
    sets = {
        INNER_SET: {"StackName": "Slc-Inner", "Status": "FAILED", "StatusReason": deep},
        DEEP_SET: {"StackName": "Slc-Deep", "Status": "FAILED", "StatusReason": "Template format error"},
    }
    aws = Nested(answers, sets)
    aws.root = aws.change_set(Status="FAILED", StatusReason=FAILED, Changes=[])

    with pytest.raises(
        TemplateRejectedError, match="nested stack Slc-Inner: nested stack Slc-Deep: Template format error"
    ):
        planned(answers, clock)

    assert operations(answers).count("CreateChangeSet") == operations(answers).count("DeleteChangeSet") == 1
    # The findings of its validation are requested from the failed change set.
    assert [params["ChangeSetName"] for params in answers.of("DescribeEvents")] == [DEEP_SET]


def test_unreadable_failed_nested_change_set_has_text_of_aws(answers, clock):
    aws = Nested(answers)
    aws.root = aws.change_set(Status="FAILED", StatusReason=FAILED, Changes=[])
    denied = AwsError("AccessDenied", "no", status=403)
    answers.disturb = lambda call: denied if call.params.get("ChangeSetName") == INNER_SET else None

    with pytest.raises(TemplateRejectedError) as rejected:
        planned(answers, clock)

    assert FAILED in rejected.value.message


@pytest.fixture(params=[True, False], ids=["new", "there"])
def unknown(request, answers):
    """CloudFormation that cannot plan the changes in Inner, but all others."""
    inner = {"StackName": "Slc-Inner", "Status": "FAILED", "StatusReason": UNKNOWN}
    aws = Nested(answers, {INNER_SET: inner}, new=request.param)
    failed = aws.change_set(Status="FAILED", StatusReason=FAILED, Changes=[])
    good = {**aws.change_set(Changes=[nested("Inner", action="Add")]), "ChangeSetId": SECOND_SET}
    aws.sets |= {SET: failed, SECOND_SET: good}

    def create(params):
        return {"Id": SET if params.get("IncludeNestedStacks") else SECOND_SET, "StackId": ID}

    def stacks(params):
        # A new stack is empty after the first change set.
        there = aws.stacks(params)
        if not request.param or not created(answers) or params["StackName"] == INNER_ID:
            return there
        described = {"StackName": "Slc", "StackId": ID, "CreationTime": BEGIN, "StackStatus": "REVIEW_IN_PROGRESS"}
        return {"Stacks": [described]}

    answers.on("cloudformation", "CreateChangeSet", create)
    answers.on("cloudformation", "DescribeStacks", stacks)
    return aws


def test_change_that_aws_cannot_plan_omits_nested_stacks(unknown, answers, clock):
    reporter = RecordingReporter(lambda _plan: False)

    plan = planned(answers, clock, shown=reporter)

    assert reporter.notes == [
        f"AWS cannot plan the changes in nested stacks beforehand: nested stack Slc-Inner: {UNKNOWN}"
    ]
    assert plan.change_set_id == SECOND_SET
    assert [each.kind for each in plan.broadenings] == ["nested-stack"]
    # The plan was not approved, so nothing remains. The empty stack exists until then.
    if unknown.new:
        assert operations(answers)[-1] == "DeleteStack"
    assert operations(answers).count("DeleteStack") == int(unknown.new)
    assert [params["ChangeSetName"] for params in answers.of("DeleteChangeSet")] == [SET, SECOND_SET]


@pytest.mark.usefixtures("unknown")
def test_failed_second_change_set_leaves_nothing(answers, clock):
    refused = AwsError("ValidationError", "no")
    answers.on("cloudformation", "CreateChangeSet", [{"Id": SET, "StackId": ID}, refused])

    with pytest.raises(TemplateRejectedError):
        planned(answers, clock)

    assert answers.of("DeleteChangeSet")[-1] == {"ChangeSetName": SET}


def test_ctrl_c_during_second_change_set_leaves_nothing(unknown, answers, clock):
    unknown.sets[SECOND_SET] = {**unknown.sets[SECOND_SET], "Status": "CREATE_IN_PROGRESS"}
    clock.at(5, press)

    with pytest.raises(KeyboardInterrupt):
        planned(answers, clock)

    assert [params["ChangeSetName"] for params in answers.of("DeleteChangeSet")] == [SET, SECOND_SET]


def test_same_template_can_have_changes_in_nested_stack(answers, clock):
    Nested(answers)
    plans: list[Plan] = []

    run(answers, clock, body=OUTER % "old", approve=plans.append, tags={"exasol-ci-setup:construct": "Test"})

    assert list(plans[0].every_change) == ["Inner", "Inner/Topic"]


def test_unchanged_nested_stack_reports_no_changes(answers, clock):
    aws = Nested(answers)
    words = "The submitted information didn't contain changes. Submit different information to create a change set."
    aws.root = aws.change_set(Status="FAILED", StatusReason=words, Changes=[])

    ended = run(answers, clock, body=OUTER % "old", tags={"exasol-ci-setup:construct": "Test"})

    assert ended.outcome is Outcome.UNCHANGED


def test_empty_stack_is_deleted_after_its_nested_change_sets(answers, clock):
    aws = Nested(answers, new=True)
    summary = {"ChangeSetId": SET, "ChangeSetName": "exasol-ci-setup-x", "Status": "DELETE_IN_PROGRESS"}
    answers.on(
        "cloudformation",
        "ListChangeSets",
        [{"Summaries": [summary]}, {"Summaries": [summary]}, {"Summaries": []}],
        repeat_last=True,
    )

    def shell(_params):
        status = "REVIEW_IN_PROGRESS"
        described = {"StackName": "Slc", "StackId": ID, "CreationTime": BEGIN, "StackStatus": status}
        return {"Stacks": [described]} if created(answers) else aws.stacks({"StackName": "Slc"})

    answers.on("cloudformation", "DescribeStacks", shell)

    planned(answers, clock)

    assert operations(answers)[-4:] == ["ListChangeSets", "ListChangeSets", "ListChangeSets", "DeleteStack"]


def test_failed_nested_change_set_is_requested_once(answers, clock):
    cyclic = {"StackName": "Slc-Inner", "Status": "FAILED", "StatusReason": f"{SET} failed, and so did {INNER_SET}"}
    aws = Nested(answers, {INNER_SET: cyclic})
    aws.root = aws.change_set(Status="FAILED", StatusReason=FAILED, Changes=[])

    with pytest.raises(TemplateRejectedError, match="nested stack Slc-Inner: "):
        planned(answers, clock)

    assert [params["ChangeSetName"] for params in answers.of("DescribeChangeSet")].count(INNER_SET) == 1


def test_express_mode_is_rejected_for_unreadable_nested_stack(answers, clock):
    aws = Nested(answers)
    aws.root = aws.change_set(Changes=[nested("Inner")])

    with pytest.raises(InputError, match="the changes in nested stack Inner are unknown"):
        planned(answers, clock, express=True)

    assert "DeleteChangeSet" in operations(answers)
