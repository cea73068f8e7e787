"""Programs with outputs: rejected in declarations before deployment, resolved in actions."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

import pytest

from tests.templates.samples import PUBLIC_KEY

pytestmark = pytest.mark.live

START = """\
import json
from exasol_ci_setup import (
    Asset, BuildkitBuilder, Cluster, Container, ContainerBuilder, Ingress, Instance, LocalDirectory, Registry, Scope, SecurityGroup, Service,
)
from exasol_ci_setup.constructs import LoadBalancer, Space

def hangar_run():
    scope = Scope(name="out", region="eu-central-1")
    data = Asset(scope=scope, name="data", source=LocalDirectory(scope=scope, name="here", path={folder!r}))
    data.deploy()
    registry = Registry(scope=scope, name="reg")
    registry.deploy()
    group = SecurityGroup(scope=scope, name="grp")
    group.deploy()
    box = Instance(scope=scope, name="vm", instance_type="t3.micro", path_to_key={key!r})
    box.deploy()
    image = Container(source="nginx", tag="1.27")
    host = BuildkitBuilder(scope=scope, name="host")
    builder = ContainerBuilder(name="bld", asset=data, builder=host, registry=registry)
"""
CLUSTER = (
    'Cluster(scope=scope, name="cl", services=[Service(name="w", container=image, env_vars={"A": VALUE})]).deploy()'
)


@pytest.fixture
def using(write, tmp_path):
    (tmp_path / "key.pub").write_text(f"{PUBLIC_KEY}\n", encoding="utf-8")
    (tmp_path / "src").mkdir(exist_ok=True)

    def program(text: str) -> Any:
        start = START.format(folder=str(tmp_path / "src"), key=str(tmp_path / "key"))
        return write(start + indent(dedent(text), "    "))

    return program


def stacks(live) -> list[str]:
    return [each["StackName"] for each in live.client("cloudformation").describe_stacks()["Stacks"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            CLUSTER.replace("VALUE", "data.bucket_name"),
            "env_vars of Service 'w' uses the output BucketName of Asset 'data'",
        ),
        (CLUSTER.replace("VALUE", "json.dumps([group.group_id])"), "the output GroupId of SecurityGroup 'grp'"),
        (CLUSTER.replace("VALUE", "data.sync().key"), "the archive key of Asset 'data'"),
        (CLUSTER.replace("VALUE", "data.sync().sha256"), "the archive hash of Asset 'data'"),
        (CLUSTER.replace("VALUE", "builder.build().content_hash"), "the content hash of ContainerBuilder 'bld'"),
        (CLUSTER.replace("VALUE", "box.run_command('date')['stdout']"), "of Instance 'vm'"),
        (
            CLUSTER.replace("image", "image.model_copy(update={'tag': group.group_id})").replace("VALUE", "''"),
            "Image of Cluster 'out-cl' uses",
        ),
        ("Container(source='nginx', tag='1', start_command=f'run {data.bucket_name}')", "start_command of Container"),
        (
            "Cluster(scope=scope, name='c', services=[], security_groups=[group.group_id])",
            "security_groups of Cluster 'c'",
        ),
        (
            "Container(source=registry.uri, tag='1')",
            "source of Container uses the output RepositoryUri of Registry 'reg'",
        ),
        (
            "Ingress(from_port=1, to_port=1, protocol='tcp', cidr_ip=[f'{box.public_ip}/32'])",
            "output PublicIp of Instance",
        ),
        (
            "ContainerBuilder(name='b', asset=data.bucket_name, builder=host, registry=registry)",
            "output BucketName of Asset",
        ),
        (
            "Space(name='s', load_balancer=LoadBalancer(scope=scope), image=f'{registry.uri}:1')",
            "image of Space 's' uses",
        ),
        (
            CLUSTER.replace("VALUE", "data.bucket_name[2:9]"),
            "the program declares stack out-cl differently in two runs",
        ),
        ("int(group.group_id)", "invalid literal for int() with base 10: '<output GroupId of out-grp>'"),
    ],
)
def test_declaration_with_output_exits_before_deployment(here, live, using, text, said):
    ran = here("up", "--yes", using(text), "--no-lint")

    assert ran.code == (1 if text.startswith("int") else 2)
    assert said in ran.stderr
    assert stacks(live) == []


def test_plan_of_declaration_with_output_exits_2(here, using):
    planned = here("plan", using(CLUSTER.replace("VALUE", "data.bucket_name")), "--no-lint")

    assert planned.code == 2
    assert "uses the output BucketName of Asset 'data'" in planned.stderr
    assert "`exasol-ci-setup outputs out-data --region eu-central-1`" in planned.stderr


def test_program_that_prints_outputs_gets_their_values(here, using):
    program = using("print(data.bucket_name, registry.uri.split('/')[0], box.public_ip)")

    first = here("up", program, "--yes", "--no-lint")
    second = here("up", program, "--yes", "--no-lint")
    planned = here("plan", program, "--no-lint")

    bucket, host, address = first.stdout.splitlines()[-1].split()
    assert bucket.startswith("out-data-")
    assert ".dkr.ecr." in host
    assert address.startswith("203.0.113.")
    assert second.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert planned.code == 0, planned.stderr
    assert planned.stdout == ""


def test_action_with_output_shows_readable_name(here, using):
    planned = here("plan", using("box.run_command(f'{data.bucket_name}')"), "--no-lint")

    assert planned.code == 0, planned.stderr
    assert "-output" not in planned.stderr + planned.stdout


@pytest.mark.parametrize(
    "text",
    [
        CLUSTER.replace("VALUE", "data.bucket_name"),
        "Cluster(scope=scope, name='cl', services=[], security_groups=[group.group_id]).deploy()",
        (
            "SecurityGroup(scope=scope, name='open', ingresses=[Ingress(from_port=1, to_port=1, protocol='tcp', "
            "cidr_ip=[f'{box.public_ip}/32'])]).deploy()"
        ),
    ],
)
def test_down_of_program_with_outputs_in_declarations_deletes_its_stacks(here, live, using, text):
    assert here("up", using(""), "--yes", "--no-lint").code == 0

    ran = here("down", using(text), "--yes")

    assert ran.code == 0, ran.stderr
    assert stacks(live) == []
