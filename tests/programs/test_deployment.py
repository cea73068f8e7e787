"""Deployment of constructs: graphs, scopes, plans and results."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.aws.rate_limit import BURST
from exasol_ci_setup.constructs import Asset, BuildkitBuilder, ContainerBuilder, Registry, Scope
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import InputError, OperationInterruptedError, SetupError, StackError
from exasol_ci_setup.core.stacks import Change, Plan
from exasol_ci_setup.core.task_graph import End, Ended
from exasol_ci_setup.programs import Connections, Declared, Deployment, images
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from exasol_ci_setup.programs.interrupt import InterruptibleClock
from exasol_ci_setup.programs.removal import Removal, find_existing, find_undeletable, undeclared
from exasol_ci_setup.programs.resolve import require_success
from exasol_ci_setup.programs.templates import require_values
from exasol_ci_setup.stacks import network
from exasol_ci_setup.stacks.preview import recreated
from tests.answers import VirtualClock
from tests.reporters import RecordingReporter

TABLE = "AWS::DynamoDB::Table"
SCOPE = Scope(name="team", region="eu-central-1")


def builder(scope: Scope = SCOPE) -> ContainerBuilder:
    return ContainerBuilder(
        name="image",
        asset=Asset(scope=scope, name="source"),
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=Registry(scope=scope, name="registry"),
    )


def deployment(live, reporter=None) -> Deployment:
    return Deployment(
        Connections(SystemClock(), lambda _scope: live), reporter or RecordingReporter(), SystemClock(), network.find
    )


def test_parts_of_construct_are_declared_before_it():
    declared = Declared([builder()])

    names = list(declared.constructs)
    assert sorted(names) == ["team-image", "team-registry", "team-source"]
    assert names[-1] == "team-image"
    assert declared.scopes == [SCOPE]


def test_construct_used_twice_is_declared_once():
    registry = Registry(scope=SCOPE, name="registry")

    assert list(Declared([registry, registry]).constructs) == ["team-registry"]


def test_duplicate_construct_name_is_rejected():
    with pytest.raises(InputError, match="Asset and Registry have the name 'same' in scope 'team'"):
        Declared([Asset(scope=SCOPE, name="same"), Registry(scope=SCOPE, name="same")])
    with pytest.raises(InputError, match="two constructs Registry have the name 'same'"):
        Declared([Registry(scope=SCOPE, name="same"), Registry(scope=SCOPE, name="same")])


def test_names_that_differ_only_in_case_are_rejected():
    with pytest.raises(InputError, match="team-same and team-Same differ only in upper and lower case"):
        Declared([Registry(scope=SCOPE, name="same"), Registry(scope=SCOPE, name="Same")])


def test_construct_without_scope_is_rejected():
    with pytest.raises(InputError, match="has no scope"):
        Declared([Registry(name="registry")])


@pytest.mark.live
def test_scope_has_one_account_and_role_has_another(live):
    connect = Connections(VirtualClock(), lambda _scope: live)
    other = SCOPE.model_copy(update={"role_assumptions": ("arn:aws:iam::222222222222:role/deployer",)})

    assert connect(SCOPE) is connect(SCOPE.model_copy(update={"name": "other"}))
    assert connect(other).client("sts").get_caller_identity()["Account"] == "222222222222"


def test_accounts_share_rate_limit_by_account_and_region(answers):
    clock = VirtualClock()
    connect = Connections(clock, lambda _scope: answers.account)
    first, second = (
        SCOPE.model_copy(update={"name": role, "role_assumptions": (f"arn:aws:iam::222222222222:role/{role}",)})
        for role in ("one", "two")
    )

    assert use_up(connect, first, clock) == 0
    assert use_up(connect, SCOPE, clock) == 0
    assert use_up(connect, second, clock) > 0


def test_profiles_of_one_account_share_rate_limit_once_known(answers):
    answers.on("sts", "GetCallerIdentity", {"Account": "222222222222", "Arn": "arn:aws:iam::222222222222:user/a"})
    clock = VirtualClock()
    connect = Connections(clock, lambda _scope: answers.account)
    one, other, third = (SCOPE.model_copy(update={"profile": name}) for name in ("one", "other", "third"))

    assert [connect.identity(scope) for scope in (one, other)] == ["222222222222"] * 2
    assert use_up(connect, one, clock) == 0
    assert use_up(connect, third, clock) == 0
    assert use_up(connect, other, clock) > 0


def use_up(connect: Connections, scope: Scope, clock: VirtualClock) -> float:
    """Send requests for all free tokens, except one for the identity, and return their total wait in seconds."""
    before = clock.elapsed
    rate_limit = connect(scope).rate_limit
    assert rate_limit is not None
    for _ in range(int(BURST) - 2):
        rate_limit()
    return clock.elapsed - before


def test_wait_for_image_reports_progress_every_two_seconds(answers):
    clock, reporter = VirtualClock(), RecordingReporter()
    began = clock.now()

    images._ReportingClock(Context(answers.account, clock, reporter)).sleep(5)

    assert clock.now() - began == 5
    assert reporter.progress_count == 3


@pytest.mark.live
def test_second_deployment_of_graph_reports_no_changes(live):
    construct = builder()
    reporter = RecordingReporter()

    ends = deployment(live, reporter).apply(Declared([construct]))

    assert {end.end for end in ends} == {End.DONE}
    assert sorted(plan.stack_name for plan in reporter.plans) == ["team-image", "team-registry", "team-source"]
    assert construct.registry.uri.endswith("/team/registry")
    cfn = live.client("cloudformation")
    parameters = cfn.describe_stacks(StackName="team-image")["Stacks"][0]["Parameters"]
    assert {"ParameterKey": "BucketName", "ParameterValue": construct.asset.bucket_name} in parameters

    again = deployment(live, reporter).apply(Declared([builder()]))

    assert {end.end for end in again} == {End.UNCHANGED}
    assert len(reporter.plans) == 3
    assert all(cfn.list_change_sets(StackName=end.name)["Summaries"] == [] for end in again)


@pytest.mark.live
def test_plan_shows_all_stacks_and_leaves_nothing(live):
    declared = Declared([builder()])

    planned, ends = deployment(live).plan(declared)

    assert [end.error for end in ends] == [None] * 3
    assert {name: each.plan.kind for name, each in planned.items()} == dict.fromkeys(declared.constructs, "CREATE")
    assert all(each.plan for each in planned.values())
    assert "needs outputs of team-" in planned["team-image"].plan.notes[0]
    assert live.client("cloudformation").list_stacks()["StackSummaries"] == [] or all(
        stack["StackStatus"] == "DELETE_COMPLETE"
        for stack in live.client("cloudformation").list_stacks()["StackSummaries"]
    )


@pytest.mark.live
def test_failure_skips_dependents_and_deploys_others(live):
    foreign = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    live.client("cloudformation").create_stack(StackName="team-registry", TemplateBody=foreign)

    ends = {end.name: end for end in deployment(live).apply(Declared([builder()]))}

    assert ends["team-registry"].end is End.FAILED
    assert "was not created by this tool" in str(ends["team-registry"].error)
    assert ends["team-image"].end is End.SKIPPED
    assert ends["team-image"].because == ("team-registry",)
    assert ends["team-source"].end is End.DONE


@pytest.mark.live
def test_down_deletes_in_reverse_order_and_second_finds_nothing(live):
    declared = Declared([builder()])
    connect = Connections(SystemClock(), lambda _scope: live)
    deployment(live).apply(declared)
    reporter = RecordingReporter()

    there = find_existing(declared, connect)
    assert next(iter(there)) == "team-image"
    assert there["team-registry"].needs == ("team-image",)
    removal = Removal(reporter, SystemClock(), empty=True)
    ends = removal.apply(there)

    assert [end.end for end in ends] == [End.DONE] * 3
    assert find_existing(declared, connect) == {}


@pytest.mark.live
def test_stack_of_another_tool_is_neither_adopted_nor_deleted(live):
    theirs = Registry(scope=Scope(name="team-x", region="eu-central-1"), name="img")
    ours = Registry(scope=SCOPE, name="x-img")
    other_kind = Asset(scope=theirs.scope, name="img")
    deployment(live).apply(Declared([theirs]))

    for declared in (Declared([ours]), Declared([other_kind])):
        (ended,) = deployment(live).apply(declared)
        assert "belongs to construct Registry, scope team-x, name img, not to" in str(ended.error)

        there = find_existing(declared, lambda _scope: live)
        (refused,) = find_undeletable(there).values()
        assert "team-x-img belongs to construct Registry, scope team-x, name img, not to" in refused.message
        reporter = RecordingReporter()
        removal = Removal(reporter, SystemClock(), empty=True)
        (ended,) = removal.apply(there)
        assert ended.end is End.FAILED

    assert find_undeletable(find_existing(Declared([theirs]), lambda _scope: live)) == {}
    (stack,) = live.client("cloudformation").describe_stacks(StackName="team-x-img")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.live
def test_empty_stack_of_other_change_set_does_not_exist(live):
    live.client("cloudformation").create_change_set(
        StackName="team-registry",
        ChangeSetName="theirs",
        ChangeSetType="CREATE",
        TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}',
    )

    assert find_existing(Declared([Registry(scope=SCOPE, name="registry")]), lambda _scope: live) == {}


@pytest.mark.live
def test_undeclared_stacks_of_scope_are_found(live):
    deployment(live).apply(Declared([Registry(scope=SCOPE, name="old")]))
    deployment(live).apply(Declared([Registry(scope=SCOPE, name="newer")]))
    elsewhere = Scope(name="elsewhere", region="eu-central-1")
    deployment(live).apply(Declared([Registry(scope=elsewhere, name="other")]))

    found = undeclared(Declared([Registry(scope=SCOPE, name="kept")]), lambda _scope: live)

    assert sorted(found) == ["team-newer", "team-old"]


@pytest.mark.live
def test_construct_resolves_itself_without_command(server, account_id, monkeypatch):
    for name, value in {
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": server.url,
    }.items():
        monkeypatch.setenv(name, value)
    registry = Registry(scope=SCOPE, name="registry")
    with pytest.raises(InputError, match="not deployed yet"):
        _ = registry.uri

    asyncio.run(registry.resolve())
    assert registry.uri.startswith(account_id)
    registry.deploy()


def test_command_decides_in_its_program():
    seen: list[object] = []
    registry = Registry(scope=SCOPE, name="registry")

    runtime = Runtime(lambda _scope: pytest.fail("no account"), SystemClock(), print, resolve=seen.append)
    with use_runtime(runtime):
        registry.deploy()
        asyncio.run(registry.resolve())

    assert seen == [registry, registry]


def test_single_failure_is_raised_unchanged():
    with pytest.raises(StackError, match="only this"):
        require_success([Ended("a", End.FAILED, error=StackError("only this")), Ended("b", End.DONE)])


def test_several_failures_are_named_and_have_common_exit_code():
    ends = [
        Ended("a", End.FAILED, error=InputError("one")),
        Ended("b", End.FAILED, error=InputError("two")),
        Ended("c", End.SKIPPED, because=("a",)),
    ]
    with pytest.raises(SetupError, match="2 of 3 stacks failed: a, b; skipped because of this: c") as raised:
        require_success(ends)
    assert raised.value.exit_code == 2
    with pytest.raises(SetupError) as raised:
        require_success([*ends, Ended("d", End.FAILED, error=StackError("three"))])
    assert raised.value.exit_code == 1


def test_interruption_precedes_failures():
    with pytest.raises(OperationInterruptedError):
        require_success(
            [
                Ended("a", End.FAILED, error=InputError("one")),
                Ended("b", End.SKIPPED, error=OperationInterruptedError("b")),
            ]
        )


def test_each_waiting_thread_receives_every_ctrl_c_once(clock):
    interruptible = InterruptibleClock(clock)
    interruptible.sleep(1)
    interruptible.interrupt()

    with pytest.raises(KeyboardInterrupt):
        interruptible.sleep(1)
    interruptible.sleep(1)
    interruptible.interrupt()
    with pytest.raises(KeyboardInterrupt):
        interruptible.sleep(1)
    assert clock.elapsed == 2


def diamond() -> list[ContainerBuilder]:
    """Twenty constructs: a registry that ten builders push to, and nine assets, of which the last one has two builders."""
    registry = Registry(scope=SCOPE, name="registry")
    assets = [Asset(scope=SCOPE, name=f"source-{number}") for number in range(9)]
    host = BuildkitBuilder(scope=SCOPE, name="host")
    return [
        ContainerBuilder(name=f"image-{number}", asset=assets[min(number, 8)], builder=host, registry=registry)
        for number in range(10)
    ]


def in_progress(live) -> list[str]:
    described = live.client("cloudformation").describe_stacks()["Stacks"]
    return [stack["StackName"] for stack in described if stack["StackStatus"] == "CREATE_IN_PROGRESS"]


@pytest.mark.live
def test_twenty_constructs_are_deployed_once_in_order_in_parallel(live, operations):
    operations.hold()
    reporter = RecordingReporter()
    with ThreadPoolExecutor(1) as pool:
        deployed = pool.submit(lambda: deployment(live, reporter).apply(Declared(diamond())))
        while len(in_progress(live)) < 4:
            assert not deployed.done(), deployed.result()
            time.sleep(0.01)
        operations.release()
        ends = deployed.result()

    assert {end.end for end in ends} == {End.DONE}
    names = {plan.stack_name for plan in reporter.plans}
    assert len(ends) == len(reporter.plans) == len(names) == 20
    cfn = live.client("cloudformation")
    times = {}
    for name in names:
        events = cfn.describe_stack_events(StackName=name)["StackEvents"]
        times[name] = (events[-1]["Timestamp"], events[0]["Timestamp"])
    for number in range(10):
        begun = times[f"team-image-{number}"][0]
        assert begun >= times["team-registry"][1]
        assert begun >= times[f"team-source-{min(number, 8)}"][1]


@pytest.mark.live
def test_one_failure_of_twenty_skips_only_dependents(live):
    foreign = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    live.client("cloudformation").create_stack(StackName="team-source-8", TemplateBody=foreign)

    ends = {end.name: end for end in deployment(live).apply(Declared(diamond()))}

    assert [name for name, end in ends.items() if end.end is End.FAILED] == ["team-source-8"]
    assert sorted(name for name, end in ends.items() if end.end is End.SKIPPED) == ["team-image-8", "team-image-9"]
    assert sum(end.end is End.DONE for end in ends.values()) == 17


@pytest.mark.live
def test_plan_of_deployed_program_has_no_changes(live):
    deployment(live).apply(Declared([builder()]))

    planned, ends = deployment(live).plan(Declared([builder()]))

    assert {end.end for end in ends} == {End.UNCHANGED}
    assert [each.plan for each in planned.values() if each.plan] == []


@pytest.mark.live
def test_plan_with_missing_output_is_derived_from_templates(live):
    declared = Declared([builder()])
    deployment(live).apply(declared)
    cfn = live.client("cloudformation")
    body = cfn.get_template(StackName="team-registry")["TemplateBody"]
    assert isinstance(body, str)
    older = body.replace("  RepositoryName:\n", "  OlderName:\n")
    assert older != body
    cfn.update_stack(StackName="team-registry", TemplateBody=older)

    planned, ends = deployment(live).plan(Declared([builder()]))

    assert [end.error for end in ends] == [None] * 3
    plan = planned["team-image"].plan
    assert "it needs outputs of team-registry" in plan.notes[0]
    assert "<output RepositoryName: known after deployment of team-registry>" in str(plan.changes)


def test_remaining_placeholder_is_rejected():
    registry = Registry(scope=SCOPE, name="registry")
    text = placeholder(Asset(scope=SCOPE, name="source"), "BucketName")

    with pytest.raises(InputError, match="parameter Name of Registry 'team-registry' uses the output BucketName"):
        require_values(registry, {"Name": f"x-{text}"})


def test_recreated_stack_replaces_its_resources():
    new = Plan("S", "CREATE", changes=(Change("Add", "Table", TABLE), Change("Add", "Topic", "AWS::SNS::Topic")))
    lost = Change("Remove", "Table", TABLE, data_loss=True)
    removal = Plan("S", "DELETE", changes=(lost, replace(lost, logical_id="Old")))

    plan = recreated(new, removal)

    assert [(each.action, each.logical_id, each.replacement) for each in plan.changes] == [
        ("Modify", "Table", "True"),
        ("Add", "Topic", ""),
        ("Remove", "Old", ""),
    ]
    assert plan.data_loss == ("Table", "Old")
