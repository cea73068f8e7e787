"""The commands of spaces, against the sandbox."""

from __future__ import annotations

from threading import Thread

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import (
    DeployFailedError,
    InputError,
    NotApprovedError,
    SetupError,
    SpaceConflictError,
    SpaceNotFoundError,
    SpaceRequestError,
    StackBusyError,
)
from exasol_ci_setup.platform import load_balancer
from exasol_ci_setup.stacks import state
from tests.platform.spaces import listeners, rules, task_definition
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
IMAGE = "public.ecr.aws/nginx/nginx:1.27"


@pytest.fixture
def reporter():
    return RecordingReporter()


@pytest.fixture
def context(live, reporter):
    return Context(live, reporter=reporter)


def test_space_is_service_behind_rule_for_host(live, context):
    made = naas.space.create("web", image=IMAGE, domain="example.com", port=8080, env={"MODE": "live"}, context=context)

    assert (made.name, made.status, made.host) == ("web", "CREATE_COMPLETE", "web.example.com")
    assert made.url == "http://web.example.com/"
    assert list(rules(live)) == ["web.example.com"]
    (action,) = listeners(live)[80]["DefaultActions"]
    assert (action["Type"], action["FixedResponseConfig"]["StatusCode"]) == ("fixed-response", "404")
    (container,) = task_definition(live, "web")["containerDefinitions"]
    assert container["image"] == IMAGE
    assert container["environment"] == [{"name": "MODE", "value": "live"}]
    assert container["portMappings"][0]["containerPort"] == 8080


def test_list_of_containers_sets_same_values(live, context):
    made = naas.space.create(
        name="web",
        domain="web.example.com",
        containers=[{"name": "web", "image": IMAGE, "env": {"A": "b"}, "cpu": "250m", "memory": "1Gi", "port": 5080}],
        context=context,
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
def test_invalid_containers_are_rejected(context, containers, message):
    with pytest.raises(SpaceRequestError, match=message):
        naas.space.create("web", containers=containers, port=80, context=context)


def test_size_is_rounded_up_and_reported(live, context, reporter):
    made = naas.space.create("web", image=IMAGE, cpu="200m", memory="900", context=context)

    assert (made.cpu, made.memory) == (0.25, 1024)
    assert "cpu 200m and memory 900: the next size of Fargate is 0.25 vCPU and 1024 MiB" in reporter.notes
    found = task_definition(live, "web")
    assert (found["cpu"], found["memory"]) == ("256", "1024")


def test_second_create_is_conflict_and_changes_nothing(live, context, reporter):
    naas.space.create("web", image=IMAGE, context=context)
    reporter.plans.clear()

    with pytest.raises(SpaceConflictError, match="space 'web' already exists") as caught:
        naas.space.create("web", image="another:1", context=context)

    assert "space update --name web" in caught.value.hint
    assert caught.value.exit_code == 1
    assert reporter.plans == []
    assert task_definition(live, "web")["containerDefinitions"][0]["image"] == IMAGE


@pytest.mark.parametrize("verb", ["get", "update", "delete", "logs", "releases", "restart", "rollback"])
def test_missing_space_is_not_found(context, verb):
    more = {"image": IMAGE} if verb == "update" else {}
    with pytest.raises(SpaceNotFoundError, match="space 'web' does not exist in eu-central-1"):
        getattr(naas.space, verb)("web", **more, context=context)


@pytest.mark.parametrize("name", ["a b", "", "Web", "w" * 64])
def test_invalid_name_is_not_found_without_request(answers, name):
    with pytest.raises(SpaceNotFoundError):
        naas.space.get(name, context=Context(answers.account))

    assert answers.calls == []


def test_foreign_stack_of_same_name_is_not_changed(live, context):
    live.client("cloudformation").create_stack(
        StackName="space-web", TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    )

    with pytest.raises(SpaceNotFoundError):
        naas.space.delete("web", context=context)
    with pytest.raises(SetupError, match="was not created by this tool"):
        naas.space.create("web", image=IMAGE, context=context)


def test_update_changes_only_given_values(live, context):
    naas.space.create(
        "web", image=IMAGE, domain="example.com", env={"A": "b"}, cpu="1", memory="3Gi", port=8080, context=context
    )
    before = task_definition(live, "web")

    naas.space.update("web", image="public.ecr.aws/nginx/nginx:1.28", context=context)

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


def test_update_keeps_concurrent_changes(live, context):
    naas.space.create("web", image=IMAGE, env={"A": "1"}, context=context)

    class Meddling:
        """Another process changes the space while this update is planned."""

        def errors(self, _template, _region, /):
            return ()

        def check(self, _template, _region, _reporter, /):
            if not meddled:
                meddled.append(True)
                naas.space.update("web", env={"A": "2"}, context=context)

    meddled: list[bool] = []
    reporter = RecordingReporter()
    meddling = Context(live, reporter=reporter, linter=Meddling())
    naas.space.update("web", memory="2Gi", context=meddling)

    found = naas.space.get("web", context=context)
    assert (found.memory, found.env) == (2048, {"A": "2"})
    assert "space web was changed by another process: planning again" in reporter.notes


def test_new_memory_keeps_cpu_if_fargate_supports_it(context):
    naas.space.create("web", image=IMAGE, cpu="1", memory="2Gi", context=context)

    assert naas.space.update("web", memory="4Gi", context=context).cpu == 1
    assert naas.space.update("web", memory="16Gi", context=context).cpu == 2
    assert naas.space.update("web", cpu="4", context=context).memory == 16384


def test_update_keeps_other_variables(live, context):
    arn = live.client("secretsmanager").create_secret(Name="db", SecretString="hush")["ARN"]
    naas.space.create("web", image=IMAGE, env={"A": "1", "B": "2"}, secrets={"S": "db", "T": "db"}, context=context)

    def kept():
        found = naas.space.get("web", context=context)
        return dict(found.env), dict(found.secrets)

    naas.space.update("web", env={"B": "3", "C": "4"}, context=context)
    assert kept() == ({"A": "1", "B": "3", "C": "4"}, {"S": arn, "T": arn})
    naas.space.update("web", secrets={"A": "db"}, env={"S": "plain"}, context=context)
    assert kept() == ({"B": "3", "C": "4", "S": "plain"}, {"A": arn, "T": arn})
    naas.space.update("web", env={"D": "5"}, unset=["B", "T"], context=context)
    assert kept() == ({"C": "4", "D": "5", "S": "plain"}, {"A": arn})
    naas.space.update("web", unset=["A", "C", "D", "S"], context=context)
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
def test_contradicting_variables_are_rejected(context, reporter, values, message):
    naas.space.create("web", image=IMAGE, env={"A": "1"}, context=context)
    plans = len(reporter.plans)

    with pytest.raises(SpaceRequestError, match=message):
        naas.space.update("web", **values, context=context)

    assert len(reporter.plans) == plans


def test_update_without_changes_creates_no_change_set(context, reporter):
    naas.space.create("web", image=IMAGE, domain="example.com", context=context)
    reporter.plans.clear()

    naas.space.update("web", image=IMAGE, cpu="250m", domain="example.com", context=context)

    assert reporter.plans == []


def test_new_port_replaces_no_load_balancer_resource(live, context, reporter):
    naas.space.create("web", image=IMAGE, context=context)

    naas.space.update("web", port=9000, context=context)

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


def test_each_rule_has_unique_priority(live, context):
    for name in ("a", "b", "c"):
        naas.space.create(name, image=IMAGE, domain="example.com", context=context)

    found = rules(live)

    assert sorted(found) == ["a.example.com", "b.example.com", "c.example.com"]
    assert len(set(found.values())) == 3


def occupy(live, name):
    """Create a rule with the priority that the space `name` would get, and return it."""
    listener = listeners(live)[80]["ListenerArn"]
    priority = load_balancer.free_priority(Context(live), listener, name)
    live.client("elbv2").create_rule(
        ListenerArn=listener,
        Priority=priority,
        Conditions=[{"Field": "host-header", "Values": [f"{priority}.example.org"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )
    return priority


def test_priority_taken_meanwhile_is_replaced(live):
    naas.space.create("first", image=IMAGE, domain="example.com", context=Context(live))
    taken: list[int] = []

    def overtake(plan):
        if plan.stack_name == "space-slow" and not taken:
            taken.append(occupy(live, "slow"))
        return True

    reporter = RecordingReporter(overtake)
    made = naas.space.create("slow", image=IMAGE, domain="example.com", context=Context(live, reporter=reporter))

    assert made.status == "CREATE_COMPLETE"
    assert f"priority {taken[0]} was taken by another space: planning again" in reporter.notes


def test_priority_always_taken_hints_at_retry(live):
    naas.space.create("first", image=IMAGE, domain="example.com", context=Context(live))

    def overtake(plan):
        if plan.stack_name == "space-slow":
            occupy(live, "slow")
        return True

    reporter = RecordingReporter(overtake)

    with pytest.raises(StackBusyError) as failed:
        naas.space.create("slow", image=IMAGE, domain="example.com", context=Context(live, reporter=reporter))

    assert "run the command again" in failed.value.hint


def test_first_spaces_can_be_created_concurrently(live, reporter):
    failed = []

    def create(name):
        try:
            naas.space.create(name, image=IMAGE, domain="example.com", context=Context(live, reporter=reporter))
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
    assert [message for message in reporter.notes if "was taken by" in message] == []


def test_failed_creation_hints_at_log_and_can_be_retried(live, context):
    naas.space.create("other", image=IMAGE, context=context)
    ecs = live.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition="space-other", desiredCount=0)

    with pytest.raises(DeployFailedError, match="space-web") as caught:
        naas.space.create("web", image=IMAGE, context=context)
    (group,) = log_groups(live, "web")
    assert "with `exasol-ci-setup space logs --name web`" in caught.value.hint
    assert list(naas.space.logs("web", context=context)) == []
    assert state.find(live.client("cloudformation"), "space-web") is None
    ecs.delete_service(cluster=cluster, service="web", force=True)

    made = naas.space.create("web", image=IMAGE, context=context)
    assert log_groups(live, "web") == [made.log_group]
    assert made.log_group != group


def test_deleted_space_has_no_logs(live, context):
    naas.space.create("web", image=IMAGE, context=context)
    naas.space.create("web-2", image=IMAGE, context=context)

    naas.space.delete("web", context=context)

    assert log_groups(live, "web") == []
    assert len(log_groups(live, "web-2")) == 1


def log_groups(account, name):
    found = account.client("logs").describe_log_groups(logGroupNamePrefix=f"/ecs/space-{name}/")["logGroups"]
    return [group["logGroupName"] for group in found]


def test_all_of_120_spaces_are_listed(live, context):
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

    assert {space.name for space in naas.space.list(context=context)} == {f"s{number}" for number in range(120)}


def test_other_stacks_are_not_listed(context):
    naas.space.create("web", image=IMAGE, context=context)

    assert [space.name for space in naas.space.list(context=context)] == ["web"]


def test_get_returns_tasks_variables_and_secret_arns(live, context):
    arn = live.client("secretsmanager").create_secret(Name="db", SecretString="hush")["ARN"]
    naas.space.create("web", image=IMAGE, env={"A": "b"}, secrets={"PASSWORD": "db"}, context=context)

    found = naas.space.get("web", context=context)

    assert (found.running, found.desired) == (1, 1)
    assert found.env == {"A": "b"}
    assert found.secrets == {"PASSWORD": arn}


def test_missing_secret_is_reported_before_creation(live, context):
    with pytest.raises(InputError, match="secret 'missing' does not exist"):
        naas.space.create("web", image=IMAGE, secrets={"PASSWORD": "missing"}, context=context)

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
def test_invalid_values_are_rejected_before_creation(live, context, values, message):
    with pytest.raises(SpaceRequestError, match=message) as caught:
        naas.space.create("web", **{"image": IMAGE, **values}, context=context)

    assert caught.value.exit_code == 2
    assert list(state.own(live.client("cloudformation"))) == []


def test_delete_keeps_load_balancer_and_returns_count(live, context):
    naas.space.create("a", image=IMAGE, context=context)
    naas.space.create("b", image=IMAGE, context=context)

    assert naas.space.delete("a", context=context) == 1
    assert naas.space.delete("b", context=context) == 0
    assert state.find(live.client("cloudformation"), "spaces-load-balancer").status == "CREATE_COMPLETE"
    assert rules(live) == {}


def test_space_without_domain_has_port_of_load_balancer(live, context):
    made = naas.space.create("web", image=IMAGE, context=context)
    other = naas.space.create("api", image=IMAGE, context=context)

    assert made.host == made.dns_name
    assert made.url == f"http://{made.dns_name}:{made.url[:-1].rpartition(':')[2]}/"
    assert rules(live) == {}
    found = listeners(live)
    for space in (made, other):
        (action,) = found[int(space.url[:-1].rpartition(":")[2])]["DefaultActions"]
        assert action["Type"] == "forward"
    assert len(found) == 3
    (group,) = live.client("ec2").describe_security_groups(
        GroupIds=[load_balancer.find(context).outputs["SecurityGroupId"]]
    )["SecurityGroups"]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["IpPermissions"]] == [(80, 80), (8000, 8999)]


def test_port_taken_meanwhile_is_replaced(live):
    naas.space.create("first", image=IMAGE, context=Context(live))
    taken: list[int] = []

    def overtake(plan):
        if plan.stack_name == "space-slow" and not taken:
            balancer = load_balancer.find(Context(live)).outputs["LoadBalancerArn"]
            taken.append(load_balancer.free_port(Context(live), balancer, "slow"))
            not_found = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
            live.client("elbv2").create_listener(
                LoadBalancerArn=balancer, Port=taken[0], Protocol="HTTP", DefaultActions=not_found
            )
        return True

    reporter = RecordingReporter(overtake)
    made = naas.space.create("slow", image=IMAGE, context=Context(live, reporter=reporter))

    assert f":{taken[0]}/" not in made.url
    assert f"port {taken[0]} was taken by another space: planning again" in reporter.notes


def test_domain_replaces_port_and_opens_none(live, context):
    naas.space.create("web", image=IMAGE, domain="example.com", context=context)
    assert "OpenPorts" not in load_balancer.find(context).outputs
    port = naas.space.create("api", image=IMAGE, context=context).url

    moved = naas.space.update("api", domain="example.com", context=context)

    assert ":8" in port
    assert moved.url == "http://api.example.com/"
    assert list(listeners(live)) == [80]
    # Another process may be creating a space that needs the ports.
    assert "OpenPorts" in load_balancer.find(context).outputs


def test_update_keeps_port(context):
    made = naas.space.create("web", image=IMAGE, context=context)

    assert naas.space.update("web", env={"A": "1"}, context=context).url == made.url


def test_plan_shows_load_balancer_and_space(live):
    reporter = RecordingReporter()

    with pytest.raises(NotApprovedError):
        naas.space.create("web", image=IMAGE, context=Context(live, reporter=reporter, plan_only=True))

    assert [plan.stack_name for plan in reporter.plans] == ["spaces-load-balancer", "space-web"]
    assert "Service" in {change.logical_id for change in reporter.plans[1].changes}
    assert list(state.own(live.client("cloudformation"))) == []


def test_space_in_other_vpc_is_rejected(context):
    naas.space.create("web", image=IMAGE, context=context)

    with pytest.raises(SpaceRequestError, match="is in vpc-"):
        naas.space.create("api", image=IMAGE, vpc_id="vpc-99999999", context=context)
