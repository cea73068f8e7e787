"""Releases of spaces, rollbacks and numbers of tasks, against the sandbox."""

from __future__ import annotations

import json

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.constructs import LoadBalancer
from exasol_ci_setup.constructs import space as constructs
from exasol_ci_setup.core.errors import ReleaseNotFoundError, SpaceRequestError
from exasol_ci_setup.core.stacks import Stack
from exasol_ci_setup.platform import space_releases
from tests.platform.spaces import task_definition

IMAGE = "public.ecr.aws/nginx/nginx:1.27"
RECORD = {"image": IMAGE, "cpu": 256, "memory": 512, "port": 80, "env": {"A": "1"}}


@pytest.fixture
def context(live):
    return Context(live)


def space(**values):
    return constructs.Space(name="web", load_balancer=LoadBalancer(), **{"image": IMAGE, **values})


@pytest.mark.live
def test_each_change_of_what_runs_is_release(live, context):
    arn = live.client("secretsmanager").create_secret(Name="db", SecretString="hush")["ARN"]
    naas.space.create("web", image=IMAGE, env={"A": "1"}, context=context)
    naas.space.update("web", env={"A": "2", "B": "3"}, context=context)
    naas.space.update("web", secrets={"A": arn}, port=8080, memory="1Gi", context=context)
    naas.space.update("web", domain="example.com", count=2, health_path="/up", context=context)

    found = naas.space.releases("web", context=context)

    assert [(each.number, each.changes, each.is_current) for each in found] == [
        (3, ("memory", "port", "A"), True),
        (2, ("A", "B"), False),
        (1, (), False),
    ]


@pytest.mark.live
def test_rollback_restores_all_but_domain_and_count(live, context):
    arn = live.client("secretsmanager").create_secret(Name="db", SecretString="hush")["ARN"]
    naas.space.create("web", image=IMAGE, env={"A": "1"}, secrets={"S": arn}, port=8080, context=context)
    naas.space.update("web", image="nginx:2", env={"B": "2"}, unset=["A", "S"], port=80, memory="1Gi", context=context)
    naas.space.update("web", domain="example.com", count=3, context=context)

    back = naas.space.rollback("web", context=context)

    assert (back.image, back.port, back.memory, back.host) == (IMAGE, 8080, 512, "web.example.com")
    now = naas.space.get("web", context=context)
    assert (now.env, now.secrets, now.desired) == ({"A": "1"}, {"S": arn}, 3)
    assert task_definition(live, "web")["containerDefinitions"][0]["image"] == IMAGE
    assert [each.number for each in naas.space.releases("web", context=context)] == [3, 2, 1]
    again = naas.space.rollback("web", to=2, context=context)
    assert (again.image, naas.space.get("web", context=context).env) == ("nginx:2", {"B": "2"})


@pytest.mark.live
def test_first_release_cannot_be_rolled_back(context):
    naas.space.create("web", image=IMAGE, context=context)

    with pytest.raises(ReleaseNotFoundError, match="no release before the current one") as caught:
        naas.space.rollback("web", context=context)

    assert caught.value.exit_code == 1
    assert "space releases --name web" in caught.value.hint
    with pytest.raises(ReleaseNotFoundError, match="no release 7"):
        naas.space.rollback("web", to=7, context=context)


@pytest.mark.live
def test_count_is_kept_and_zero_stops_space(context):
    naas.space.create("web", image=IMAGE, count=3, context=context)

    def tasks():
        found = naas.space.get("web", context=context)
        return found.running, found.desired

    assert tasks() == (3, 3)
    naas.space.update("web", env={"A": "1"}, context=context)
    assert tasks() == (3, 3)
    naas.space.update("web", count=0, context=context)
    assert tasks() == (0, 0)


def test_space_of_earlier_version_has_one_release():
    stack = Stack(name="space-web", id="arn:1", status="CREATE_COMPLETE")

    (only,) = space_releases.stored(stack, {"Space": json.dumps(RECORD)})

    assert (only.number, only.image, only.env, only.secrets) == (1, IMAGE, {"A": "1"}, {})


def test_last_ten_releases_are_stored():
    releases: tuple[space_releases.StoredRelease, ...] = ()
    for number in range(1, 14):
        releases = space_releases.following(releases, space(image=f"nginx:{number}"))

    assert [each.number for each in releases] == list(range(4, 14))
    assert space_releases.following(releases, space(image="nginx:13")) == releases


def test_many_variables_leave_two_releases():
    releases: tuple[space_releases.StoredRelease, ...] = ()
    for number in range(1, 5):
        releases = space_releases.following(releases, space(env={"A": "x" * 10_000, "B": str(number)}))

    assert [each.number for each in releases] == [3, 4]


def test_variable_that_becomes_secret_is_change():
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
    releases = space_releases.following((), space(env={"A": arn}))
    releases = space_releases.following(releases, space(secrets={"A": arn}))

    assert space_releases.described(releases)[0].changes == ("A",)


@pytest.mark.live
def test_range_of_tasks_scales_and_fixed_number_ends_that(live, context):
    naas.space.create("web", image=IMAGE, count="1-4", context=context)
    cfn = live.client("cloudformation")

    def types():
        found = cfn.describe_stack_resources(StackName="space-web")["StackResources"]
        return {each["ResourceType"] for each in found if "AutoScaling" in each["ResourceType"]}

    scaled = types()
    naas.space.update("web", env={"A": "1"}, context=context)
    kept = types()
    naas.space.update("web", count=2, context=context)

    assert scaled == kept
    assert len(scaled) == 2
    assert types() == set()
    assert naas.space.get("web", context=context).desired == 2
    with pytest.raises(SpaceRequestError, match="invalid number of tasks: '1-'"):
        naas.space.update("web", count="1-", context=context)
