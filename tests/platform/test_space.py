"""The commands of spaces, against the sandbox."""

from __future__ import annotations

from threading import Thread

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.core.errors import (
    DeployFailedError,
    InputError,
    NotApprovedError,
    SetupError,
    SpaceConflictError,
    SpaceNotFoundError,
    SpaceRequestError,
)
from exasol_ci_setup.platform import load_balancer
from exasol_ci_setup.platform.place import Place
from exasol_ci_setup.stacks import state
from tests.platform.spaces import RecordingReporter, listeners, rules, task_definition

pytestmark = pytest.mark.live

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
IMAGE = "public.ecr.aws/nginx/nginx:1.27"


@pytest.fixture
def reporter():
    return RecordingReporter()


@pytest.fixture
def place(live, reporter):
    return Place(live, report=reporter)


def test_space_is_service_behind_rule_for_host(live, place):
    made = naas.space.create("web", image=IMAGE, domain="example.com", port=8080, env={"MODE": "live"}, place=place)

    assert (made.name, made.status, made.host) == ("web", "CREATE_COMPLETE", "web.example.com")
    assert made.url == "http://web.example.com/"
    assert list(rules(live)) == ["web.example.com"]
    (action,) = listeners(live)[80]["DefaultActions"]
    assert (action["Type"], action["FixedResponseConfig"]["StatusCode"]) == ("fixed-response", "404")
    (container,) = task_definition(live, "web")["containerDefinitions"]
    assert container["image"] == IMAGE
    assert container["environment"] == [{"name": "MODE", "value": "live"}]
    assert container["portMappings"][0]["containerPort"] == 8080


def test_list_of_containers_sets_same_values(live, place):
    made = naas.space.create(
        name="web",
        domain="web.example.com",
        containers=[{"name": "web", "image": IMAGE, "env": {"A": "b"}, "cpu": "250m", "memory": "1Gi", "port": 5080}],
        place=place,
    )

    assert (made.host, made.port, made.cpu, made.memory) == ("web.example.com", 5080, 0.25, 1024)
    assert task_definition(live, "web")["containerDefinitions"][0]["environment"] == [{"name": "A", "value": "b"}]


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        ([], "one container, not 0"),
        ([{"image": IMAGE}, {"image": IMAGE}], "one container, not 2"),
        ([{"image": IMAGE, "volume": 1}], "unknown key of a container: 'volume'"),
        ([{"image": IMAGE, "port": 1}], "port is set twice"),
        ([{"name": "web"}], "no image"),
    ],
)
def test_invalid_containers_are_rejected(place, containers, message):
    with pytest.raises(SpaceRequestError, match=message):
        naas.space.create("web", containers=containers, port=80, place=place)


def test_size_is_rounded_up_and_reported(live, place, reporter):
    made = naas.space.create("web", image=IMAGE, cpu="250m", memory="1Gi", place=place)

    assert (made.cpu, made.memory) == (0.25, 1024)
    assert "cpu 250m and memory 1Gi: the next size of Fargate is 0.25 vCPU and 1024 MiB" in reporter.messages
    found = task_definition(live, "web")
    assert (found["cpu"], found["memory"]) == ("256", "1024")


def test_second_create_is_conflict_and_changes_nothing(live, place, reporter):
    naas.space.create("web", image=IMAGE, place=place)
    reporter.plans.clear()

    with pytest.raises(SpaceConflictError, match="space 'web' already exists") as caught:
        naas.space.create("web", image="another:1", place=place)

    assert "space update --name web" in caught.value.hint
    assert caught.value.exit_code == 1
    assert reporter.plans == []
    assert task_definition(live, "web")["containerDefinitions"][0]["image"] == IMAGE


@pytest.mark.parametrize("verb", ["get", "update", "delete"])
def test_missing_space_is_not_found(place, verb):
    more = {"image": IMAGE} if verb == "update" else {}
    with pytest.raises(SpaceNotFoundError, match="space 'web' does not exist in eu-central-1"):
        getattr(naas.space, verb)("web", **more, place=place)


@pytest.mark.parametrize("name", ["a b", "", "Web", "w" * 64])
def test_invalid_name_is_not_found_without_request(answers, name):
    with pytest.raises(SpaceNotFoundError):
        naas.space.get(name, place=Place(answers.account))

    assert answers.calls == []


def test_foreign_stack_of_same_name_is_not_changed(live, place):
    live.client("cloudformation").create_stack(
        StackName="space-web", TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    )

    with pytest.raises(SpaceNotFoundError):
        naas.space.delete("web", place=place)
    with pytest.raises(SetupError, match="was not created by this tool"):
        naas.space.create("web", image=IMAGE, place=place)


def test_update_changes_only_given_values(live, place):
    naas.space.create(
        "web", image=IMAGE, domain="example.com", env={"A": "b"}, cpu="1", memory="3Gi", port=8080, place=place
    )
    before = task_definition(live, "web")

    naas.space.update("web", image="public.ecr.aws/nginx/nginx:1.28", place=place)

    after = task_definition(live, "web")
    assert after["revision"] > before["revision"]
    for definition in (before, after):
        for volatile in ("taskDefinitionArn", "revision", "registeredAt"):
            definition.pop(volatile)
    (changed,) = after["containerDefinitions"]
    assert changed.pop("image") == "public.ecr.aws/nginx/nginx:1.28"
    before["containerDefinitions"][0].pop("image")
    assert after == before
    assert list(rules(live)) == ["web.example.com"]


def test_update_keeps_concurrent_changes(live, place):
    naas.space.create("web", image=IMAGE, env={"A": "1"}, place=place)

    class Late(RecordingReporter):
        """Another process changes the space before this update deploys."""

        def check(self, _template, _region, /):
            if not meddled:
                meddled.append(True)
                naas.space.update("web", env={"A": "2"}, place=place)

    meddled: list[bool] = []
    late = Late()
    naas.space.update("web", memory="2Gi", place=Place(live, report=late))

    found = naas.space.get("web", place=place)
    assert (found.memory, found.env) == (2048, {"A": "2"})
    assert "space web was changed by another process: planning again" in late.messages


def test_new_memory_keeps_cpu_if_fargate_supports_it(place):
    naas.space.create("web", image=IMAGE, cpu="1", memory="2Gi", place=place)

    assert naas.space.update("web", memory="4Gi", place=place).cpu == 1
    assert naas.space.update("web", memory="16Gi", place=place).cpu == 2
    assert naas.space.update("web", cpu="4", place=place).memory == 16384


def test_update_keeps_other_variables(live, place):
    arn = live.client("secretsmanager").create_secret(Name="db", SecretString="hush")["ARN"]
    naas.space.create("web", image=IMAGE, env={"A": "1", "B": "2"}, secrets={"S": "db", "T": "db"}, place=place)

    def kept():
        found = naas.space.get("web", place=place)
        return dict(found.env), dict(found.secrets)

    naas.space.update("web", env={"B": "3", "C": "4"}, place=place)
    assert kept() == ({"A": "1", "B": "3", "C": "4"}, {"S": arn, "T": arn})
    naas.space.update("web", secrets={"A": "db"}, env={"S": "plain"}, place=place)
    assert kept() == ({"B": "3", "C": "4", "S": "plain"}, {"A": arn, "T": arn})
    naas.space.update("web", env={"D": "5"}, unset=["B", "T"], place=place)
    assert kept() == ({"C": "4", "D": "5", "S": "plain"}, {"A": arn})
    naas.space.update("web", unset=["A", "C", "D", "S"], place=place)
    assert kept() == ({}, {})
    assert task_definition(live, "web")["containerDefinitions"][0].get("environment", []) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"unset": ["NOPE"]}, "space web has no variable 'NOPE'"),
        ({"unset": ["A"], "env": {"A": "2"}}, "A is both set and unset"),
        ({"env": {"B": "2"}, "secrets": {"B": ARN}}, "B cannot be both a variable and a secret"),
    ],
)
def test_contradicting_variables_are_rejected(place, reporter, values, message):
    naas.space.create("web", image=IMAGE, env={"A": "1"}, place=place)
    plans = len(reporter.plans)

    with pytest.raises(SpaceRequestError, match=message):
        naas.space.update("web", **values, place=place)

    assert len(reporter.plans) == plans


def test_update_without_changes_creates_no_change_set(place, reporter):
    naas.space.create("web", image=IMAGE, domain="example.com", place=place)
    reporter.plans.clear()

    naas.space.update("web", image=IMAGE, cpu="250m", domain="example.com", place=place)

    assert reporter.plans == []


def test_new_port_replaces_no_load_balancer_resource(live, place, reporter):
    naas.space.create("web", image=IMAGE, place=place)

    naas.space.update("web", port=9000, place=place)

    assert not [
        c.logical_id for c in reporter.plans[-1].changes if c.replacement == "True" and c.logical_id == "TargetGroup"
    ]
    groups = live.client("ec2").describe_security_groups()["SecurityGroups"]
    (group,) = [each for each in groups if each["Description"] == "The space web"]
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (9000, 9000)
    # Only the load balancer has access.
    assert not rule["IpRanges"]
    assert len(rule["UserIdGroupPairs"]) == 1


def test_each_rule_has_unique_priority(live, place):
    for name in ("a", "b", "c"):
        naas.space.create(name, image=IMAGE, domain="example.com", place=place)

    found = rules(live)

    assert sorted(found) == ["a.example.com", "b.example.com", "c.example.com"]
    assert len(set(found.values())) == 3


def occupy(live, name):
    """Create a rule with the priority that the space `name` would get, and return it."""
    listener = listeners(live)[80]["ListenerArn"]
    priority = load_balancer.free_priority(Place(live), listener, name)
    live.client("elbv2").create_rule(
        ListenerArn=listener,
        Priority=priority,
        Conditions=[{"Field": "host-header", "Values": [f"{priority}.example.org"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )
    return priority


def test_priority_taken_meanwhile_is_replaced(live):
    naas.space.create("first", image=IMAGE, domain="example.com", place=Place(live))
    taken: list[int] = []

    def overtake(plan):
        if plan.stack_name == "space-slow" and not taken:
            taken.append(occupy(live, "slow"))

    reporter = RecordingReporter(before=overtake)
    made = naas.space.create("slow", image=IMAGE, domain="example.com", place=Place(live, report=reporter))

    assert made.status == "CREATE_COMPLETE"
    assert f"priority {taken[0]} was taken by another space: retrying with another one" in reporter.messages


def test_priority_always_taken_hints_at_retry(live):
    naas.space.create("first", image=IMAGE, domain="example.com", place=Place(live))

    def overtake(plan):
        if plan.stack_name == "space-slow":
            occupy(live, "slow")

    reporter = RecordingReporter(before=overtake)

    with pytest.raises(DeployFailedError) as failed:
        naas.space.create("slow", image=IMAGE, domain="example.com", place=Place(live, report=reporter))

    assert "run the command again" in failed.value.hint


def test_first_spaces_can_be_created_concurrently(live, reporter):
    failed = []

    def create(name):
        try:
            naas.space.create(name, image=IMAGE, domain="example.com", place=Place(live, report=reporter))
        except Exception as error:  # noqa: BLE001 - asserted below
            failed.append(error)

    names = [f"par{number}" for number in range(8)]
    threads = [Thread(target=create, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert sorted(rules(live)) == [f"{name}.example.com" for name in names]
    assert [message for message in reporter.messages if "was taken by" in message] == []


def test_failed_creation_hints_at_log_and_can_be_retried(live, place):
    naas.space.create("other", image=IMAGE, place=place)
    ecs = live.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition="space-other", desiredCount=0)

    with pytest.raises(DeployFailedError, match="space-web") as caught:
        naas.space.create("web", image=IMAGE, place=place)
    (group,) = log_groups(live, "web")
    assert f"with `aws logs tail {group}`" in caught.value.hint
    assert state.find(live.client("cloudformation"), "space-web") is None
    ecs.delete_service(cluster=cluster, service="web", force=True)

    made = naas.space.create("web", image=IMAGE, place=place)
    assert log_groups(live, "web") == [made.log_group]
    assert made.log_group != group


def test_deleted_space_has_no_logs(live, place):
    naas.space.create("web", image=IMAGE, place=place)
    naas.space.create("web-2", image=IMAGE, place=place)

    naas.space.delete("web", place=place)

    assert log_groups(live, "web") == []
    assert len(log_groups(live, "web-2")) == 1


def log_groups(account, name):
    found = account.client("logs").describe_log_groups(logGroupNamePrefix=f"/ecs/space-{name}/")["logGroups"]
    return [group["logGroupName"] for group in found]


def test_all_of_120_spaces_are_listed(live, place):
    cloudformation = live.client("cloudformation")
    for number in range(120):
        cloudformation.create_stack(
            StackName=f"space-s{number}",
            TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}',
            Tags=[
                {"Key": "exasol-ci-setup:construct", "Value": "Space"},
                {"Key": "exasol-ci-setup:name", "Value": f"s{number}"},
            ],
        )
    assert len(cloudformation.describe_stacks()["Stacks"]) < 120  # more than one page

    assert {space.name for space in naas.space.list(place=place)} == {f"s{number}" for number in range(120)}


def test_other_stacks_are_not_listed(place):
    naas.space.create("web", image=IMAGE, place=place)

    assert [space.name for space in naas.space.list(place=place)] == ["web"]


def test_get_returns_tasks_variables_and_secret_arns(live, place):
    arn = live.client("secretsmanager").create_secret(Name="db", SecretString="hush")["ARN"]
    naas.space.create("web", image=IMAGE, env={"A": "b"}, secrets={"PASSWORD": "db"}, place=place)

    found = naas.space.get("web", place=place)

    assert (found.running, found.desired) == (1, 1)
    assert found.env == {"A": "b"}
    assert found.secrets == {"PASSWORD": arn}


def test_missing_secret_is_reported_before_creation(live, place):
    with pytest.raises(InputError, match="secret 'missing' does not exist"):
        naas.space.create("web", image=IMAGE, secrets={"PASSWORD": "missing"}, place=place)

    assert list(state.own(live.client("cloudformation"))) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cpu": "lots"}, "invalid amount of CPU"),
        ({"cpu": "32"}, "exceed the largest size"),
        ({"domain": "localhost"}, "name of a domain"),
        ({"image": "what is this"}, "image with its tag"),
        ({"hosted_zone_id": "Z1"}, "needs a --domain"),
        ({"domain": "example.com", "hosted_zone_id": "Z1"}, "hosted zone Z1 does not exist"),
    ],
)
def test_invalid_values_are_rejected_before_creation(live, place, values, message):
    with pytest.raises(SpaceRequestError, match=message) as caught:
        naas.space.create("web", **{"image": IMAGE, **values}, place=place)

    assert caught.value.exit_code == 2
    assert list(state.own(live.client("cloudformation"))) == []


def test_delete_keeps_load_balancer_and_returns_count(live, place):
    naas.space.create("a", image=IMAGE, place=place)
    naas.space.create("b", image=IMAGE, place=place)

    assert naas.space.delete("a", place=place) == 1
    assert naas.space.delete("b", place=place) == 0
    assert state.find(live.client("cloudformation"), "spaces-load-balancer").status == "CREATE_COMPLETE"
    assert rules(live) == {}


def test_space_without_domain_reports_test_command(live, place, reporter):
    made = naas.space.create("web", image=IMAGE, place=place)

    assert made.url == ""
    assert made.host == f"web.{made.dns_name}"
    assert list(rules(live)) == [made.host]
    assert f"curl -H 'Host: {made.host}' http://{made.dns_name}/" in reporter.messages[-1]


def test_plan_shows_load_balancer_and_space(live):
    reporter = RecordingReporter(approve=False)

    with pytest.raises(NotApprovedError):
        naas.space.create("web", image=IMAGE, place=Place(live, report=reporter))

    assert [plan.stack_name for plan in reporter.plans] == ["spaces-load-balancer", "space-web"]
    assert "Service" in {change.logical_id for change in reporter.plans[1].changes}
    assert list(state.own(live.client("cloudformation"))) == []


def test_space_in_other_vpc_is_rejected(place):
    naas.space.create("web", image=IMAGE, place=place)

    with pytest.raises(SpaceRequestError, match="is in vpc-"):
        naas.space.create("api", image=IMAGE, vpc_id="vpc-99999999", place=place)
