"""Deployments with failures of AWS, answered inside botocore."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    CredentialsInvalidError,
    DeployFailedError,
    InputError,
    OperationInterruptedError,
    StackBusyError,
    StackError,
    StackNotUpdatableError,
    ThrottledError,
    TimedOutError,
    UnreachableError,
)
from exasol_ci_setup.core.stacks import ABSENT, Options, Outcome, Plan
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.deploy import deploy
from exasol_ci_setup.stacks.deploy import plan as plan_stack
from exasol_ci_setup.stacks.events import StackMonitor
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template
from tests.answers import AwsError, DroppedConnectionError
from tests.reporters import RecordingReporter

ID = "arn:aws:cloudformation:eu-central-1:123456789012:stack/Slc/11111111-2222-3333-4444-555555555555"
SET = (
    "arn:aws:cloudformation:eu-central-1:123456789012:changeSet/exasol-ci-setup-x/66666666-7777-8888-9999-000000000000"
)
BEGIN = datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)
NOT_THERE = AwsError("ValidationError", "Stack with id Slc does not exist")
OLD = 'Resources: {T: {Type: "AWS::SNS::Topic", Properties: {DisplayName: old}}}'
NEW = 'Resources: {T: {Type: "AWS::SNS::Topic", Properties: {DisplayName: new}}}'


OWN = {"Key": "exasol-ci-setup:construct", "Value": "Test"}


def stack_in(status, *, tags=(OWN,)):
    """Return a reply of DescribeStacks."""
    described = {"StackName": "Slc", "StackId": ID, "CreationTime": BEGIN, "StackStatus": status, "Tags": list(tags)}
    return {"Stacks": [described]}


class Aws:
    """A stack during an operation: each poll returns one more event, and the status follows the events."""

    def __init__(self, answers, *, events, new=False):
        self.answers = answers
        self.script = list(events)
        self.happened = [] if new else [self.event("CREATE_COMPLETE", "Slc")]
        self.executed = False
        self.new = new
        self.final = ""
        self.next_number = itertools.count(1)
        answers.on("cloudformation", "DescribeStacks", self.stacks)
        answers.on("cloudformation", "DescribeStackEvents", self.events)
        answers.on("cloudformation", "GetTemplate", {"TemplateBody": OLD})
        answers.on("cloudformation", "CreateChangeSet", {"Id": SET, "StackId": ID})
        answers.on("cloudformation", "DescribeChangeSet", self.change_set())
        answers.on("cloudformation", "DescribeEvents", {"OperationEvents": []})
        answers.on("cloudformation", "ExecuteChangeSet", self.execute)
        answers.on("cloudformation", "DeleteChangeSet", {})
        answers.on("cloudformation", "DeleteStack", {})
        answers.on("cloudformation", "DescribeStackResources", AwsError("ValidationError", "Stack does not exist"))
        answers.on("cloudformation", "ListChangeSets", {"Summaries": []})

    def change_set(self, **more):
        detail = {
            "Target": {"Attribute": "Properties", "Name": "DisplayName", "RequiresRecreation": "Never"},
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
        change = {"Action": "Modify", "LogicalResourceId": "T", "ResourceType": "AWS::SNS::Topic"}
        return {
            "ChangeSetId": SET,
            "ChangeSetName": "exasol-ci-setup-x",
            "StackId": ID,
            "Status": "CREATE_COMPLETE",
            "Changes": [
                {"Type": "Resource", "ResourceChange": {**change, "Replacement": "False", "Details": [detail]}}
            ],
            **more,
        }

    def event(self, status, name, reason="", kind="AWS::SNS::Topic"):
        number = getattr(self, "count", 0)
        self.count = number + 1
        whole = name == "Slc"
        return {
            "StackId": ID,
            "StackName": "Slc",
            "EventId": f"event-{number}",
            "LogicalResourceId": name,
            "PhysicalResourceId": ID if whole else name,
            "ResourceType": "AWS::CloudFormation::Stack" if whole else kind,
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            # Events of one moment have the same time: only their IDs differ.
            "Timestamp": BEGIN + timedelta(seconds=number // 3),
        }

    @property
    def status(self):
        if self.new and not self.executed:
            return "REVIEW_IN_PROGRESS"
        whole = [event["ResourceStatus"] for event in self.happened if event["LogicalResourceId"] == "Slc"]
        return whole[-1] if whole else "CREATE_IN_PROGRESS"

    def stacks(self, _params):
        if self.new and not self.executed:
            return NOT_THERE
        return stack_in(self.status)

    def execute(self, _params):
        self.executed = True
        self.answers.on("cloudformation", "DescribeChangeSet", self.change_set(ExecutionStatus="EXECUTE_IN_PROGRESS"))
        return {}

    def events(self, _params):
        if self.executed and self.script:
            for status, name, *reason in self.script.pop(0):
                self.happened.append(self.event(status, name, *reason))
        return {"StackEvents": list(reversed(self.happened))}


UPDATE = [
    [("UPDATE_IN_PROGRESS", "Slc")],
    [("UPDATE_IN_PROGRESS", "T"), ("UPDATE_COMPLETE", "T")],
    [("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Slc")],
    [],
    [("UPDATE_COMPLETE", "Slc")],
]


def run(
    answers,
    clock,
    *,
    shown=None,
    body=NEW,
    approve=lambda _plan: True,
    options=None,
    **values,
):
    reporter = shown if shown is not None else RecordingReporter(approve)
    return deploy(
        Context(answers.account, clock, reporter),
        Request(name="Slc", template=Template("t.yaml", body), **values),
        options or Options(),
    )


def press():
    raise KeyboardInterrupt


def operations(answers):
    return [call.operation for call in answers.calls]


def test_update_is_followed_to_its_own_last_event(answers, clock):
    Aws(answers, events=UPDATE)
    shown = RecordingReporter()

    result = run(answers, clock, shown=shown)

    assert result.outcome is Outcome.DEPLOYED
    assert result.stack.status == "UPDATE_COMPLETE"
    assert shown.lines == [
        "UPDATE_IN_PROGRESS Slc",
        "UPDATE_IN_PROGRESS T",
        "UPDATE_COMPLETE T",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS Slc",
        "UPDATE_COMPLETE Slc",
    ]


def test_throttling_of_every_second_call_does_not_stop_deployment(answers, clock):
    Aws(answers, events=UPDATE)
    number = itertools.count()
    answers.disturb = lambda _call: AwsError("Throttling", "Rate exceeded") if next(number) % 2 == 0 else None

    result = run(answers, clock)

    assert result.stack.status == "UPDATE_COMPLETE"


def test_expired_token_reports_last_known_status(answers, clock):
    Aws(answers, events=UPDATE)
    polls = itertools.count()

    def expire(call):
        if call.operation == "DescribeStackEvents" and next(polls) >= 3:
            return AwsError("ExpiredToken", "The security token included in the request is expired", status=403)
        return None

    answers.disturb = expire

    with pytest.raises(CredentialsInvalidError) as expired:
        run(answers, clock)

    assert expired.value.exit_code == 4
    assert "UPDATE_IN_PROGRESS" in expired.value.hint
    assert "watch Slc" in expired.value.hint


def test_connection_reset_while_polling_is_retried(answers, clock):
    Aws(answers, events=UPDATE)
    polls = itertools.count()

    def reset(call):
        # More failures in a row than botocore retries.
        if call.operation == "DescribeStackEvents" and 2 <= next(polls) < 25:
            return DroppedConnectionError()
        return None

    answers.disturb = reset
    shown = RecordingReporter()

    result = run(answers, clock, shown=shown)

    assert result.stack.status == "UPDATE_COMPLETE"
    assert any("did not answer" in note for note in shown.notes)
    assert len(shown.ids) == len(set(shown.ids)) == 5


def test_throttled_last_poll_does_not_fail_deployment(answers, clock):
    aws = Aws(answers, events=UPDATE)
    refused = itertools.count()

    def throttle(call):
        # More failures in a row than botocore retries.
        ended = call.operation.startswith("Describe") and aws.status == "UPDATE_COMPLETE"
        return AwsError("Throttling", "Rate exceeded") if ended and next(refused) < 25 else None

    answers.disturb = throttle

    result = run(answers, clock)

    assert next(refused) > 25
    assert result.outcome is Outcome.DEPLOYED
    assert result.stack.status == "UPDATE_COMPLETE"


@pytest.mark.parametrize(
    "first",
    [AwsError("Throttling", "Rate exceeded"), stack_in("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")],
    ids=["fails", "is-behind"],
)
def test_unconfirmed_end_is_confirmed_by_next_poll(answers, clock, first):
    aws = Aws(answers, events=UPDATE)
    # As often as botocore retries.
    failing = itertools.repeat(first, 10 if isinstance(first, AwsError) else 1)
    asked_at = []

    def look(_params):
        if aws.status != "UPDATE_COMPLETE":
            return stack_in(aws.status)
        asked_at.append(clock.elapsed)
        return next(failing, None) or stack_in("UPDATE_COMPLETE")

    answers.on("cloudformation", "DescribeStacks", look)

    result = run(answers, clock)

    assert result.stack.status == "UPDATE_COMPLETE"
    assert asked_at[-1] - asked_at[-2] <= 2


def test_failing_poll_ends_after_ten_minutes(answers, clock):
    Aws(answers, events=UPDATE)
    polls = itertools.count()

    def cut(call):
        return DroppedConnectionError() if call.operation == "DescribeStackEvents" and next(polls) >= 2 else None

    answers.disturb = cut

    with pytest.raises(UnreachableError) as unreachable:
        run(answers, clock)

    assert 600 <= clock.elapsed < 900
    assert "AWS continues with it" in unreachable.value.hint


def test_first_failure_is_root_cause_and_rollback_is_no_success(answers, clock):
    Aws(
        answers,
        events=[
            [("UPDATE_IN_PROGRESS", "Slc"), ("UPDATE_FAILED", "B", "Resource update cancelled")],
            [
                ("UPDATE_FAILED", "A", "Access denied: User is not authorized to perform: sns:SetTopicAttributes"),
                ("UPDATE_ROLLBACK_IN_PROGRESS", "Slc", "The following resource(s) failed to update: [A, B]."),
            ],
            [("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "Slc"), ("UPDATE_ROLLBACK_COMPLETE", "Slc")],
        ],
    )

    with pytest.raises(DeployFailedError, match="UPDATE_ROLLBACK_COMPLETE") as failed:
        run(answers, clock)

    assert failed.value.exit_code == 1
    assert failed.value.diagnosis.logical_id == "A"
    assert any("sns:SetTopicAttributes was denied" in hint for hint in failed.value.diagnosis.hints)


def test_root_cause_in_nested_stack_is_found(answers, clock):
    aws = Aws(answers, events=[])
    nested = ID.replace("Slc", "Slc-Inner")
    inner = [
        {**aws.event("CREATE_IN_PROGRESS", "Slc"), "StackId": nested, "PhysicalResourceId": nested},
        {**aws.event("CREATE_FAILED", "Deep", "Bucket already exists"), "StackId": nested, "StackName": "Slc-Inner"},
    ]
    for event in inner:
        event["Timestamp"] = BEGIN + timedelta(minutes=1)
    outer = [
        [
            ("UPDATE_IN_PROGRESS", "Slc"),
            ("CREATE_FAILED", "Inner", "Embedded stack failed", "AWS::CloudFormation::Stack"),
            ("UPDATE_ROLLBACK_COMPLETE", "Slc"),
        ]
    ]
    aws.script = outer

    def events(params):
        if params["StackName"] == nested:
            return {"StackEvents": list(reversed(inner))}
        page = aws.events(params)
        for event in page["StackEvents"]:
            if event["LogicalResourceId"] == "Inner":
                event["PhysicalResourceId"] = nested
        return page

    answers.on("cloudformation", "DescribeStackEvents", events)

    with pytest.raises(DeployFailedError) as failed:
        run(answers, clock)

    assert (failed.value.diagnosis.stack_name, failed.value.diagnosis.logical_id) == ("Slc-Inner", "Deep")


def test_end_is_detected_within_two_seconds_at_limited_rate(answers, clock):
    """The operation takes ten minutes, with an event every seven seconds."""
    aws = Aws(answers, events=[])
    answers.on("cloudformation", "DescribeStackEvents", lambda _params: {"StackEvents": list(reversed(aws.happened))})
    asked_at = 600.0
    aws.happened.append(aws.event("UPDATE_IN_PROGRESS", "Slc"))
    for at in range(7, 600, 7):
        clock.at(at, lambda: aws.happened.append(aws.event("UPDATE_IN_PROGRESS", "T")))
    clock.at(asked_at, lambda: aws.happened.append(aws.event("UPDATE_COMPLETE", "Slc")))
    following = StackMonitor(Context(answers.account, clock), ID, after="event-0")

    stack = following.run()

    assert stack.status == "UPDATE_COMPLETE"
    assert asked_at <= clock.elapsed <= asked_at + 2
    assert len(answers.calls) / asked_at < 0.65


def test_events_are_read_back_to_last_known_one(answers, clock):
    aws = Aws(answers, events=[])
    aws.happened += [aws.event("UPDATE_IN_PROGRESS", "Slc")]
    aws.happened += [aws.event("UPDATE_COMPLETE", f"T{number}") for number in range(250)]
    aws.happened += [aws.event("UPDATE_COMPLETE", "Slc")]

    def pages(params):
        newest_first = list(reversed(aws.happened))
        start = int(params.get("NextToken", 0))
        more = {"NextToken": str(start + 100)} if start + 100 < len(newest_first) else {}
        return {"StackEvents": newest_first[start : start + 100], **more}

    answers.on("cloudformation", "DescribeStackEvents", pages)
    shown = RecordingReporter()

    StackMonitor(Context(answers.account, clock, shown), ID, after="event-0").run()

    assert len(shown.events) == 252
    assert shown.lines[0] == "UPDATE_IN_PROGRESS Slc"


def test_plan_reads_all_pages_and_changes_omitted_with_values(answers, clock):
    aws = Aws(answers, events=UPDATE)
    change = {"Action": "Add", "ResourceType": "AWS::SNS::Topic"}

    def describe(params):
        if params.get("NextToken"):
            return aws.change_set(
                Changes=[{"Type": "Resource", "ResourceChange": {**change, "LogicalResourceId": "OnPageTwo"}}]
            )
        if params.get("IncludePropertyValues"):
            warning = "[WARN] --include-property-values option can return incomplete ChangeSet data because: [X] failed"
            return aws.change_set(NextToken="2", StatusReason=warning)
        return aws.change_set(
            Changes=[{"Type": "Resource", "ResourceChange": {**change, "LogicalResourceId": "LeftOut"}}]
        )

    answers.on("cloudformation", "DescribeChangeSet", describe)
    plans: list[Plan] = []

    run(answers, clock, approve=plans.append)

    assert {change.logical_id for change in plans[0].changes} == {"T", "OnPageTwo", "LeftOut"}
    assert not plans[0].notes


def test_actions_newer_than_this_code_are_kept(answers, clock):
    aws = Aws(answers, events=UPDATE)
    changes = [
        {
            "Type": "Resource",
            "ResourceChange": {"Action": action, "LogicalResourceId": action, "ResourceType": "AWS::SNS::Topic"},
        }
        for action in ("Import", "Dynamic", "SyncWithActual")
    ]
    answers.on("cloudformation", "DescribeChangeSet", aws.change_set(Changes=changes))
    plans: list[Plan] = []

    run(answers, clock, approve=plans.append)

    assert [change.action for change in plans[0].changes] == ["Import", "Dynamic", "SyncWithActual"]


def test_values_before_and_after_come_from_templates(answers, clock):
    Aws(answers, events=UPDATE)
    plans: list[Plan] = []

    run(answers, clock, approve=plans.append)

    (found,) = plans[0].changes[0].properties
    assert (found.path, found.before, found.after, found.recreates) == ("DisplayName", "old", "new", "Never")


def test_change_set_is_waited_for(answers, clock):
    aws = Aws(answers, events=UPDATE)
    pending = aws.change_set(Status="CREATE_IN_PROGRESS", Changes=[])
    answers.on("cloudformation", "DescribeChangeSet", [pending] * 8 + [aws.change_set()], repeat_last=True)

    assert run(answers, clock).outcome is Outcome.DEPLOYED


@pytest.mark.parametrize(
    "words",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_change_set_without_changes_is_deleted_and_reports_no_changes(answers, clock, words):
    aws = Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeChangeSet", aws.change_set(Status="FAILED", StatusReason=words, Changes=[]))

    result = run(answers, clock, approve=lambda _plan: pytest.fail("there is nothing to approve"))

    assert result.outcome is Outcome.UNCHANGED
    assert operations(answers)[-1] == "DeleteChangeSet"


@pytest.mark.parametrize("mode", ["WARN", "FAIL"])
def test_findings_of_early_validation_are_notes_of_plan(answers, clock, mode):
    Aws(answers, events=UPDATE)
    answers.on(
        "cloudformation",
        "DescribeEvents",
        {
            "OperationEvents": [
                {
                    "EventType": "VALIDATION_ERROR",
                    "LogicalResourceId": "B",
                    "ResourceType": "AWS::S3::Bucket",
                    "ValidationName": "BUCKET_EMPTINESS_VALIDATION",
                    "ValidationFailureMode": mode,
                    "ValidationStatusReason": "The bucket is not empty",
                }
            ]
        },
    )
    plans: list[Plan] = []

    run(answers, clock, approve=plans.append)

    assert plans[0].notes == ("B (AWS::S3::Bucket): The bucket is not empty [BUCKET_EMPTINESS_VALIDATION]",)
    assert [call.params for call in answers.calls if call.operation == "DescribeEvents"] == [{"ChangeSetName": SET}]


@pytest.mark.parametrize(
    ("error", "notes"),
    [
        (AwsError("AccessDenied", "not authorized", status=403), 1),
        (AwsError("InvalidAction", "Unknown action: DescribeEvents"), 0),
    ],
)
def test_plan_is_created_without_describe_events(answers, clock, error, notes):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeEvents", error)
    plans: list[Plan] = []

    run(answers, clock, approve=plans.append)

    assert len(plans[0].notes) == notes


@pytest.mark.parametrize("error", [AwsError("InternalFailure", "fault", status=500), DroppedConnectionError])
def test_failed_describe_events_is_noted_once_per_run(answers, clock, error):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeEvents", error)
    plans: list[Plan] = []

    for _ in range(3):
        run(answers, clock, approve=plans.append)

    (note,) = [note for plan in plans for note in plan.notes]
    assert "does not answer DescribeEvents" in note
    assert operations(answers).count("DescribeEvents") == 2
    assert sum(answers.retry_pauses) <= 1


def test_lost_reply_to_change_set_creation_is_handled(answers, clock):
    aws = Aws(answers, events=UPDATE)

    def exists(params):
        return AwsError("AlreadyExistsException", f"ChangeSet {params['ChangeSetName']} already exists")

    answers.on("cloudformation", "CreateChangeSet", exists)
    answers.on("cloudformation", "DescribeChangeSet", lambda _params: aws.change_set())

    assert run(answers, clock).outcome is Outcome.DEPLOYED


def test_lost_reply_to_execution_is_handled(answers, clock):
    aws = Aws(answers, events=UPDATE)

    def execute(params):
        aws.execute(params)
        aws.happened.append(aws.event("UPDATE_IN_PROGRESS", "Slc"))
        aws.script = UPDATE[1:]
        return AwsError("InvalidChangeSetStatus", "ChangeSet is in EXECUTE_IN_PROGRESS status")

    answers.on("cloudformation", "ExecuteChangeSet", execute)

    assert run(answers, clock).outcome is Outcome.DEPLOYED


def test_denied_execution_deletes_change_set(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "ExecuteChangeSet", AwsError("AccessDenied", "User: x is not authorized", status=403))

    with pytest.raises(AccessDeniedError, match="does not allow ExecuteChangeSet"):
        run(answers, clock)

    assert operations(answers)[-1] == "DeleteChangeSet"


def test_permanent_throttling_is_reported(answers, clock):
    answers.on("cloudformation", "DescribeStacks", AwsError("Throttling", "Rate exceeded"))

    with pytest.raises(ThrottledError, match="10 times") as throttled:
        run(answers, clock)

    assert throttled.value.exit_code == 4
    assert len(answers.calls) == 10


def test_second_ctrl_c_stops_following_immediately(answers, clock):
    aws = Aws(answers, events=[[("UPDATE_IN_PROGRESS", "Slc")], [("UPDATE_IN_PROGRESS", "T")]])
    answers.on("cloudformation", "CancelUpdateStack", {})

    clock.at(0.1, press)
    clock.at(5.0, press)

    with pytest.raises(OperationInterruptedError, match="AWS continues with stack Slc") as interrupted:
        run(answers, clock)

    assert interrupted.value.exit_code == 130
    assert "CancelUpdateStack" in operations(answers)
    assert aws.executed


def test_update_that_completes_after_ctrl_c_is_reported_as_applied(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "CancelUpdateStack", {})
    clock.at(0.1, press)

    with pytest.raises(OperationInterruptedError, match="ended in UPDATE_COMPLETE before AWS could cancel it") as ended:
        run(answers, clock)

    assert "applies the remaining settings" in ended.value.hint


def test_refused_cancellation_after_ctrl_c_is_printed(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "CancelUpdateStack", AwsError("AccessDenied", "not for you", status=403))
    clock.at(0.1, press)
    shown = RecordingReporter()

    with pytest.raises(OperationInterruptedError, match="AWS continues with stack Slc"):
        run(answers, clock, shown=shown)

    (note,) = [note for note in shown.notes if "could not be canceled" in note]
    assert "not for you" in note


def test_creation_out_of_time_is_kept_if_failures_are_kept(answers, clock):
    Aws(answers, new=True, events=[[("CREATE_IN_PROGRESS", "Slc")]])

    with pytest.raises(TimedOutError, match="was not created within"):
        run(answers, clock, options=Options(timeout=5), on_failure="keep")

    assert not {"DeleteStack", "CancelUpdateStack"} & set(operations(answers))


def test_change_set_request_has_given_options(answers, clock):
    Aws(answers, events=UPDATE)

    run(
        answers,
        clock,
        tags={"a": "b"},
        role_arn="arn:aws:iam::123456789012:role/deployer-of-stacks",
        notification_arns=("arn:aws:sns:eu-central-1:123456789012:topic",),
        parameters={"P": "1"},
        body=NEW.replace("Resources:", "Parameters: {P: {Type: String}}\nResources:"),
    )

    (created,) = [call.params for call in answers.calls if call.operation == "CreateChangeSet"]
    assert created["Tags"] == [{"Key": "a", "Value": "b"}]
    assert created["RoleARN"].endswith("deployer-of-stacks")
    assert created["NotificationARNs"] == ["arn:aws:sns:eu-central-1:123456789012:topic"]
    assert created["Parameters"] == [{"ParameterKey": "P", "ParameterValue": "1"}]
    (executed,) = [call.params for call in answers.calls if call.operation == "ExecuteChangeSet"]
    assert executed["ChangeSetName"] == SET
    assert executed["ClientRequestToken"]


def test_change_set_names_are_unique(answers, clock):
    for _ in range(2):
        Aws(answers, events=UPDATE)
        run(answers, clock)

    names = [call.params["ChangeSetName"] for call in answers.calls if call.operation == "CreateChangeSet"]
    assert len(set(names)) == 2


def test_capabilities_are_those_of_template(answers, clock):
    Aws(answers, events=UPDATE)
    role = 'Resources: {R: {Type: "AWS::IAM::Role", Properties: {AssumeRolePolicyDocument: {}}}}'

    run(answers, clock, body=role)

    (created,) = [call.params for call in answers.calls if call.operation == "CreateChangeSet"]
    assert created["Capabilities"] == ["CAPABILITY_IAM"]


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        ("ROLLBACK_COMPLETE", "--recreate-failed"),
        ("ROLLBACK_FAILED", "--recreate-failed"),
        ("DELETE_FAILED", "--recreate-failed"),
        ("UPDATE_ROLLBACK_FAILED", "exasol-ci-setup continue-rollback"),
    ],
)
def test_state_without_possible_update_is_reported_with_hint(answers, clock, status, way_out):
    answers.on("cloudformation", "DescribeStacks", stack_in(status))
    answers.on("cloudformation", "DescribeStackEvents", AwsError("AccessDenied"))

    with pytest.raises(StackNotUpdatableError, match=status) as stuck:
        run(answers, clock)

    assert way_out in stuck.value.hint
    assert stuck.value.diagnosis is None


def test_ssm_parameter_forces_change_set(answers, clock):
    Aws(answers, events=UPDATE)
    body = (
        'Parameters: {P: {Type: "AWS::SSM::Parameter::Value<String>", Default: /x}}\n'
        'Resources: {T: {Type: "AWS::SNS::Topic", Properties: {DisplayName: {Ref: P}}}}'
    )
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": body})

    run(answers, clock, body=body)

    assert "CreateChangeSet" in operations(answers)


def test_noecho_parameter_is_masked_in_plan(answers, clock):
    Aws(answers, events=UPDATE)
    head = "Parameters: {P: {Type: String, NoEcho: true}}\n"
    resource = 'Resources: {T: {Type: "AWS::SNS::Topic", Properties: {DisplayName: {"Fn::Sub": "%s-${P}"}}}}'
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": head + resource % "old"})
    plans: list[Plan] = []

    run(answers, clock, body=head + resource % "new", parameters={"P": "hunter2"}, approve=plans.append)

    assert "hunter2" not in repr(plans[0])
    assert ABSENT not in {plans[0].changes[0].properties[0].before, plans[0].changes[0].properties[0].after}


def test_own_stacks_are_found_on_all_pages(answers):
    def stack(name, tags):
        return {
            "StackName": name,
            "CreationTime": BEGIN,
            "StackStatus": "CREATE_COMPLETE",
            "Tags": [{"Key": key, "Value": "x"} for key in tags],
        }

    answers.on(
        "cloudformation",
        "DescribeStacks",
        [
            {"Stacks": [stack("Mine", ["exasol-ci-setup:construct"]), stack("Theirs", ["team"])], "NextToken": "2"},
            {"Stacks": [stack("MineToo", ["exasol-ci-setup:construct"])]},
        ],
    )

    assert [found.name for found in state.own(answers.account.client("cloudformation"))] == ["Mine", "MineToo"]


def test_stack_of_another_tool_needs_adopt(answers, clock):
    answers.on("cloudformation", "DescribeStacks", stack_in("CREATE_COMPLETE", tags=()))

    with pytest.raises(StackError, match="was not created by this tool") as refused:
        run(answers, clock)

    assert "--adopt" in refused.value.hint
    assert operations(answers) == ["DescribeStacks"]


def test_other_operation_is_waited_for_and_never_canceled(answers, clock):
    Aws(answers, events=[])
    answers.on("cloudformation", "DescribeStacks", stack_in("CREATE_IN_PROGRESS"))

    with pytest.raises(TimedOutError, match="another operation"):
        run(answers, clock, options=Options(wait=True, timeout=60))

    assert not {"DeleteStack", "CancelUpdateStack"} & set(operations(answers))


def test_ctrl_c_while_waiting_for_other_operation_only_stops_waiting(answers, clock):
    Aws(answers, events=[])
    answers.on("cloudformation", "DescribeStacks", stack_in("UPDATE_IN_PROGRESS"))
    clock.at(3, press)

    with pytest.raises(OperationInterruptedError, match="stopped waiting"):
        run(answers, clock, options=Options(wait=True))

    assert "CancelUpdateStack" not in operations(answers)


def test_operation_that_starts_late_is_followed(answers, clock):
    aws = Aws(answers, events=[[]] * 40 + UPDATE)
    shown = RecordingReporter()

    result = run(answers, clock, shown=shown)

    assert result.stack.status == "UPDATE_COMPLETE"
    assert shown.lines[-1] == "UPDATE_COMPLETE Slc"
    assert aws.executed


def test_operation_that_never_starts_is_reported(answers, clock):
    Aws(answers, events=[])

    with pytest.raises(StackError, match="did not start it"):
        run(answers, clock)

    assert 300 <= clock.elapsed < 330


def test_concurrent_update_is_not_reported_as_own(answers, clock):
    aws = Aws(answers, events=UPDATE)

    def execute(_params):
        aws.happened.append(aws.event("UPDATE_IN_PROGRESS", "Slc"))
        return AwsError("InvalidChangeSetStatus", "ChangeSet is in OBSOLETE status")

    answers.on("cloudformation", "ExecuteChangeSet", execute)

    with pytest.raises(StackBusyError, match="is busy: UPDATE_IN_PROGRESS"):
        run(answers, clock)


@pytest.mark.parametrize("operation", ["CreateChangeSet", "ExecuteChangeSet"])
def test_stack_that_becomes_busy_is_reported_as_busy(answers, clock, operation):
    Aws(answers, events=UPDATE)
    words = f"Stack:{ID} is in UPDATE_IN_PROGRESS state and can not be updated."
    answers.on("cloudformation", operation, AwsError("ValidationError", words))

    with pytest.raises(StackBusyError):
        run(answers, clock)


@pytest.mark.parametrize(
    "words", ["already exists and cannot be created again with the changeSet [x].", "does not exist"]
)
def test_concurrent_creation_or_deletion_is_no_template_error(answers, clock, words):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "CreateChangeSet", AwsError("ValidationError", f"Stack [Slc] {words}"))

    with pytest.raises(StackBusyError, match="outdated"):
        run(answers, clock)


def test_change_set_deleted_by_other_operation_is_busy(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeChangeSet", AwsError("ChangeSetNotFound", "does not exist", status=404))

    with pytest.raises(StackBusyError, match="outdated"):
        run(answers, clock)


def test_ctrl_c_during_creation_waits_until_change_set_can_be_deleted(answers, clock):
    aws = Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeChangeSet", aws.change_set(Status="CREATE_IN_PROGRESS", Changes=[]))
    refusal = AwsError("InvalidChangeSetStatus", "Cannot delete ChangeSet in status CREATE_IN_PROGRESS")
    answers.on("cloudformation", "DeleteChangeSet", [refusal, refusal, {}])
    clock.at(1, press)

    with pytest.raises(KeyboardInterrupt):
        run(answers, clock)

    assert operations(answers)[-3:] == ["DeleteChangeSet"] * 3


def test_undeletable_change_set_does_not_hide_error(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DeleteChangeSet", AwsError("AccessDenied", "no", status=403))

    def interrupt(_plan):
        raise KeyboardInterrupt

    with pytest.raises(OperationInterruptedError) as interrupted:
        run(answers, clock, approve=interrupt)

    assert SET in interrupted.value.hint


def test_ctrl_c_while_change_set_is_created_deletes_it_by_name(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "CreateChangeSet", KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        run(answers, clock)

    (deleted,) = [call.params for call in answers.calls if call.operation == "DeleteChangeSet"]
    (created,) = [call.params for call in answers.calls if call.operation == "CreateChangeSet"]
    assert deleted == {"StackName": "Slc", "ChangeSetName": created["ChangeSetName"]}


def test_ctrl_c_during_execution_reports_that_aws_continues(answers, clock):
    aws = Aws(answers, events=UPDATE)

    def execute(params):
        aws.execute(params)
        return KeyboardInterrupt()

    answers.on("cloudformation", "ExecuteChangeSet", execute)

    with pytest.raises(OperationInterruptedError) as interrupted:
        run(answers, clock)

    assert "watch Slc" in interrupted.value.hint
    assert "DeleteChangeSet" not in operations(answers)


def test_creation_completed_at_timeout_is_kept(answers, clock):
    aws = Aws(answers, new=True, events=[[("CREATE_IN_PROGRESS", "Slc")]])

    # The events are late, so the end is detected only at the timeout.
    def execute(params):
        answers.on("cloudformation", "DescribeStacks", stack_in("CREATE_COMPLETE"))
        return aws.execute(params)

    answers.on("cloudformation", "ExecuteChangeSet", execute)

    result = run(answers, clock, options=Options(timeout=2))

    assert result.stack.status == "CREATE_COMPLETE"
    assert "DeleteStack" not in operations(answers)


@pytest.mark.parametrize("new", [True, False])
def test_operation_not_started_at_timeout_is_unchanged(answers, clock, new):
    Aws(answers, events=[], new=new)

    with pytest.raises(TimedOutError, match="did not start"):
        run(answers, clock, options=Options(timeout=5))

    assert not {"DeleteStack", "CancelUpdateStack"} & set(operations(answers))


def test_denied_protection_does_not_hide_deployed_stack(answers, clock):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "UpdateTerminationProtection", AwsError("AccessDenied", "no", status=403))

    with pytest.raises(AccessDeniedError) as denied:
        run(answers, clock, termination_protection=True)

    assert "itself is deployed" in denied.value.hint


def test_kept_failed_creation_is_updated_without_rollback(answers, clock):
    Aws(answers, events=UPDATE)
    states = iter(["CREATE_FAILED"])
    answers.on("cloudformation", "DescribeStacks", lambda _params: stack_in(next(states, "UPDATE_COMPLETE")))

    run(answers, clock)

    (created,) = [call.params for call in answers.calls if call.operation == "CreateChangeSet"]
    assert (created["ChangeSetType"], created["OnStackFailure"]) == ("UPDATE", "DO_NOTHING")


def test_slow_plan_prints_note(answers, clock):
    aws = Aws(answers, events=UPDATE)
    making = aws.change_set(Status="CREATE_IN_PROGRESS", Changes=[])
    answers.on("cloudformation", "DescribeChangeSet", [making] * 40 + [aws.change_set()], repeat_last=True)
    reporter = RecordingReporter()

    run(answers, clock, shown=reporter)

    assert len(reporter.notes) >= 2


def test_empty_name_finds_no_stack(answers):
    answers.on("cloudformation", "DescribeStacks", stack_in("CREATE_COMPLETE"))

    assert state.find(answers.account.client("cloudformation"), "Other") is None


def test_plan_is_applied_once_and_only_while_open(answers, clock):
    Aws(answers, events=UPDATE)
    request = Request(name="Slc", template=Template("t.yaml", NEW))

    with plan_stack(Context(answers.account, clock), request) as planned:
        pass
    with pytest.raises(InputError, match="is closed, and its change set deleted"):
        planned.apply()
    assert answers.of("ExecuteChangeSet") == []

    with plan_stack(Context(answers.account, clock), request) as planned:
        planned.apply()
        with pytest.raises(InputError, match="was applied before"):
            planned.apply()
    assert len(answers.of("ExecuteChangeSet")) == 1
