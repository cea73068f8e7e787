"""Both change sets of `--import-existing`, interrupted at each call, answered inside botocore."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from exasol_ci_setup.core.errors import CredentialsInvalidError, SetupError, TemplateRejectedError
from exasol_ci_setup.core.stacks import Options, Outcome, Plan
from exasol_ci_setup.stacks import imports
from exasol_ci_setup.template.render import parse
from tests.answers import AwsError
from tests.stacks.test_deploy_answers import BEGIN, ID, NOT_THERE, OWN, operations, run

BODY = "Resources:\n  Logs:\n    Type: AWS::Logs::LogGroup\n  T:\n    Type: AWS::SNS::Topic\n"
WITH_NESTED = (
    BODY + "  Inner:\n    Type: AWS::CloudFormation::Stack\n    Properties:\n      TemplateURL: https://s3/x.yaml\n"
)
UNKNOWN = "Usage of {{IntrinsicFunction://Fn::ImportValue}} is not allowed"
TOO_FAR = 60


class Kept:
    """CloudFormation with stored change sets and the empty stack of a new one. `act` is called with each operation, before and after it is done."""

    def __init__(self, answers) -> None:
        self.sets: dict[str, dict[str, Any]] = {}
        self.shell = False
        self.calls = 0
        self.act: Any = lambda _number, _done: None
        for name in (
            *("DescribeStacks", "CreateChangeSet", "DescribeChangeSet", "DeleteChangeSet", "ListChangeSets"),
            *("DescribeEvents", "DeleteStack"),
        ):
            answers.on("cloudformation", name, self._acting(getattr(self, name)))

    def _acting(self, reply):
        def answer(params):
            self.calls += 1
            number = self.calls
            self.act(number, False)
            replied = reply(params)
            self.act(number, True)
            return replied

        return answer

    @property
    def is_clean(self) -> bool:
        return not self.sets and not self.shell

    def DescribeStacks(self, _params):  # noqa: N802 - as AWS calls it
        if not self.shell:
            raise NOT_THERE
        described = {"StackName": "Slc", "StackId": ID, "CreationTime": BEGIN, "StackStatus": "REVIEW_IN_PROGRESS"}
        return {"Stacks": [described]}

    def CreateChangeSet(self, params):  # noqa: N802
        self.shell = True
        arn = f"arn:aws:cloudformation:eu-central-1:123456789012:changeSet/{params['ChangeSetName']}/1"
        self.sets[arn] = params
        return {"Id": arn, "StackId": ID}

    def DescribeChangeSet(self, params):  # noqa: N802
        arn = self._arn(params)
        sent = self.sets[arn]
        if sent.get("IncludeNestedStacks"):
            return {"ChangeSetId": arn, "StackId": ID, "Status": "FAILED", "StatusReason": UNKNOWN}
        changes = [
            {"Action": "Import" if name == "Logs" else "Add", "LogicalResourceId": name, "ResourceType": each["Type"]}
            for name, each in parse(sent["TemplateBody"])["Resources"].items()
        ]
        wrapped = [{"Type": "Resource", "ResourceChange": change} for change in changes]
        return {"ChangeSetId": arn, "StackId": ID, "Status": "CREATE_COMPLETE", "Changes": wrapped}

    def DeleteChangeSet(self, params):  # noqa: N802
        self.sets.pop(self._arn(params), None)
        return {}

    def ListChangeSets(self, _params):  # noqa: N802
        names = [{"ChangeSetId": arn, "ChangeSetName": sent["ChangeSetName"]} for arn, sent in self.sets.items()]
        return {
            "Summaries": [
                {**each, "Status": "CREATE_COMPLETE", "CreationTime": BEGIN.replace(year=9999)} for each in names
            ]
        }

    def DescribeEvents(self, _params):  # noqa: N802
        return {"OperationEvents": []}

    def DeleteStack(self, _params):  # noqa: N802
        self.sets.clear()
        self.shell = False
        return {}

    def _arn(self, params) -> str:
        name = params["ChangeSetName"]
        found = next((arn for arn, sent in self.sets.items() if name in {arn, sent["ChangeSetName"]}), "")
        if not found:
            raise AwsError("ChangeSetNotFound", "it is gone")
        return found


def planned(answers, clock, body) -> Plan:
    plans: list[Plan] = []
    ended = run(
        *(answers, clock),
        body=body,
        tags={OWN["Key"]: OWN["Value"]},
        approve=plans.append,
        options=Options(import_existing=True),
    )
    assert ended.outcome is Outcome.PLANNED
    return plans[0]


@pytest.mark.parametrize("body", [BODY, WITH_NESTED], ids=["flat", "nested"])
def test_only_found_resources_are_marked_and_plan_leaves_nothing(answers, clock, body):
    aws = Kept(answers)

    plan = planned(answers, clock, body)

    assert {change.logical_id: change.action for change in plan.changes}["Logs"] == "Import"
    marks = [imports.imported_resources(parse(sent["TemplateBody"])) for sent in answers.of("CreateChangeSet")]
    assert marks[0] == parse(body)["Resources"].keys()
    assert set(marks[1:]) == {frozenset({"Logs"})}
    assert aws.is_clean


@pytest.mark.parametrize("body", [BODY, WITH_NESTED], ids=["flat", "nested"])
@pytest.mark.parametrize(
    ("error", "done"),
    [(KeyboardInterrupt(), False), (KeyboardInterrupt(), True), (AwsError("AccessDenied", "no", status=403), False)],
    ids=["ctrl-c before", "ctrl-c after", "refused"],
)
def test_plan_interrupted_at_any_call_leaves_nothing(answers, clock, body, error, done):
    for cut in range(1, TOO_FAR):
        aws = Kept(answers)

        def act(number, is_done, cut=cut):
            if number == cut and is_done is done:
                raise error

        aws.act = act
        with contextlib.suppress(KeyboardInterrupt, SetupError):
            planned(answers, clock, body)
        if aws.calls < cut:
            return
        assert aws.is_clean, f"interrupted at call {cut}: {operations(answers)[-aws.calls :]}"
    pytest.fail("the plan never comes to an end")


def test_credentials_expired_at_second_change_set_name_leftovers(answers, clock):
    aws = Kept(answers)

    def act(_number, _is_done):
        if len(answers.of("CreateChangeSet")) > 1:
            raise AwsError("ExpiredToken", "the token has expired")

    aws.act = act

    with pytest.raises(CredentialsInvalidError) as expired:
        planned(answers, clock, BODY)

    assert all(name in expired.value.hint for name in aws.sets)


def test_reason_is_reported_if_change_set_cannot_be_deleted(answers, clock):
    aws = Kept(answers)
    answers.on("cloudformation", "DeleteChangeSet", AwsError("AccessDenied", "no", status=403))
    answers.on("cloudformation", "CreateChangeSet", AwsError("ValidationError", "Template format error"))

    with pytest.raises(TemplateRejectedError, match="Template format error") as rejected:
        planned(answers, clock, BODY)

    assert "could not be deleted" in rejected.value.hint
    assert aws.is_clean
