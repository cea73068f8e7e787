"""Imports of existing resources in the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import DeployFailedError, TemplateRejectedError
from exasol_ci_setup.core.stacks import Outcome, Plan
from exasol_ci_setup.stacks import delete, imports, plan, state
from exasol_ci_setup.stacks.resources import of_id
from exasol_ci_setup.template.render import parse
from tests.reporters import RecordingReporter
from tests.stacks.test_deploy_live import CREDENTIALS, everything, remembering, request, run

pytestmark = pytest.mark.live

LOGS = "/aws/codebuild/SlcCodeBuild"


@pytest.fixture
def with_logs(live):
    """An account with the existing log group of a deleted project with this name."""
    run(live, CREDENTIALS)
    live.client("logs").create_log_group(logGroupName=LOGS)
    return live


def groups(account) -> list[str]:
    return [each["logGroupName"] for each in account.client("logs").describe_log_groups()["logGroups"]]


def deployed(account) -> dict[str, dict[str, Any]]:
    resources: dict[str, dict[str, Any]] = plan.deployed_template(account.client("cloudformation"), "Slc")["Resources"]
    return resources


def actions(made) -> dict[str, str]:
    return {change.logical_id: change.action for change in made.changes}


def test_existing_resources_are_imported_and_others_created(with_logs):
    plans: list[Plan] = []

    result = run(with_logs, request(), import_existing=True, approve=remembering(plans))

    assert result.outcome is Outcome.DEPLOYED
    assert actions(plans[0]).pop("CodeBuildLogGroup") == "Import"
    assert {action for name, action in actions(plans[0]).items() if name != "CodeBuildLogGroup"} == {"Add"}
    assert deployed(with_logs)["CodeBuildLogGroup"]["DeletionPolicy"] == "Retain"
    assert deployed(with_logs)["CodeBuildLogGroup"]["UpdateReplacePolicy"] == "Retain"
    assert not {"DeletionPolicy", "Metadata"} & deployed(with_logs)["ArtifactsBucket"].keys()
    assert with_logs.client("cloudformation").list_change_sets(StackName="Slc")["Summaries"] == []


def test_deploy_without_option_reports_no_changes(with_logs):
    run(with_logs, request(), import_existing=True)

    assert run(with_logs, request()).outcome is Outcome.UNCHANGED
    assert run(with_logs, request(), import_existing=True).outcome is Outcome.UNCHANGED


def test_later_change_keeps_marks_of_imported_resources(with_logs):
    run(with_logs, request(), import_existing=True)
    plans: list[Plan] = []

    run(with_logs, request(log_retention_in_days=30), approve=remembering(plans))

    changed = next(change for change in plans[0].changes if change.logical_id == "CodeBuildLogGroup")
    assert [each.path for each in changed.properties] == ["RetentionInDays"]
    assert deployed(with_logs)["CodeBuildLogGroup"]["Properties"]["RetentionInDays"] == 30
    assert imports.imported_resources({"Resources": deployed(with_logs)}) == {"CodeBuildLogGroup"}


def test_deleted_stack_retains_imported_resources(with_logs):
    stack = run(with_logs, request(), import_existing=True).stack
    cfn = with_logs.client("cloudformation")
    assert delete.retained(cfn, stack, of_id(cfn, stack.id), ()) == {"CodeBuildLogGroup"}

    delete.delete(Context(with_logs), stack)

    assert groups(with_logs) == [LOGS]
    assert state.find(cfn, "Slc") is None
    assert run(with_logs, request(), import_existing=True).stack.status == "CREATE_COMPLETE"


def test_resource_added_by_update_is_imported(live):
    run(live, CREDENTIALS)
    run(live, request())
    other = request(project="Slc", bucket_name="there-already")
    live.client("s3").create_bucket(
        Bucket="there-already", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    # The bucket of the stack is not imported under its new name: only added resources are imported.
    with pytest.raises(TemplateRejectedError, match="already exists"):
        run(live, other, import_existing=True)
    assert live.client("cloudformation").list_change_sets(StackName="Slc")["Summaries"] == []


def test_without_existing_resources_all_are_created_unmarked(live):
    run(live, CREDENTIALS)
    plans: list[Plan] = []

    run(live, request(), import_existing=True, approve=remembering(plans))

    assert set(actions(plans[0]).values()) == {"Add"}
    assert imports.imported_resources({"Resources": deployed(live)}) == frozenset()
    assert deployed(live) == parse(request().template.body)["Resources"]


def test_plan_leaves_nothing(with_logs):
    before = everything(with_logs)

    result = run(with_logs, request(), import_existing=True, approve=lambda _plan: False)

    assert result.outcome is Outcome.PLANNED
    assert everything(with_logs) == before
    assert groups(with_logs) == [LOGS]


def test_resource_of_other_stack_is_not_imported(with_logs):
    run(with_logs, request(), import_existing=True)
    before = everything(with_logs)

    with pytest.raises(TemplateRejectedError, match="already exists in stack") as refused:
        run(with_logs, request(stack_name="Second"), import_existing=True)

    assert "--import-existing" not in refused.value.hint
    assert everything(with_logs) == before


def test_used_name_is_rejected_with_import_option_as_hint(with_logs):
    with_logs.client("s3").create_bucket(
        Bucket="there-before", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )

    with pytest.raises(TemplateRejectedError) as refused:
        run(with_logs, request(bucket_name="there-before"))
    assert "--import-existing" in refused.value.hint

    result = run(with_logs, request(bucket_name="there-before"), import_existing=True)
    assert result.stack.outputs["ArtifactsBucketName"] == "there-before"


@pytest.mark.usefixtures("lost_access")
def test_imported_resource_survives_recreation_with_notice(live):
    live.client("logs").create_log_group(logGroupName=LOGS)
    with pytest.raises(DeployFailedError):
        run(live, request(), import_existing=True)
    run(live, CREDENTIALS)
    reporter = RecordingReporter(lambda _plan: False)
    run(live, request(), recreate_failed=True, shown=reporter)
    approving = RecordingReporter()
    run(live, request(), import_existing=True, recreate_failed=True, shown=approving)

    kept = "imported resources of stack Slc are kept when it is deleted: CodeBuildLogGroup"
    assert [*reporter.notes, *approving.notes] == [
        kept,
        "--import-existing imports those again that have a name in the template",
        kept,
    ]
    assert imports.imported_resources({"Resources": deployed(live)}) == {"CodeBuildLogGroup"}
    assert groups(live) == [LOGS]
