"""Deployments of stacks in the sandbox."""

from __future__ import annotations

import dataclasses
import re
import time

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.constructs import CiBuild, SourceCredentials, build
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import (
    DeployFailedError,
    OperationInterruptedError,
    StackBusyError,
    StackError,
    StackNotUpdatableError,
    TemplateRejectedError,
    TimedOutError,
)
from exasol_ci_setup.core.stacks import Options, Outcome, Plan, PropertyChange, Setting
from exasol_ci_setup.stacks import delete, state
from exasol_ci_setup.stacks.deploy import deploy
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template, render
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live

URL = "https://github.com/exasol/script-languages-release"


def request(kind=CiBuild, *, tags=None, **values) -> Request:
    if kind is CiBuild:
        values = {"project": "Slc", "project_url": URL, **values}
    construct = build(kind, **values)
    return Request(name=construct.stack_name, template=render(construct), tags={**(tags or {}), **construct.tags})


CREDENTIALS = request(SourceCredentials, secret_name="github", secret_user_key="user", secret_token_key="token")


def plain(name: str, resources: str, **options) -> Request:
    """Return the request for a stack of this tool with a few lines of YAML."""
    body = f"Resources:\n{resources}"
    return Request(
        name=name, template=Template("plain.yaml", body), tags={"exasol-ci-setup:construct": "Plain"}, **options
    )


def run(
    account,
    wanted,
    *,
    approve=lambda _plan: True,
    shown=None,
    linter=None,
    **options,
):
    reporter = shown if shown is not None else RecordingReporter(approve)
    return deploy(Context(account, SystemClock(), reporter, linter), wanted, Options(**options))


def remembering(plans):
    """Approve every plan, and keep it."""

    def approve(plan):
        plans.append(plan)
        return True

    return approve


def everything(account) -> tuple[object, ...]:
    """Return everything that CloudFormation shows of the stacks, without the metadata of requests."""
    cfn = account.client("cloudformation")
    stacks = cfn.describe_stacks()["Stacks"]
    living = [s for s in cfn.list_stacks()["StackSummaries"] if s["StackStatus"] != "DELETE_COMPLETE"]
    sets = [cfn.list_change_sets(StackName=stack["StackName"])["Summaries"] for stack in stacks]
    return stacks, living, sets, [cfn.get_template(StackName=stack["StackName"])["TemplateBody"] for stack in stacks]


@pytest.fixture
def ready(live):
    """An account with the source credentials and the CI stack."""
    run(live, CREDENTIALS)
    run(live, request())
    return live


def test_new_stack_has_project_webhook_and_bucket_policy(live):
    run(live, CREDENTIALS)
    shown = RecordingReporter()

    result = run(live, request(), shown=shown)

    assert result.outcome is Outcome.DEPLOYED
    assert result.stack.status == "CREATE_COMPLETE"
    assert result.stack.outputs["ProjectName"] == "SlcCodeBuild"
    project = live.client("codebuild").batch_get_projects(names=["SlcCodeBuild"])["projects"][0]
    assert project["source"]["location"] == URL
    filters = {f["type"]: f["pattern"] for f in project["webhook"]["filterGroups"][0]}
    assert filters["EVENT"] == "PUSH"
    assert re.match(filters["HEAD_REF"], "refs/heads/feature/x")
    policy = live.client("s3").get_bucket_policy(Bucket=result.stack.outputs["ArtifactsBucketName"])["Policy"]
    assert "aws:SecureTransport" in policy
    assert shown.lines[0] == "CREATE_IN_PROGRESS Slc"
    assert shown.lines[-1] == "CREATE_COMPLETE Slc"
    assert "CREATE_COMPLETE CodeBuild" in shown.lines


@pytest.mark.usefixtures("github_access")
def test_plan_of_new_stack_names_resources_and_permissions(live):
    plans: list[Plan] = []

    run(live, request(), approve=plans.append)

    (plan,) = plans
    assert plan.kind == "CREATE"
    assert {change.action for change in plan.changes} == {"Add"}
    assert {change.logical_id for change in plan.changes} >= {"CodeBuild", "ArtifactsBucket", "ArtifactsBucketPolicy"}
    assert any("secretsmanager:GetSecretValue" in broadening.message for broadening in plan.broadenings)


def test_second_deploy_changes_nothing_and_leaves_no_change_set(ready):
    before = everything(ready)

    result = run(ready, request(), approve=lambda _plan: pytest.fail("there is nothing to approve"))

    assert result.outcome is Outcome.UNCHANGED
    assert result.stack.outputs["ProjectName"] == "SlcCodeBuild"
    assert everything(ready) == before


def test_forced_change_set_without_changes_is_deleted(ready):
    before = everything(ready)

    result = run(
        ready, dataclasses.replace(request(), force=True), approve=lambda _plan: pytest.fail("nothing to approve")
    )

    assert result.outcome is Outcome.UNCHANGED
    assert everything(ready) == before


def test_plan_shows_property_before_and_after_and_creates_nothing(ready):
    before = everything(ready)
    plans: list[Plan] = []

    result = run(ready, request(project_url="https://github.com/exasol/other"), approve=plans.append)

    assert result.outcome is Outcome.PLANNED
    (change,) = [change for change in plans[0].changes if change.logical_id == "CodeBuild"]
    assert change.action == "Modify"
    located = {p.path: (p.before, p.after) for p in change.properties}
    assert located["Source.Location"] == (URL, "https://github.com/exasol/other")
    assert everything(ready) == before


@pytest.mark.usefixtures("github_access")
@pytest.mark.parametrize("answer", [False, KeyboardInterrupt, RuntimeError])
def test_rejected_plan_of_new_stack_leaves_nothing(live, answer):
    before = everything(live)

    def approve(_plan):
        if answer is False:
            return False
        raise answer

    if answer is False:
        assert run(live, request(), approve=approve).outcome is Outcome.PLANNED
    else:
        with pytest.raises(answer):
            run(live, request(), approve=approve)

    assert everything(live) == before
    assert state.is_absent(state.find(live.client("cloudformation"), "Slc"))


def test_empty_stack_with_other_change_set_is_kept(live):
    cfn = live.client("cloudformation")
    body = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"

    def approve(_plan):
        cfn.create_change_set(StackName="Shared", ChangeSetName="theirs", ChangeSetType="CREATE", TemplateBody=body)
        return False

    run(live, plain("Shared", "  Topic:\n    Type: AWS::SNS::Topic\n"), approve=approve)

    assert [each["ChangeSetName"] for each in cfn.list_change_sets(StackName="Shared")["Summaries"]] == ["theirs"]
    assert cfn.describe_stacks(StackName="Shared")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"


def test_update_is_executed(ready):
    result = run(ready, request(project_url="https://github.com/exasol/other"))

    assert result.stack.status == "UPDATE_COMPLETE"
    project = ready.client("codebuild").batch_get_projects(names=["SlcCodeBuild"])["projects"][0]
    assert project["source"]["location"] == "https://github.com/exasol/other"


def test_only_events_of_operation_are_shown(ready):
    shown = RecordingReporter()

    run(ready, request(project_url="https://github.com/exasol/other"), shown=shown)

    assert shown.lines[0] == "UPDATE_IN_PROGRESS Slc"
    assert not [line for line in shown.lines if line.startswith("CREATE")]
    assert len(shown.lines) == len(set(shown.ids))


def test_changed_tag_is_planned_and_applied(ready):
    plans: list[Plan] = []

    result = run(ready, request(tags={"team": "lang"}), approve=remembering(plans))

    assert Setting("tags.team", after="lang") in plans[0].settings
    assert result.stack.tags["team"] == "lang"


def test_termination_protection_is_applied_without_other_changes(ready):
    plans: list[Plan] = []
    protected = dataclasses.replace(request(), termination_protection=True)

    result = run(ready, protected, approve=remembering(plans))

    assert plans[0].settings == (Setting("termination-protection", before=False, after=True),)
    assert not plans[0].change_set_id
    assert result.stack.termination_protection
    assert run(ready, protected).outcome is Outcome.UNCHANGED
    with pytest.raises(StackError, match="protected against deletion"):
        delete.require_deletable(result.stack)


@pytest.mark.usefixtures("github_access")
def test_bucket_name_used_in_account_is_rejected_before_deployment(live):
    live.client("s3").create_bucket(
        Bucket="taken-by-myself", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    before = everything(live)

    with pytest.raises(
        TemplateRejectedError, match=r"ArtifactsBucket \(AWS::S3::Bucket\): .*taken-by-myself.* already exists"
    ):
        run(live, request(bucket_name="taken-by-myself"))

    assert everything(live) == before


def test_used_bucket_name_is_reported_with_reason_of_aws(live, other_account):
    other_account.client("s3").create_bucket(
        Bucket="taken-by-another", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    run(live, CREDENTIALS)

    with pytest.raises(DeployFailedError) as failed:
        run(live, request(bucket_name="taken-by-another"))

    diagnosis = failed.value.diagnosis
    assert diagnosis.logical_id == "ArtifactsBucket"
    assert "already" in diagnosis.reason
    assert diagnosis.status == "ROLLBACK_COMPLETE"
    assert "--recreate-failed" in failed.value.hint
    with pytest.raises(StackNotUpdatableError, match="ROLLBACK_COMPLETE") as stuck:
        run(live, request())
    assert "--recreate-failed" in stuck.value.hint

    result = run(live, request(), recreate_failed=True)

    assert result.stack.status == "CREATE_COMPLETE"


@pytest.mark.usefixtures("lost_access")
def test_refused_creation_after_deletion_names_deletion(live):
    with pytest.raises(DeployFailedError):
        run(live, request())
    run(live, CREDENTIALS)
    live.client("s3").create_bucket(
        Bucket="taken-by-myself-too", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )

    with pytest.raises(TemplateRejectedError) as refused:
        run(live, request(bucket_name="taken-by-myself-too"), recreate_failed=True)

    assert refused.value.message.startswith(
        "stack Slc was deleted, but not created again: AWS rejected the change to stack Slc"
    )
    assert "the deletion of Slc remains" in refused.value.hint
    assert "nothing was changed" not in refused.value.hint
    assert state.find(live.client("cloudformation"), "Slc") is None


@pytest.mark.usefixtures("lost_access")
def test_declined_recreation_keeps_stack(live):
    with pytest.raises(DeployFailedError):
        run(live, request())
    run(live, CREDENTIALS)

    result = run(live, request(), recreate_failed=True, approve=lambda _plan: False)

    assert result.outcome is Outcome.PLANNED
    assert state.get(live.client("cloudformation"), "Slc").status == "ROLLBACK_COMPLETE"


def test_failed_stack_of_another_tool_is_not_recreated(live):
    cfn = live.client("cloudformation")
    body = render(build(CiBuild, project="Slc", project_url=URL)).body
    cfn.create_stack(StackName="Slc", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    stack = wait_for(live, "Slc", "ROLLBACK_COMPLETE")
    assert not state.is_own(stack)

    for adopt, error in ((False, StackError), (True, StackNotUpdatableError)):
        with pytest.raises(error):
            run(
                live,
                request(),
                recreate_failed=True,
                adopt=adopt,
                approve=lambda _plan: pytest.fail("not ours"),
            )

    assert state.get(cfn, "Slc").id == stack.id


def wait_for(account, name, status):
    cfn = account.client("cloudformation")
    while (stack := state.find(cfn, name)) is None or stack.status != status:
        time.sleep(0.01)
    return stack


@pytest.mark.usefixtures("lost_access")
def test_on_failure_delete_leaves_no_stack(live):
    with pytest.raises(DeployFailedError) as failed:
        run(live, dataclasses.replace(request(), on_failure="delete"))

    assert "Could not find access token" in failed.value.diagnosis.reason
    assert state.is_absent(state.find(live.client("cloudformation"), "Slc"))


def test_failed_update_prints_root_cause_and_is_rolled_back(ready, other_account):
    other_account.client("s3").create_bucket(
        Bucket="taken-for-update", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )

    with pytest.raises(DeployFailedError) as failed:
        run(ready, request(bucket_name="taken-for-update"))

    assert failed.value.diagnosis.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "rolled the change back" in failed.value.hint
    assert state.get(ready.client("cloudformation"), "Slc").status == "UPDATE_ROLLBACK_COMPLETE"


def test_deploy_after_rollback_restores_template(ready, other_account):
    other_account.client("s3").create_bucket(
        Bucket="taken-once-more", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    with pytest.raises(DeployFailedError):
        run(ready, request(bucket_name="taken-once-more"))

    result = run(ready, request(project_url="https://github.com/exasol/other"))

    assert result.stack.status == "UPDATE_COMPLETE"


def test_rejected_template_leaves_nothing(live):
    before = everything(live)

    with pytest.raises(TemplateRejectedError, match="Nowhere"):
        run(live, plain("Bad", "  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      TopicName: !Ref Nowhere\n"))

    assert everything(live) == before


@pytest.mark.usefixtures("github_access")
def test_failed_check_stops_before_deployment(live):
    before = everything(live)

    class Linter:
        def check(self, _template, _region, _reporter):
            raise TemplateRejectedError("no")

    with pytest.raises(TemplateRejectedError):
        run(live, request(), linter=Linter())

    assert everything(live) == before


def test_large_template_is_uploaded_to_private_bucket(live, account_id):
    topics = "".join(
        f"  Topic{n}:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: {'x' * 500}{n}\n"
        for n in range(100)
    )
    wanted = plain("Large", topics)
    assert len(wanted.template.body) > 51_200

    result = run(live, wanted)

    assert result.stack.status == "CREATE_COMPLETE"
    s3 = live.client("s3")
    bucket = f"exasol-ci-setup-templates-{account_id}-eu-central-1"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["Expiration"]["Days"] == 30
    assert run(live, wanted).outcome is Outcome.UNCHANGED


def test_template_over_limit_is_rejected_with_both_sizes(live):
    with pytest.raises(TemplateRejectedError, match=r"1,\d{3},\d{3} bytes, CloudFormation reads at most 1,048,576"):
        run(live, plain("Huge", "  T:\n    Type: AWS::SNS::Topic\n#" + "x" * 1_048_576))


SLOW = "  First:\n    Type: AWS::SNS::Topic\n  Second:\n    Type: AWS::SNS::Topic\n    DependsOn: First\n"


def slow(display: str = "", **options) -> Request:
    extra = f"    Properties:\n      DisplayName: {display}\n" if display else ""
    return plain("Slow", SLOW.replace("    DependsOn", extra + "    DependsOn"), **options)


class PressingCtrlC(RecordingReporter):
    """Press Ctrl-C at the first event of the resource First."""

    is_pressed = False

    def event(self, event):
        super().event(event)
        if event.logical_id == "First" and not self.is_pressed:
            self.is_pressed = True
            raise KeyboardInterrupt


class Releasing(RecordingReporter):
    """Release the operations at the first event."""

    def __init__(self, operations):
        super().__init__()
        self._operations = operations

    def event(self, event):
        super().event(event)
        self._operations.release()


def test_ctrl_c_during_creation_reports_that_aws_continues(live, operations):
    operations.hold()

    with pytest.raises(OperationInterruptedError, match="AWS continues with stack Slow") as interrupted:
        run(live, slow(), shown=PressingCtrlC())

    assert "watch Slow" in interrupted.value.hint
    operations.release()
    wait_for(live, "Slow", "CREATE_COMPLETE")


def test_ctrl_c_during_update_cancels_it(live, operations):
    run(live, slow())
    operations.hold()
    operations.release_after("CancelUpdateStack")
    shown = PressingCtrlC()

    with pytest.raises(OperationInterruptedError, match="UPDATE_ROLLBACK_COMPLETE"):
        run(
            live,
            plain("Slow", SLOW.replace("Topic\n", "Topic\n    Properties:\n      DisplayName: new\n")),
            shown=shown,
        )

    assert any("cancel" in note for note in shown.notes)
    assert len(shown.ids) == len(set(shown.ids))


def test_creation_over_timeout_is_deleted(live, operations):
    operations.hold()
    operations.release_after("DeleteStack")

    with pytest.raises(TimedOutError, match=r"was not created within .* what was created is deleted"):
        run(live, slow(), timeout=0.2)

    assert state.is_absent(state.find(live.client("cloudformation"), "Slow"))
    assert live.session.client("sns", endpoint_url=live.endpoint_url).list_topics()["Topics"] == []


def test_creation_over_timeout_can_continue(live, operations):
    operations.hold()

    with pytest.raises(TimedOutError, match="AWS continues with it"):
        run(live, slow(on_failure="keep"), timeout=0.2)

    operations.release()
    wait_for(live, "Slow", "CREATE_COMPLETE")


def test_update_over_timeout_is_canceled(live, operations):
    run(live, slow())
    operations.hold()
    operations.release_after("CancelUpdateStack")

    with pytest.raises(TimedOutError, match="UPDATE_ROLLBACK_COMPLETE"):
        run(
            live,
            plain("Slow", SLOW.replace("Topic\n", "Topic\n    Properties:\n      DisplayName: new\n")),
            timeout=0.2,
        )


def test_other_operation_in_progress_is_reported_or_waited_for(live, operations):
    operations.hold()
    with pytest.raises(OperationInterruptedError):
        run(live, slow(), shown=PressingCtrlC())

    with pytest.raises(StackBusyError, match="CREATE_IN_PROGRESS") as busy:
        run(live, slow("new"))
    assert "--wait" in busy.value.hint

    result = run(live, slow("new"), wait=True, shown=Releasing(operations))

    assert result.stack.status == "UPDATE_COMPLETE"


def test_same_request_follows_operation_in_progress(live, operations):
    operations.hold()
    with pytest.raises(OperationInterruptedError):
        run(live, slow(), shown=PressingCtrlC())
    before = state.get(live.client("cloudformation"), "Slow")

    shown = Releasing(operations)

    result = run(live, slow(), shown=shown, approve=lambda _plan: pytest.fail("nothing new to approve"))

    assert result.outcome is Outcome.DEPLOYED
    assert result.stack.id == before.id
    assert result.stack.status == "CREATE_COMPLETE"
    assert shown.lines[0] == "CREATE_IN_PROGRESS Slow"
    assert shown.lines[-1] == "CREATE_COMPLETE Slow"


def test_replaced_resource_is_marked(ready):
    plans: list[Plan] = []

    run(ready, request(bucket_name="another-name-for-it"), approve=plans.append)

    (change,) = [change for change in plans[0].changes if change.logical_id == "ArtifactsBucket"]
    assert change.replacement == "True"
    assert PropertyChange("BucketName", after="another-name-for-it", recreates="Always") in change.properties


def test_broader_access_is_listed(ready):
    plans: list[Plan] = []
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Other-a1B2c3"

    run(ready, request(docker_secret=arn), approve=plans.append)

    assert [b.message for b in plans[0].broadenings if arn in b.message]


def test_deleted_stack_has_no_resources(ready):
    cfn = ready.client("cloudformation")
    stack = state.get(cfn, "Slc")
    shown = RecordingReporter()

    delete.delete(Context(ready, SystemClock(), shown), stack)

    assert state.is_absent(state.find(cfn, "Slc"))
    assert shown.lines[-1] == "DELETE_COMPLETE Slc"
    assert not ready.client("codebuild").batch_get_projects(names=["SlcCodeBuild"])["projects"]


def test_all_object_versions_are_deleted_in_batches(live):
    s3 = live.client("s3")
    s3.create_bucket(Bucket="many-versions", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket="many-versions", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket="many-versions", Key=f"key{number}", Body=b"1")
        s3.put_object(Bucket="many-versions", Key=f"key{number}", Body=b"2")
    s3.delete_object(Bucket="many-versions", Key="key0")

    assert delete.empty_bucket(s3, "many-versions") == 7

    assert "Versions" not in s3.list_object_versions(Bucket="many-versions")
    assert delete.empty_bucket(s3, "no-such-bucket-here") == 0


@pytest.mark.parametrize("adopt", [False, True])
def test_stack_of_another_construct_is_refused(live, adopt):
    topic = "  Topic:\n    Type: AWS::SNS::Topic\n"
    run(live, plain("Taken", topic))
    wanted = dataclasses.replace(
        plain("Taken", topic), tags={"exasol-ci-setup:construct": "Plain", "exasol-ci-setup:name": "other"}
    )

    with pytest.raises(StackError, match="belongs to construct Plain, not to construct Plain, name other"):
        run(live, wanted, adopt=adopt)

    assert "exasol-ci-setup:name" not in state.get(live.client("cloudformation"), "Taken").tags


def test_stack_of_another_tool_is_adopted_only_with_option(live):
    cfn = live.client("cloudformation")
    cfn.create_stack(StackName="Theirs", TemplateBody="Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n")
    wait_for(live, "Theirs", "CREATE_COMPLETE")
    wanted = plain("Theirs", "  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: ours\n")

    with pytest.raises(StackError, match="was not created by this tool"):
        run(live, wanted)
    result = run(live, wanted, adopt=True)

    assert state.is_own(result.stack)


def test_concurrent_equal_change_is_planned_again_and_up_to_date(ready):
    wanted, plans = request(tags={"team": "db"}), []

    def while_the_other_makes_it(plan):
        plans.append(plan)
        run(ready, wanted)
        return True

    result = run(ready, wanted, approve=while_the_other_makes_it)

    assert result.outcome is Outcome.UNCHANGED
    assert len(plans) == 1
    assert ready.client("cloudformation").list_change_sets(StackName=wanted.name)["Summaries"] == []


def test_plan_after_concurrent_change_needs_new_approval(ready):
    plans = []

    def while_the_other_makes_another(plan):
        plans.append(plan)
        if len(plans) == 1:
            run(ready, request(tags={"team": "other"}))
        return len(plans) == 1

    result = run(ready, request(tags={"team": "db"}), approve=while_the_other_makes_another)

    assert result.outcome is Outcome.PLANNED
    assert len(plans) == 2
    assert state.get(ready.client("cloudformation"), request().name).tags["team"] == "other"


def test_output_is_added_without_change_of_resource(live):
    topic = "  Topic: {Type: AWS::SNS::Topic}\n"
    run(live, plain("Topic", topic))
    plans: list[Plan] = []

    result = run(live, plain("Topic", f"{topic}Outputs: {{Name: {{Value: fixed}}}}\n"), approve=remembering(plans))

    assert result.outcome is Outcome.DEPLOYED
    assert result.stack.outputs == {"Name": "fixed"}
    assert [each.name for each in plans[0].settings] == ["outputs.Name"]
    assert plans[0].changes == ()


def test_difference_that_aws_does_not_see_is_noted(live):
    body = "  Topic: {Type: AWS::SNS::Topic}\nParameters: {Unused: {Type: String}}\n"
    run(live, plain("Topic", body, parameters={"Unused": "one"}))
    reporter = RecordingReporter()

    result = run(live, plain("Topic", body, parameters={"Unused": "two"}), shown=reporter)

    assert result.outcome is Outcome.UNCHANGED
    assert [note for note in reporter.notes if "parameters.Unused" in note]


def test_access_of_resources_in_loop_is_reviewed(live):
    rule = "{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}"
    group = f"{{Type: AWS::EC2::SecurityGroup, Properties: {{GroupDescription: g, SecurityGroupIngress: [{rule}]}}}}"
    loop = f'  "Fn::ForEach::Groups": [N, [A, B], {{"Group${{N}}": {group}}}]\nTransform: AWS::LanguageExtensions\n'
    plans: list[Plan] = []

    run(live, plain("Loop", loop), approve=remembering(plans))

    assert [(each.logical_id, each.public) for each in plans[0].broadenings] == [("GroupA", True), ("GroupB", True)]
    assert run(live, plain("Loop", loop)).outcome is Outcome.UNCHANGED
    assert not run(live, plain("Loop", loop)).plan.broadenings
