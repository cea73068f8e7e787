"""Drift in the sandbox: detected, shown and reverted."""

from __future__ import annotations

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.constructs import Registry, Scope
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import DeployFailedError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.stacks import ABSENT, Options, Outcome, Plan, PropertyChange, PropertyDrift
from exasol_ci_setup.core.task_graph import End
from exasol_ci_setup.programs import Connections, Declared, Deployment
from exasol_ci_setup.programs.resolve import require_success
from exasol_ci_setup.stacks import drift, network, state
from exasol_ci_setup.stacks.deploy import deploy
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template
from tests.reporters import RecordingReporter
from tests.templates import samples

pytestmark = pytest.mark.live

GROUP = """
Resources:
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: web
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 10.0.0.0/8}
        - {IpProtocol: tcp, FromPort: 80, ToPort: 80, CidrIp: 10.0.0.0/8, Description: plain}
      SecurityGroupEgress:
        - {IpProtocol: "-1", CidrIp: 0.0.0.0/0}
        - {IpProtocol: "-1", CidrIpv6: "::/0"}
"""
SSH = {"CidrIp": "0.0.0.0/0", "FromPort": 22, "IpProtocol": "tcp", "ToPort": 22}
HTTPS = {"CidrIp": "10.0.0.0/8", "FromPort": 443, "IpProtocol": "tcp", "ToPort": 443}


def permission(port, *blocks):
    ranges = [{"CidrIp": block} for block in blocks]
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": ranges}


def run(account, body=GROUP, *, plans=None):
    reporter = RecordingReporter()
    result = deploy(
        Context(account, reporter=reporter),
        Request("Web", Template("web.yaml", body), tags={"exasol-ci-setup:construct": "Test"}),
        Options(revert_drift=True),
    )
    if plans is not None:
        plans += reporter.plans
    return result


def found_in(account):
    context = Context(account)
    return drift.detect(context, state.get(context.cfn, "Web"))


def group_id(account):
    described = account.client("cloudformation").describe_stack_resource(StackName="Web", LogicalResourceId="Group")
    return described["StackResourceDetail"]["PhysicalResourceId"]


def rules(account):
    (group,) = account.client("ec2").describe_security_groups(GroupIds=[group_id(account)])["SecurityGroups"]
    return sorted(
        (each.get("FromPort", -1), block.get("CidrIp", ""))
        for each in group["IpPermissions"]
        for block in each["IpRanges"]
    )


def test_unchanged_group_has_no_drift(live):
    run(live)

    found = found_in(live)

    assert not found
    assert [(each.logical_id, each.status) for each in found.resources] == [("Group", "IN_SYNC")]


def test_added_and_removed_rules_are_reverted(live):
    run(live)
    ec2, group = live.client("ec2"), group_id(live)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission(22, "0.0.0.0/0", "192.0.2.1/32")])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission(443, "10.0.0.0/8")])

    (seen,) = found_in(live).drifted

    assert PropertyDrift("SecurityGroupIngress.0", HTTPS, ABSENT) in seen.properties
    assert PropertyDrift("SecurityGroupIngress.1", ABSENT, SSH) in seen.properties
    plans: list[Plan] = []
    result = run(live, plans=plans)
    assert result.outcome is Outcome.DEPLOYED
    assert PropertyChange("SecurityGroupIngress.1", SSH, ABSENT, "Never") in plans[0].changes[0].properties
    # Opening an address block that was closed by hand broadens access.
    assert [each.message for each in plans[0].broadenings] == ["security group Group lets 10.0.0.0/8 in on tcp 443"]
    assert rules(live) == [(80, "10.0.0.0/8"), (443, "10.0.0.0/8")]
    assert not found_in(live)
    assert run(live).outcome is Outcome.UNCHANGED


def test_drift_and_template_change_are_one_change_set(live):
    run(live)
    live.client("ec2").authorize_security_group_ingress(
        GroupId=group_id(live), IpPermissions=[permission(22, "0.0.0.0/0")]
    )

    run(live, GROUP.replace("443", "8443"))

    assert rules(live) == [(80, "10.0.0.0/8"), (8443, "10.0.0.0/8")]


def test_deleted_group_is_recreated(live):
    run(live)
    before = group_id(live)
    live.client("ec2").delete_security_group(GroupId=before)

    assert [each.status for each in found_in(live).drifted] == ["DELETED"]
    run(live)

    assert group_id(live) != before
    assert rules(live) == [(80, "10.0.0.0/8"), (443, "10.0.0.0/8")]
    assert not found_in(live)


def test_failed_revert_keeps_drift(live):
    run(live)
    live.client("ec2").authorize_security_group_ingress(
        GroupId=group_id(live), IpPermissions=[permission(22, "0.0.0.0/0")]
    )
    taken = "  Taken: {Type: 'AWS::Logs::LogGroup', DependsOn: Group, Properties: {LogGroupName: taken}}\n"

    def take_the_name(_plan):
        live.client("logs").create_log_group(logGroupName="taken")
        return True

    with pytest.raises(DeployFailedError):
        deploy(
            Context(live, reporter=RecordingReporter(take_the_name)),
            Request("Web", Template("web.yaml", GROUP + taken), tags={"exasol-ci-setup:construct": "Test"}),
            Options(revert_drift=True),
        )

    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html: the actual state before.
    assert (22, "0.0.0.0/0") in rules(live)


def test_invalid_deployment_mode_is_rejected(live):
    cfn = live.client("cloudformation")
    wanted = {"StackName": "Web", "ChangeSetName": "x", "TemplateBody": GROUP}

    with pytest.raises(cfn.exceptions.ClientError, match="enum value set"):
        cfn.create_change_set(**wanted, DeploymentMode="OTHER")
    with pytest.raises(cfn.exceptions.ClientError, match="REVERT_DRIFT"):
        cfn.create_change_set(**wanted, ChangeSetType="CREATE", DeploymentMode="REVERT_DRIFT")


def test_unexecuted_drift_aware_change_set_changes_nothing(live):
    run(live)
    live.client("ec2").authorize_security_group_ingress(
        GroupId=group_id(live), IpPermissions=[permission(22, "0.0.0.0/0")]
    )
    cfn = live.client("cloudformation")
    cfn.create_change_set(
        StackName="Web", ChangeSetName="look", TemplateBody=GROUP, ChangeSetType="UPDATE", DeploymentMode="REVERT_DRIFT"
    )
    described = cfn.describe_change_set(StackName="Web", ChangeSetName="look")

    assert [each["ResourceChange"]["LogicalResourceId"] for each in described["Changes"]] == ["Group"]
    cfn.delete_change_set(StackName="Web", ChangeSetName="look")
    assert (22, "0.0.0.0/0") in rules(live)


def test_type_without_drift_detection_is_listed(live):
    key = "  Key: {Type: 'AWS::KMS::Key', Properties: {KeyPolicy: {Version: '2012-10-17', Statement: []}}}\n"
    run(live, GROUP + key)
    cfn = live.client("cloudformation")
    stack = state.get(cfn, "Web")

    left = drift.unchecked(cfn, stack, found_in(live))

    assert [(each.logical_id, each.status) for each in left] == [("Key", "NOT_CHECKED")]


def test_existing_stacks_are_checked_once(live):
    scope = Scope(name="team", region="eu-central-1")
    declared = Declared([Registry(scope=scope, name=name) for name in ("a", "b", "c")])
    connect = Connections(SystemClock(), lambda _scope: live)
    looked: list[str] = []
    connect(scope).client("cloudformation").meta.events.register(
        "before-parameter-build.cloudformation.DetectStackDrift", lambda params, **_: looked.append(params["StackName"])
    )

    def deployment(**more):
        return Deployment(connect, NullReporter(), SystemClock(), network.find, **more)

    deployment().apply(declared)
    assert looked == []

    again = deployment()
    again.plan(declared)
    ends = again.apply(declared)
    assert {end.end for end in ends} == {End.UNCHANGED}
    assert len(looked) == len(set(looked)) == 3

    deployment(drift=False).apply(declared)
    assert len(looked) == 3


def test_new_constructs_have_no_drift(live, tmp_path):
    constructs = [
        *(samples.BUILDER, samples.GROUP, samples.CLOSED, samples.NARROW, samples.CLUSTER),
        samples.instances(tmp_path)["instance.yaml"],
    ]
    connect = Connections(SystemClock(), lambda _scope: live)
    declared = Declared(constructs)
    require_success(Deployment(connect, NullReporter(), SystemClock(), network.find).apply(declared))

    cfn = live.client("cloudformation")
    found = [drift.detect(Context(live), state.get(cfn, name)) for name in declared.constructs]

    assert [each for each in found if each] == []
