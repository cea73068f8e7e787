"""Findings of hooks in operations and change sets, answered inside botocore."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from exasol_ci_setup.core.errors import DeployFailedError, TemplateRejectedError
from exasol_ci_setup.core.stacks import Hook, Plan
from exasol_ci_setup.stacks import hooks, recovery, state
from tests.answers import AwsError
from tests.stacks.family import Family
from tests.stacks.test_deploy_answers import SET, UPDATE, Aws, run

ID = "2a36aa47-2d4c-4ab8-a263-4162b342545c"
NAME = "Acme::Rules::Hook"
SAID = f"The following hook(s) failed: [{NAME}]"
FAILED = {
    "HookType": NAME,
    "HookStatus": "HOOK_COMPLETE_FAILED",
    "HookStatusReason": "Hook failed with message: 1 rule failed",
    "HookInvocationPoint": "PRE_PROVISION",
    "HookInvocationId": ID,
    "HookFailureMode": "FAIL",
}
WARNED = {**FAILED, "HookType": "Acme::Advice::Hook", "HookFailureMode": "WARN"}
RESULT = {
    "HookResultId": ID,
    "TypeName": NAME,
    "Status": "HOOK_COMPLETE_FAILED",
    "HookStatusReason": "Hook failed with message: 1 rule failed",
    "Annotations": [
        {
            "AnnotationName": "TOPIC_ENCRYPTED",
            "Status": "FAILED",
            "SeverityLevel": "HIGH",
            "StatusMessage": "The topic is\n  not encrypted",
            "RemediationMessage": "Set KmsMasterKeyId",
            "RemediationLink": "https://example.com/rules/1",
        },
        {"AnnotationName": "TOPIC_NAMED", "Status": "PASSED", "StatusMessage": "It has a name"},
        {"AnnotationName": "ODD", "Status": "FAILED", "RemediationLink": "https://example.com/rules/2"},
    ],
}
WORDS = f"hook {NAME} (PRE_PROVISION) failed: Hook failed with message: 1 rule failed"
FOUND = (
    "rule TOPIC_ENCRYPTED is broken (HIGH): The topic is not encrypted",
    "remedy for TOPIC_ENCRYPTED: Set KmsMasterKeyId (https://example.com/rules/1)",
    "rule ODD is broken: no reason given",
    "remedy for ODD: https://example.com/rules/2",
)


def creation(*events: Any, reason: str = SAID) -> dict[str, Any]:
    """Return a creation in which a hook stops Topic after `events`."""
    return {
        "Slc": [
            (0, "CREATE_IN_PROGRESS", "Slc"),
            (0, "CREATE_IN_PROGRESS", "Topic"),
            *events,
            (0, "CREATE_FAILED", "Topic", {"ResourceStatusReason": reason}),
            (0, "ROLLBACK_COMPLETE", "Slc"),
        ]
    }


def explain(answers, clock, stacks):
    Family(answers, clock, "Slc", stacks)
    cfn = answers.account.client("cloudformation")
    return recovery.explain(answers.account, state.get(cfn, "Slc"))


def test_failed_hook_reports_each_rule_with_remedy_and_link(answers, clock):
    answers.on("cloudformation", "GetHookResult", RESULT)

    found = explain(answers, clock, creation((0, "CREATE_IN_PROGRESS", "Topic", FAILED)))

    assert (found.logical_id, found.reason) == ("Topic", SAID)
    assert found.details == (WORDS, *FOUND)
    assert [params["HookResultId"] for params in answers.of("GetHookResult")] == [ID]


def test_truncated_reason_of_hook_is_completed(answers, clock):
    answers.on("cloudformation", "GetHookResult", {"HookStatusReason": "all of it", "Annotations": []})

    found = explain(answers, clock, creation((0, "CREATE_IN_PROGRESS", "Topic", FAILED)))

    assert found.details == (WORDS, f"hook {NAME}: all of it")


def test_hook_that_warns_is_not_root_cause(answers, clock):
    stacks = creation((0, "CREATE_IN_PROGRESS", "Topic", WARNED), reason="Topic already exists")

    found = explain(answers, clock, stacks)

    assert found.details == ()
    assert found.reason == "Topic already exists"
    assert not answers.of("GetHookResult")


@pytest.mark.parametrize("name", ["Other", "Topic"])
def test_hook_of_later_resource_is_not_reported(answers, clock, name):
    stacks = creation(reason="Topic already exists")
    stacks["Slc"][-1:-1] = [(0, "DELETE_IN_PROGRESS", name, FAILED), (0, "DELETE_FAILED", name)]

    assert explain(answers, clock, stacks).details == ()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            AwsError("AccessDenied", "User: x is not authorized to perform: cloudformation:GetHookResult", status=403),
            "AWS does not allow GetHookResult: User: x is not authorized to perform: cloudformation:GetHookResult",
        ),
        (AwsError("InvalidAction", "Unknown action: GetHookResult"), "this endpoint does not support GetHookResult"),
        (AwsError("HookResultNotFound", "gone", status=404), "GetHookResult failed: gone (HookResultNotFound)"),
    ],
    ids=["denied", "unknown", "gone"],
)
def test_unreadable_hook_findings_are_reported(answers, clock, answer, why):
    answers.on("cloudformation", "GetHookResult", answer)

    found = explain(answers, clock, creation((0, "CREATE_IN_PROGRESS", "Topic", FAILED)))

    assert found.details == (WORDS, f"the findings of hook {NAME} are not available: {why}")


def test_old_boto3_is_reported_in_one_line():
    old: Any = SimpleNamespace()

    (line,) = hooks.findings(old, Hook(NAME, "HOOK_COMPLETE_FAILED", id=ID))

    assert "boto3 is too old" in line


def test_hook_on_stack_is_reported(answers, clock):
    answers.on("cloudformation", "GetHookResult", RESULT)
    stacks = {
        "Slc": [
            (0, "CREATE_IN_PROGRESS", "Slc"),
            (0, "CREATE_IN_PROGRESS", "Slc", FAILED),
            (0, "ROLLBACK_IN_PROGRESS", "Slc", {"ResourceStatusReason": SAID}),
            (0, "ROLLBACK_COMPLETE", "Slc", {"ResourceStatusReason": SAID}),
        ]
    }

    found = explain(answers, clock, stacks)

    assert found.logical_id == ""
    assert found.reason == SAID
    assert found.details == (WORDS, *FOUND)


@pytest.mark.parametrize("whole", [True, False], ids=["the whole nested stack", "a resource in it"])
def test_hook_in_deleted_nested_stack_is_reported(answers, clock, whole):
    answers.on("cloudformation", "GetHookResult", RESULT)
    inner: list[Any] = [
        (0, "CREATE_IN_PROGRESS", "Inner"),
        (0, "CREATE_IN_PROGRESS", "Inner" if whole else "Topic", FAILED),
        *([] if whole else [(0, "CREATE_FAILED", "Topic", {"ResourceStatusReason": SAID})]),
        (0, "CREATE_FAILED", "Inner"),
        (0, "DELETE_IN_PROGRESS", "Inner"),
        (0, "DELETE_COMPLETE", "Inner"),
    ]
    stacks = {
        "Slc": [
            (0, "CREATE_IN_PROGRESS", "Slc"),
            (0, "CREATE_FAILED", "Inner", {"ResourceStatusReason": "Embedded stack was not created"}),
            (0, "DELETE_COMPLETE", "Inner"),
            (0, "ROLLBACK_COMPLETE", "Slc"),
        ],
        "Inner": inner,
    }

    found = explain(answers, clock, stacks)

    assert (found.stack_name, found.logical_id) == (("Slc", "Inner") if whole else ("Inner", "Topic"))
    assert found.details == (WORDS, *FOUND)


def test_deployment_stopped_by_hook_reports_findings(answers, clock):
    aws = Aws(
        answers,
        events=[
            [("UPDATE_IN_PROGRESS", "Slc"), ("UPDATE_IN_PROGRESS", "T")],
            [("UPDATE_FAILED", "T", SAID), ("UPDATE_ROLLBACK_COMPLETE", "Slc")],
        ],
    )

    def events(params):
        page = aws.events(params)
        for event in page["StackEvents"]:
            if (event["LogicalResourceId"], event["ResourceStatus"]) == ("T", "UPDATE_IN_PROGRESS"):
                event.update(FAILED)
        return page

    answers.on("cloudformation", "DescribeStackEvents", events)
    answers.on("cloudformation", "GetHookResult", RESULT)

    with pytest.raises(DeployFailedError) as failed:
        run(answers, clock)

    assert failed.value.diagnosis.details == (WORDS, *FOUND)


def invocation(mode: str) -> dict[str, Any]:
    """Return an event of DescribeEvents for a hook on a change set, which does not name the invocation."""
    return {
        "EventId": "1",
        "EventType": "HOOK_INVOCATION_ERROR",
        "HookType": NAME,
        "HookStatus": "HOOK_COMPLETE_FAILED",
        "HookStatusReason": "1 rule failed",
        "HookFailureMode": mode,
        "LogicalResourceId": "T",
        "ResourceType": "AWS::SNS::Topic",
    }


def summary(mode: str) -> dict[str, Any]:
    return {
        "HookResultId": ID,
        "TypeName": NAME,
        "InvocationPoint": "PRE_PROVISION",
        "FailureMode": mode,
        "Status": "HOOK_COMPLETE_FAILED",
        "HookStatusReason": "Hook failed with message: 1 rule failed",
    }


@pytest.fixture
def refused(answers):
    """Answer with a change set that a hook stops."""
    aws = Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeChangeSet", aws.change_set(Status="FAILED", StatusReason=SAID, Changes=[]))
    return answers


def test_findings_in_change_set_are_read_on_all_pages(refused, clock):
    refused.on("cloudformation", "DescribeEvents", {"OperationEvents": [invocation("FAIL")]})
    passed = {**summary("FAIL"), "Status": "HOOK_COMPLETE_SUCCEEDED"}
    refused.on(
        "cloudformation",
        "ListHookResults",
        [{"HookResults": [passed], "NextToken": "2"}, {"HookResults": [summary("FAIL")]}],
    )
    refused.on("cloudformation", "GetHookResult", RESULT)

    with pytest.raises(TemplateRejectedError) as rejected:
        run(refused, clock)

    assert rejected.value.message.split("\n  ")[1:] == [f"T (AWS::SNS::Topic): 1 rule failed [{NAME}]", *FOUND]
    assert refused.of("ListHookResults")[0] == {"TargetType": "CHANGE_SET", "TargetId": SET}


def test_hook_missing_in_events_of_change_set_is_reported(refused, clock):
    refused.on("cloudformation", "ListHookResults", {"HookResults": [summary("FAIL")]})
    refused.on("cloudformation", "GetHookResult", {})

    with pytest.raises(TemplateRejectedError) as rejected:
        run(refused, clock)

    assert rejected.value.message == f"AWS rejected the change to stack Slc: {WORDS}"


def test_unlistable_hooks_are_reported_next_to_reason_of_aws(refused, clock):
    refused.on("cloudformation", "ListHookResults", AwsError("AccessDenied", "no", status=403))

    with pytest.raises(TemplateRejectedError) as rejected:
        run(refused, clock)

    assert rejected.value.message.split("\n  ")[1:] == [
        SAID,
        "the findings of the account's hooks are not available: AWS does not allow ListHookResults: no",
    ]


@pytest.mark.parametrize("listed", [True, False])
def test_hook_that_warns_is_note_of_plan(answers, clock, listed):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeEvents", {"OperationEvents": [invocation("WARN")]})
    denied = AwsError("AccessDenied", "no", status=403)
    answers.on("cloudformation", "ListHookResults", {"HookResults": [summary("WARN")]} if listed else denied)
    answers.on("cloudformation", "GetHookResult", RESULT)
    plans: list[Plan] = []

    run(answers, clock, approve=plans.append)

    first, *more = plans[0].notes
    assert first == f"T (AWS::SNS::Topic): 1 rule failed [{NAME}]"
    assert more == list(FOUND) if listed else "not available" in more[0]


def test_plan_without_hooks_lists_none(answers, clock):
    Aws(answers, events=UPDATE)

    run(answers, clock)

    assert not answers.of("ListHookResults")


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (Hook("H", "HOOK_IN_PROGRESS", "Invoking hook", "PRE_PROVISION"), "hook H (PRE_PROVISION) is checking: Invoking hook"),
        (Hook("H", "HOOK_COMPLETE_SUCCEEDED"), "hook H passed"),
        (Hook("H", "HOOK_FAILED", "time-out"), "hook H ended with an error: time-out"),
        (Hook("H", "HOOK_NEWER"), "hook H HOOK_NEWER"),
    ],
)  # fmt: skip
def test_event_of_hook_is_sentence(hook, words):
    assert hook.words == words
