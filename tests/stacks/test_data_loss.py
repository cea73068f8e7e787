"""Changes that delete data: by AWS's scope, by policies in templates, and by resource type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import REGIONS
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from exasol_ci_setup.core.stacks import NESTED, Change, Plan, Stack
from exasol_ci_setup.stacks import data_loss, removed
from exasol_ci_setup.stacks.data_holders import HOLDERS, SNAPSHOTS
from tests.answers import AwsError

TABLE = "AWS::DynamoDB::Table"
VOLUME = "AWS::EC2::Volume"
DATABASE = "AWS::RDS::DBInstance"
REMOVED = Change("Remove", "R", TABLE)
REPLACED = Change("Modify", "R", TABLE, replacement="True")


def is_lost(change: Change, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None) -> bool:
    before, after = ({"Resources": {"R": {"Type": change.type, **(resource or {})}}} for resource in (old, new))
    (marked,) = data_loss.marked([change], before, after)
    return marked.data_loss


def of(kind: str, action: str = "Remove", **more: Any) -> Change:
    return Change(action, "R", kind, **more)


@pytest.mark.parametrize(
    ("change", "old", "new", "lost"),
    [
        (REMOVED, {}, None, True),
        (REPLACED, {}, {}, True),
        (of(TABLE, "Modify", replacement="Conditional"), {}, {}, True),
        (of(TABLE, "Modify", replacement="False"), {}, {}, False),
        (of(TABLE, "Modify"), {}, {}, False),
        (of(TABLE, "Dynamic"), {}, {}, True),
        (of(TABLE, "Add"), {}, {}, False),
        (of(TABLE, "Import"), {}, {}, False),
        (of("AWS::SNS::Topic"), {}, None, False),
        # The deployed template decides on a removal, the new one on a replacement.
        (REMOVED, {"DeletionPolicy": "Retain"}, None, False),
        (REMOVED, {"DeletionPolicy": "RetainExceptOnCreate"}, None, False),
        (REMOVED, {"UpdateReplacePolicy": "Retain"}, None, True),
        (REMOVED, {"DeletionPolicy": {"Ref": "Policy"}}, None, True),
        (REPLACED, {}, {"UpdateReplacePolicy": "Retain"}, False),
        (REPLACED, {"UpdateReplacePolicy": "Retain"}, {}, True),
        (REPLACED, {"DeletionPolicy": "Retain"}, {"DeletionPolicy": "Retain"}, True),
        # Only some types support snapshots; for some it is the default.
        (of(VOLUME), {"DeletionPolicy": "Snapshot"}, None, False),
        (REMOVED, {"DeletionPolicy": "Snapshot"}, None, True),
        (of(VOLUME, "Modify", replacement="True"), {}, {"UpdateReplacePolicy": "Snapshot"}, False),
        (of(DATABASE), {}, None, False),
        (of(DATABASE), {"DeletionPolicy": "Delete"}, None, True),
        (of(DATABASE), {"Properties": {"DBClusterIdentifier": "c"}}, None, True),
        (of(DATABASE, "Modify", replacement="True"), {}, {}, True),
        # The information of AWS has precedence over the templates.
        (of(TABLE, policy_action="Retain"), {}, None, False),
        (of(TABLE, policy_action="Delete"), {"DeletionPolicy": "Retain"}, None, True),
        (of(TABLE, "Modify", replacement="True", policy_action="ReplaceAndRetain"), {}, {}, False),
        (of(VOLUME, "Modify", replacement="True", policy_action="ReplaceAndSnapshot"), {}, {}, False),
    ],
)
def test_policies_and_types_decide_on_data_loss(change, old, new, lost):
    assert is_lost(change, old, new) is lost


def test_resource_missing_from_its_template_counts_as_lost():
    assert data_loss.marked([REMOVED], {}, {})[0].data_loss
    assert data_loss.marked([of(DATABASE)], None, None)[0].data_loss


def test_retained_nested_stack_loses_nothing():
    inner = Change("Remove", "Table", TABLE, data_loss=True)
    stack = Change("Remove", "R", NESTED, nested=(inner,), data_loss=True)

    kept, gone = (
        Plan("S", "UPDATE", changes=data_loss.marked([stack], {"Resources": {"R": {"DeletionPolicy": policy}}}, {}))
        for policy in ("Retain", "Delete")
    )

    assert kept.data_loss == ()
    assert gone.data_loss == ("R", "R/Table")


def test_each_listed_type_exists_and_no_stateful_type_is_missing():
    known = {kind for region in REGIONS for kind in PROVIDER_SCHEMA_MANAGER.get_resource_types(region)}
    stateful = json.loads((Path(AdditionalSpecs.__file__).parent / "StatefulResources.json").read_text())

    assert HOLDERS.keys() - known == set()
    assert stateful["ResourceTypes"].keys() - HOLDERS.keys() == {NESTED}
    assert set(SNAPSHOTS) <= HOLDERS.keys()


ID = "arn:aws:cloudformation:eu-central-1:123456789012:stack/%s/11111111-2222-3333-4444-555555555555"
STACK = Stack("Outer", ID % "Outer", "CREATE_COMPLETE")


def family(answers, resources: dict[str, list[tuple[str, str, str]]], templates: dict[str, str]) -> None:
    """Answer with stacks with these resources (name, type, physical ID) and templates, by stack name."""

    def listed(params):
        rows = resources[params["StackName"].split("/")[1]]
        return {
            "StackResourceSummaries": [
                {
                    "LogicalResourceId": name,
                    "ResourceType": kind,
                    "PhysicalResourceId": physical,
                    "ResourceStatus": "CREATE_COMPLETE",
                    "LastUpdatedTimestamp": "2026-01-01T00:00:00Z",
                }
                for name, kind, physical in rows
            ]
        }

    answers.on("cloudformation", "ListStackResources", listed)
    answers.on(
        "cloudformation", "GetTemplate", lambda params: {"TemplateBody": templates[params["StackName"].split("/")[1]]}
    )


def test_deletion_marks_data_in_nested_stacks_too(answers):
    family(
        answers,
        {
            "Outer": [("Inner", NESTED, ID % "Inner"), ("Topic", "AWS::SNS::Topic", "t"), ("Kept", TABLE, "k")],
            "Inner": [("Table", TABLE, "t"), ("Kept", TABLE, "k"), ("Never", TABLE, "")],
        },
        {
            "Outer": "Resources: {Inner: {Type: S}, Topic: {Type: T}, Kept: {Type: T, DeletionPolicy: Retain}}",
            "Inner": "Resources: {Table: {Type: T}, Kept: {Type: T, DeletionPolicy: Retain}}",
        },
    )

    plan = removed.plan_of(answers.account.client("cloudformation"), STACK)

    assert list(plan.every_change) == ["Inner", "Inner/Table", "Inner/Never", "Topic"]
    assert plan.data_loss == ("Inner/Table",)


def test_deletion_omits_retained_resources(answers):
    family(answers, {"Outer": [("Table", TABLE, "t"), ("Other", TABLE, "o")]}, {"Outer": "Resources: {}"})

    plan = removed.plan_of(answers.account.client("cloudformation"), STACK, retained={"Other"})

    assert plan.data_loss == ("Table",)


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        ({"logStreams": []}, ()),
        ({"logStreams": [{"logStreamName": "web/1"}]}, ("Logs",)),
        ("ResourceNotFoundException", ()),
        ("AccessDeniedException", ("Logs",)),
    ],
)
def test_log_group_without_streams_is_no_data_loss(answers, answer, lost):
    family(answers, {"Outer": [("Logs", "AWS::Logs::LogGroup", "/ecs/web")]}, {"Outer": "Resources: {}"})
    answers.on("logs", "DescribeLogStreams", AwsError(answer, "no") if isinstance(answer, str) else answer)
    plan = removed.plan_of(answers.account.client("cloudformation"), STACK)

    assert removed.without_empty_log_groups(answers.account, plan).data_loss == lost
