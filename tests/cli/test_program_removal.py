"""Deletion of stacks by programs: order, stacks in use, and checks before the first deletion."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

import pytest

pytestmark = pytest.mark.live

START = """\
from exasol_ci_setup import Asset, Cluster, Container, Ingress, LocalDirectory, Registry, Scope, SecurityGroup, Service

def hangar_run():
    scope = Scope(name="pr", region="eu-central-1")
    Registry(scope=scope, name="keep").deploy()
    image = Container(source="nginx", tag="1.27")
"""
GROUP = """
    group = SecurityGroup(scope=scope, name="grp")
    group.deploy()
"""
CLUSTER = (
    'Cluster(scope=scope, name="clu", services=[Service(name="w", container=image)], security_groups=[group]).deploy()'
)
WITHOUT_GROUP = 'Cluster(scope=scope, name="clu", services=[Service(name="w", container=image)]).deploy()'
DATA = """
    data = Asset(scope=scope, name="data", source=LocalDirectory(scope=scope, name="here", path={folder!r}))
    data.deploy()
    data.sync()
"""


@pytest.fixture
def declaring(write):
    def program(*parts: str) -> Any:
        return write(START + "".join(indent(dedent(part).strip("\n"), "    ") + "\n" for part in parts))

    return program


@pytest.fixture
def up(here):
    def run(program: str, *options: str) -> Any:
        return here("up", program, "--yes", "--no-lint", "--no-drift", *options)

    return run


@pytest.fixture
def data(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "f").write_text("hi", encoding="utf-8")
    return DATA.format(folder=str(tmp_path / "src"))


def stacks(live) -> dict[str, str]:
    described = live.client("cloudformation").describe_stacks()["Stacks"]
    return {each["StackName"].removeprefix("pr-"): each["StackStatus"] for each in described}


def deploy_foreign(live, name: str, body: str, **parameters: str) -> None:
    live.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=body,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )


def output(live, stack: str, name: str) -> str:
    (found,) = live.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return next(str(each["OutputValue"]) for each in found["Outputs"] if each["OutputKey"] == name)


@pytest.mark.parametrize("steps", [[(GROUP, CLUSTER)], [(WITHOUT_GROUP,), (GROUP, CLUSTER)]], ids=["older", "younger"])
def test_prune_deletes_dependent_stack_first(live, declaring, up, steps):
    for parts in steps:
        assert up(declaring(*parts)).code == 0

    ran = up(declaring(), "--prune", "--allow-data-loss")

    assert ran.code == 0, ran.stderr
    assert ran.stderr.index("pr-clu: done") < ran.stderr.index("pr-grp: deleting")
    assert list(stacks(live)) == ["keep"]


def test_failed_prune_skips_only_stacks_it_uses(live, declaring, up):
    other = 'SecurityGroup(scope=scope, name="other").deploy()'
    assert up(declaring(GROUP, CLUSTER, other)).code == 0
    # A rule outside of all stacks.
    ec2 = live.client("ec2")
    mine = ec2.create_security_group(
        GroupName="mine", Description="mine", VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    )["GroupId"]
    pairs = [{"GroupId": output(live, "pr-other", "GroupId")}]
    ec2.authorize_security_group_ingress(GroupId=mine, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": pairs}])

    ran = up(declaring(), "--prune", "--allow-data-loss")

    assert ran.code == 1
    assert stacks(live) == {"keep": "CREATE_COMPLETE", "other": "DELETE_FAILED"}


def test_prune_keeps_stack_used_by_declared_stack(live, declaring, up):
    assert up(declaring(GROUP, CLUSTER)).code == 0
    by_id = CLUSTER.replace("[group]", repr([output(live, "pr-grp", "GroupId")]))

    refused = up(declaring(by_id), "--prune")
    allowed = up(declaring(WITHOUT_GROUP), "--prune")

    assert refused.code == 1
    assert "pr-grp is not declared, but in use: pr-clu is declared with it" in refused.stderr
    assert allowed.code == 0, allowed.stderr
    assert list(stacks(live)) == ["keep", "clu"]


def test_prune_keeps_stack_used_by_foreign_stack(live, declaring, up):
    assert up(declaring(GROUP)).code == 0
    body = '{"Parameters": {"Group": {"Type": "String"}}, "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    deploy_foreign(live, "theirs", body, Group=output(live, "pr-grp", "GroupId"))

    ran = up(declaring(WITHOUT_GROUP), "--prune")

    assert ran.code == 1
    assert "stack pr-grp is in use: theirs" in ran.stderr
    assert "`aws cloudformation delete-stack --stack-name theirs" in ran.stderr
    assert "clu" not in stacks(live)


def test_down_names_undeclared_stacks_and_prune_deletes_them(here, live, declaring, up):
    assert up(declaring(GROUP, CLUSTER)).code == 0

    alone = here("down", declaring(), "--plan")
    refused = here("down", declaring(GROUP), "--yes")
    before = list(stacks(live))
    planned = here("down", declaring(GROUP), "--plan", "--prune")
    ran = here("down", declaring(GROUP), "--yes", "--prune")

    assert "not declared in" in alone.stderr
    assert all(word in alone.stderr for word in ("pr-grp", "pr-clu", "--prune"))
    assert refused.code == 1
    assert "stack pr-grp is in use: pr-clu" in refused.stderr
    assert "--yes --prune" in refused.stderr.split("hint: ")[1]
    assert sorted(before) == ["clu", "grp", "keep"]
    assert planned.stdout.index("pr-clu (delete)") < planned.stdout.index("pr-grp (delete)")
    assert ran.code == 0, ran.stderr
    assert ran.stderr.index("pr-clu: done") < ran.stderr.index("pr-grp: deleting")
    assert stacks(live) == {}


def test_down_deletes_undeclared_dependents_first(here, declaring, up):
    assert up(declaring(GROUP, CLUSTER)).code == 0

    ran = here("down", declaring(WITHOUT_GROUP, GROUP), "--yes")

    assert ran.code == 0, ran.stderr
    assert ran.stderr.index("pr-clu: done") < ran.stderr.index("pr-grp: deleting")


def test_down_with_data_changes_nothing_without_empty(here, live, declaring, up, data):
    program = declaring(data)
    assert up(program).code == 0
    live.client("ecr").put_image(repositoryName="pr/keep", imageManifest='{"a": 1}', imageTag="one")

    refused = here("down", program, "--yes")
    after = stacks(live)
    again = up(program)
    emptied = here("down", program, "--yes", "--empty")

    assert refused.code == 1
    assert "holds objects (stack pr-data)" in refused.stderr
    assert "repository pr/keep holds images (stack pr-keep)" in refused.stderr
    assert "--yes --empty" in refused.stderr.split("hint: ")[1]
    assert after == {"keep": "CREATE_COMPLETE", "data": "CREATE_COMPLETE"}
    assert again.code == 0, again.stderr
    assert emptied.code == 0, emptied.stderr
    assert stacks(live) == {}


def test_prune_with_data_deploys_and_deletes_nothing_without_empty(live, declaring, up, data):
    assert up(declaring(data)).code == 0

    refused = up(declaring(GROUP), "--prune", "--allow-data-loss")
    after = stacks(live)
    emptied = up(declaring(GROUP), "--prune", "--allow-data-loss", "--empty")

    assert refused.code == 1
    assert "holds objects (stack pr-data)" in refused.stderr
    assert after == {"keep": "CREATE_COMPLETE", "data": "CREATE_COMPLETE"}
    assert emptied.code == 0, emptied.stderr
    assert sorted(stacks(live)) == ["grp", "keep"]


def test_empty_without_prune_exits_2(up, declaring):
    ran = up(declaring(), "--empty")

    assert ran.code == 2
    assert "--empty has no effect without --prune" in ran.stderr


def test_deleted_versions_count_as_objects(here, live, declaring, up, data):
    program = declaring(data)
    assert up(program).code == 0
    s3, bucket = live.client("s3"), output(live, "pr-data", "BucketName")
    for each in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=each["Key"])

    assert "holds objects" in here("down", program, "--yes").stderr


def test_delete_checks_before_it_deletes(here, live, declaring, up, data):
    assert up(declaring(data, GROUP, CLUSTER)).code == 0

    used = here("delete", "pr-grp", "--yes")
    full = here("delete", "pr-data", "--yes")
    before = stacks(live)
    emptied = here("delete", "pr-data", "--yes", "--empty")

    assert (used.code, full.code) == (1, 1)
    assert "stack pr-grp is in use: pr-clu" in used.stderr
    assert "`exasol-ci-setup delete pr-clu" in used.stderr
    assert "holds objects" in full.stderr
    assert set(before.values()) == {"CREATE_COMPLETE"}
    assert emptied.code == 0, emptied.stderr
    assert sorted(stacks(live)) == ["clu", "grp", "keep"]


BEHIND = """
    from exasol_ci_setup import LoadBalancer, PortMappings
    listening = Container(source="nginx", tag="1", port_mappings=[PortMappings(container_port=80)])
    balancer = LoadBalancer(scope=scope, name="front")
    web = Service(name="web", container=listening, load_balancer=balancer, host="web.example.com")
    Cluster(scope=scope, name={name!r}, services=[web]).deploy()
"""


def test_route_of_pruned_stack_is_free(declaring, up, live):
    assert up(declaring(BEHIND.format(name="old")), "--allow-broadening").code == 0

    after = declaring(BEHIND.format(name="new"))
    refused = up(after, "--allow-broadening")
    assert refused.code == 2
    assert "service 'web' has the host web.example.com and path /* of stack pr-old" in refused.stderr
    assert "new" not in stacks(live)

    assert up(after, "--allow-broadening", "--prune").code == 0
    assert set(stacks(live)) == {"keep", "front", "new"}
