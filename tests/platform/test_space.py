"""The verbs of spaces, against the sandbox."""

from __future__ import annotations

from threading import Thread

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.errors import (
    DeployFailed,
    InputError,
    NotApprovedError,
    SetupError,
    SpaceConflictError,
    SpaceNotFound,
    SpaceRequestError,
)
from exasol_ci_setup.platform import load_balancer
from exasol_ci_setup.platform.place import Place
from exasol_ci_setup.stacks import state
from tests.platform.spaces import Told, listeners, rules, task_definition

pytestmark = pytest.mark.live

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
IMAGE = "public.ecr.aws/nginx/nginx:1.27"


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def place(live, told):
    return Place(live, report=told)


def test_a_space_is_a_service_behind_a_rule_with_its_host(live, place):
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


def test_the_seeds_list_of_containers_does_the_same(live, place):
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
        ([], "one container, and 0"),
        ([{"image": IMAGE}, {"image": IMAGE}], "one container, and 2"),
        ([{"image": IMAGE, "volume": 1}], "has no 'volume'"),
        ([{"image": IMAGE, "port": 1}], "port is given twice"),
        ([{"name": "web"}], "no image"),
    ],
)
def test_a_space_has_one_container_that_is_given_once(place, containers, message):
    with pytest.raises(SpaceRequestError, match=message):
        naas.space.create("web", containers=containers, port=80, place=place)


def test_a_size_becomes_the_next_one_of_fargate_and_that_is_told(live, place, told):
    made = naas.space.create("web", image=IMAGE, cpu="250m", memory="1Gi", place=place)

    assert (made.cpu, made.memory) == (0.25, 1024)
    assert "cpu 250m and memory 1Gi: Fargate's next size is 0.25 vCPU and 1024 MiB" in told.said
    found = task_definition(live, "web")
    assert (found["cpu"], found["memory"]) == ("256", "1024")


def test_a_second_creation_is_a_conflict_and_changes_nothing(live, place, told):
    naas.space.create("web", image=IMAGE, place=place)
    told.plans.clear()

    with pytest.raises(SpaceConflictError, match="space 'web' is there already") as caught:
        naas.space.create("web", image="another:1", place=place)

    assert "space update --name web" in caught.value.hint
    assert caught.value.exit_code == 1
    assert told.plans == []
    assert task_definition(live, "web")["containerDefinitions"][0]["image"] == IMAGE


@pytest.mark.parametrize("verb", ["get", "update", "delete"])
def test_a_space_that_is_not_there_is_not_found(place, verb):
    more = {"image": IMAGE} if verb == "update" else {}
    with pytest.raises(SpaceNotFound, match="there is no space 'web' in eu-central-1"):
        getattr(naas.space, verb)("web", **more, place=place)


@pytest.mark.parametrize("name", ["a b", "", "Web", "w" * 64])
def test_what_no_space_can_be_called_is_not_found_without_asking_aws(answers, name):
    with pytest.raises(SpaceNotFound):
        naas.space.get(name, place=Place(answers.account))

    assert answers.calls == []


def test_a_stack_of_that_name_that_is_no_space_is_left_alone(live, place):
    live.client("cloudformation").create_stack(
        StackName="space-web", TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    )

    with pytest.raises(SpaceNotFound):
        naas.space.delete("web", place=place)
    with pytest.raises(SetupError, match="was not created by this tool"):
        naas.space.create("web", image=IMAGE, place=place)


def test_an_update_changes_only_what_was_given(live, place):
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


def test_an_update_keeps_what_another_run_changes_meanwhile(live, place):
    naas.space.create("web", image=IMAGE, env={"A": "1"}, place=place)

    class Late(Told):
        """Another run has changed the space by the time this one begins its deployment."""

        def check(self, _template, _region, /):
            if not meddled:
                meddled.append(True)
                naas.space.update("web", env={"A": "2"}, place=place)

    meddled: list[bool] = []
    late = Late()
    naas.space.update("web", memory="2Gi", place=Place(live, report=late))

    found = naas.space.get("web", place=place)
    assert (found.memory, found.env) == (2048, {"A": "2"})
    assert "space web was changed by another run meanwhile: looking at it anew" in late.said


def test_a_memory_alone_keeps_the_processor_as_far_as_fargate_has_the_pair(place):
    naas.space.create("web", image=IMAGE, cpu="1", memory="2Gi", place=place)

    assert naas.space.update("web", memory="4Gi", place=place).cpu == 1
    assert naas.space.update("web", memory="16Gi", place=place).cpu == 2
    assert naas.space.update("web", cpu="4", place=place).memory == 16384


def test_update_keeps_variables_that_are_not_named(live, place):
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
        ({"unset": ["A"], "env": {"A": "2"}}, "A is set and unset at once"),
        ({"env": {"B": "2"}, "secrets": {"B": ARN}}, "B cannot be a variable and a secret at once"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(place, told, values, message):
    naas.space.create("web", image=IMAGE, env={"A": "1"}, place=place)
    plans = len(told.plans)

    with pytest.raises(SpaceRequestError, match=message):
        naas.space.update("web", **values, place=place)

    assert len(told.plans) == plans


def test_an_update_that_changes_nothing_makes_no_change_set(place, told):
    naas.space.create("web", image=IMAGE, domain="example.com", place=place)
    told.plans.clear()

    naas.space.update("web", image=IMAGE, cpu="250m", domain="example.com", place=place)

    assert told.plans == []


def test_another_port_replaces_nothing_behind_the_load_balancer(live, place, told):
    naas.space.create("web", image=IMAGE, place=place)

    naas.space.update("web", port=9000, place=place)

    assert not [
        c.logical_id for c in told.plans[-1].changes if c.replacement == "True" and c.logical_id == "TargetGroup"
    ]
    groups = live.client("ec2").describe_security_groups()["SecurityGroups"]
    (group,) = [each for each in groups if each["Description"] == "The space web"]
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (9000, 9000)
    # Only the load balancer is let in.
    assert not rule["IpRanges"]
    assert len(rule["UserIdGroupPairs"]) == 1


def test_each_rule_has_priority_of_its_own(live, place):
    for name in ("a", "b", "c"):
        naas.space.create(name, image=IMAGE, domain="example.com", place=place)

    found = rules(live)

    assert sorted(found) == ["a.example.com", "b.example.com", "c.example.com"]
    assert len(set(found.values())) == 3


def occupy(live, name):
    """Take the priority that the space `name` would take next, and return it."""
    listener = listeners(live)[80]["ListenerArn"]
    priority = load_balancer.free_priority(Place(live), listener, name)
    live.client("elbv2").create_rule(
        ListenerArn=listener,
        Priority=priority,
        Conditions=[{"Field": "host-header", "Values": [f"{priority}.example.org"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )
    return priority


def test_priority_that_is_taken_meanwhile_is_replaced(live):
    naas.space.create("first", image=IMAGE, domain="example.com", place=Place(live))
    taken: list[int] = []

    def overtake(plan):
        if plan.stack_name == "space-slow" and not taken:
            taken.append(occupy(live, "slow"))

    told = Told(before=overtake)
    made = naas.space.create("slow", image=IMAGE, domain="example.com", place=Place(live, report=told))

    assert made.status == "CREATE_COMPLETE"
    assert f"another space has taken priority {taken[0]} meanwhile: retrying with another one" in told.said


def test_priority_that_is_always_taken_ends_with_hint_to_retry(live):
    naas.space.create("first", image=IMAGE, domain="example.com", place=Place(live))

    def overtake(plan):
        if plan.stack_name == "space-slow":
            occupy(live, "slow")

    told = Told(before=overtake)

    with pytest.raises(DeployFailed) as failed:
        naas.space.create("slow", image=IMAGE, domain="example.com", place=Place(live, report=told))

    assert "run the same command again" in failed.value.hint


def test_the_first_spaces_may_be_created_at_the_same_time(live, told):
    failed = []

    def create(name):
        try:
            naas.space.create(name, image=IMAGE, domain="example.com", place=Place(live, report=told))
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    names = [f"par{number}" for number in range(8)]
    threads = [Thread(target=create, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert sorted(rules(live)) == [f"{name}.example.com" for name in names]
    assert [said for said in told.said if "has taken priority" in said] == []


def test_a_creation_that_fails_tells_where_the_log_is_and_can_be_done_again(live, place):
    naas.space.create("other", image=IMAGE, place=place)
    ecs = live.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition="space-other", desiredCount=0)

    with pytest.raises(DeployFailed, match="space-web") as caught:
        naas.space.create("web", image=IMAGE, place=place)
    (group,) = log_groups(live, "web")
    assert f"what the container wrote: `aws logs tail {group}`" in caught.value.hint
    assert state.find(live.client("cloudformation"), "space-web") is None
    ecs.delete_service(cluster=cluster, service="web", force=True)

    made = naas.space.create("web", image=IMAGE, place=place)
    assert log_groups(live, "web") == [made.log_group]
    assert made.log_group != group


def test_a_deleted_space_leaves_no_log(live, place):
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
    assert len(cloudformation.describe_stacks()["Stacks"]) < 120  # there is more than one page

    assert {space.name for space in naas.space.list(place=place)} == {f"s{number}" for number in range(120)}


def test_what_is_no_space_is_not_listed(place):
    naas.space.create("web", image=IMAGE, place=place)

    assert [space.name for space in naas.space.list(place=place)] == ["web"]


def test_get_tells_what_runs_with_variables_and_where_secrets_are(live, place):
    arn = live.client("secretsmanager").create_secret(Name="db", SecretString="hush")["ARN"]
    naas.space.create("web", image=IMAGE, env={"A": "b"}, secrets={"PASSWORD": "db"}, place=place)

    found = naas.space.get("web", place=place)

    assert (found.running, found.desired) == (1, 1)
    assert found.env == {"A": "b"}
    assert found.secrets == {"PASSWORD": arn}


def test_a_secret_that_is_not_there_is_told_before_anything_is_made(live, place):
    with pytest.raises(InputError, match="secret 'nobodys' does not exist"):
        naas.space.create("web", image=IMAGE, secrets={"PASSWORD": "nobodys"}, place=place)

    assert list(state.own(live.client("cloudformation"))) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cpu": "lots"}, "no amount of processor"),
        ({"cpu": "32"}, "more than Fargate has"),
        ({"domain": "localhost"}, "name of a domain"),
        ({"image": "what is this"}, "image with its tag"),
        ({"hosted_zone_id": "Z1"}, "needs a --domain"),
        ({"domain": "example.com", "hosted_zone_id": "Z1"}, "no hosted zone Z1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(live, place, values, message):
    with pytest.raises(SpaceRequestError, match=message) as caught:
        naas.space.create("web", **{"image": IMAGE, **values}, place=place)

    assert caught.value.exit_code == 2
    assert list(state.own(live.client("cloudformation"))) == []


def test_deleting_leaves_the_load_balancer_and_tells_how_many_spaces_it_still_serves(live, place):
    naas.space.create("a", image=IMAGE, place=place)
    naas.space.create("b", image=IMAGE, place=place)

    assert naas.space.delete("a", place=place) == 1
    assert naas.space.delete("b", place=place) == 0
    assert state.find(live.client("cloudformation"), "spaces-load-balancer").status == "CREATE_COMPLETE"
    assert rules(live) == {}


def test_without_a_domain_the_load_balancers_name_leads_to_it_and_how_is_told(live, place, told):
    made = naas.space.create("web", image=IMAGE, place=place)

    assert made.url == ""
    assert made.host == f"web.{made.dns_name}"
    assert list(rules(live)) == [made.host]
    assert f"curl -H 'Host: {made.host}' http://{made.dns_name}/" in told.said[-1]


def test_a_plan_shows_the_load_balancer_and_the_space_and_makes_nothing(live):
    told = Told(approve=False)

    with pytest.raises(NotApprovedError):
        naas.space.create("web", image=IMAGE, place=Place(live, report=told))

    assert [plan.stack_name for plan in told.plans] == ["spaces-load-balancer", "space-web"]
    assert "Service" in {change.logical_id for change in told.plans[1].changes}
    assert list(state.own(live.client("cloudformation"))) == []


def test_spaces_go_where_their_load_balancer_is(place):
    naas.space.create("web", image=IMAGE, place=place)

    with pytest.raises(SpaceRequestError, match="spaces are in vpc-"):
        naas.space.create("api", image=IMAGE, vpc_id="vpc-99999999", place=place)
