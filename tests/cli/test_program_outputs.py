"""Programs with outputs: rejected in declarations before deployment, resolved in actions."""

from __future__ import annotations

import json
import re
from textwrap import dedent, indent
from typing import Any

import pytest

from tests.templates.samples import PUBLIC_KEY

pytestmark = pytest.mark.live

START = """\
import json
import re
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
# Each place in which an output can be, with text around it that has a meaning for templates, shells and JSON.
EVERYWHERE = """\
    group2 = SecurityGroup(scope=scope, name="grp2", ingresses=[
        Ingress(from_port=443, to_port=443, protocol="tcp", cidr_ip=["10.0.0.0/8", f"{box.public_ip}/32"])])
    Cluster(scope=scope, name="cl", security_groups=[group2, group.group_id], services=[
        Service(
            name="w",
            container=Container(source=registry.uri, tag="1.4", start_command=f"run --bucket '{data.bucket_name} x' ${{level}}"),
            env_vars={
                "BUCKET": data.bucket_name,
                "URL": f'https://{data.bucket_name}/${{level}}?"{registry.uri}"#: {{}}',
                "JSON": json.dumps({"groups": [group.group_id, "b"]}),
                "JOINED": ",".join([data.bucket_name, group.group_id]),
            },
        ),
    ]).deploy()
    ContainerBuilder(name="byname", asset=data.bucket_name, builder=host, registry=registry).deploy()
    print(data.bucket_name, group.group_id, registry.uri, box.public_ip)
"""


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


@pytest.fixture
def requests(live) -> list[str]:
    """The parameters and bodies of all requests in this account."""
    sent: list[str] = []

    def record(params: dict[str, Any], **_: Any) -> None:
        sent.append(str({key: params[key] for key in ("url", "query_string", "headers", "body")}))

    live.session.events.register("before-call", record)
    return sent


def of_service(live, stack: str, logical_id: str = "WTaskDefinition") -> Any:
    cfn = live.client("cloudformation")
    arn = cfn.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)["StackResourceDetail"]
    task = live.client("ecs").describe_task_definition(taskDefinition=arn["PhysicalResourceId"])["taskDefinition"]
    return task["containerDefinitions"][0]


def test_outputs_in_declarations_become_parameters(here, live, using, requests):
    program = using(EVERYWHERE)

    planned = here("plan", program, "--no-lint")
    assert planned.code == 0, planned.stderr
    assert stacks(live) == []
    first = here("up", program, "--yes", "--no-lint", "--allow-broadening")
    assert first.code == 0, first.stderr
    second = here("up", program, "--yes", "--no-lint")

    assert "<output BucketName: known after deployment of out-data>" in planned.stdout
    assert "it needs outputs of out-data, which is deployed first" in planned.stdout
    assert second.code == 0, second.stderr
    assert "7 stacks up to date" in second.stderr
    assert "done" not in second.stderr
    bucket, group, uri, address = first.stdout.splitlines()[-1].split()
    container = of_service(live, "out-cl")
    assert {each["name"]: each["value"] for each in container["environment"]} == {
        "BUCKET": bucket,
        "URL": f'https://{bucket}/${{level}}?"{uri}"#: {{}}',
        "JSON": json.dumps({"groups": [group, "b"]}),
        "JOINED": f"{bucket},{group}",
    }
    assert container["image"] == f"{uri}:1.4"
    assert container["command"] == ["run", "--bucket", f"{bucket} x", "${level}"]
    assert f"{address}/32" in str(live.client("ec2").describe_security_groups())
    body = live.client("cloudformation").get_template(StackName="out-cl")["TemplateBody"]
    assert bucket not in body
    assert "repository/" not in body
    assert not [each for each in requests if re.search("[g-z][0-9a-f]{12,19}-output-|known after deployment", each)]


def test_outputs_of_two_constructs_of_one_class_differ(here, live, using):
    program = using(
        """\
        other = Asset(scope=scope, name="other")
        Cluster(scope=scope, name="cl", services=[Service(name="w", container=image, env_vars={
            "A": data.bucket_name, "B": other.bucket_name, "C": f"{data.bucket_name}/{other.bucket_name}",
        })]).deploy()
        """
    )

    ran = here("up", program, "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    values = {each["name"]: each["value"] for each in of_service(live, "out-cl")["environment"]}
    assert values["A"] != values["B"]
    assert values["C"] == f"{values['A']}/{values['B']}"


def test_outputs_of_other_region_arrive_as_parameters(here, live, using, requests):
    far = """
    far = Scope(name="far", region="us-east-1")
    table = Registry(scope=far, name="logs")
    Cluster(scope=scope, name="cl", services=[
        Service(name="w", container=image, env_vars={"A": table.uri})]).deploy()
    print(table.uri)
    """
    program = using(far)

    first = here("up", program, "--yes", "--no-lint")
    second = here("up", program, "--yes", "--no-lint")

    assert first.code == 0, first.stderr
    assert ".ecr.us-east-1." in first.stdout.splitlines()[-1]
    assert of_service(live, "out-cl")["environment"] == [{"name": "A", "value": first.stdout.splitlines()[-1]}]
    assert "6 stacks up to date" in second.stderr
    assert not [each for each in requests if re.search("[g-z][0-9a-f]{12,19}-output-", each)]
    removed = here("down", program, "--yes")
    assert removed.code == 0, removed.stderr
    assert removed.stderr.index("out-cl: deleting") < removed.stderr.index("far-logs: deleting")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CLUSTER.replace("VALUE", "data.sync().key"), "the archive key of Asset 'data'"),
        (CLUSTER.replace("VALUE", "data.sync().sha256"), "the archive hash of Asset 'data'"),
        (CLUSTER.replace("VALUE", "builder.build().content_hash"), "the content hash of ContainerBuilder 'bld'"),
        (CLUSTER.replace("VALUE", "box.run_command('date')['stdout']"), "of Instance 'vm'"),
        *(
            (CLUSTER.replace("VALUE", value), "the program declares stack out-cl differently in two runs")
            for value in (
                "re.sub('^..', '', data.bucket_name)",
                "re.findall('[a-z]', data.bucket_name)[0]",
                "re.sub('.*-', '', data.bucket_name)",
                "f'{data.bucket_name:>80}'",
            )
        ),
        (
            CLUSTER.replace("VALUE", "re.sub('.+', lambda found: found[0].upper(), data.bucket_name)"),
            "program.py:21: env_vars of Service 'w' changes the letters of the output BucketName of Asset 'data'",
        ),
        (
            "Registry(scope=scope, name=data.bucket_name)",
            "program.py:21: name of Registry uses the output BucketName of Asset 'data', which is not known before",
        ),
        (
            "Registry(scope=scope, name='r', stack_name=f'x-{group.group_id}')",
            "stack_name of Registry uses the output GroupId",
        ),
        ("Service(name='w', container=image, count=group.group_id)", "count of Service 'w' uses the output GroupId"),
        (
            "Service(name='w', container=image, env_vars={'A': group.group_id, '1': ''})",
            "use letters, digits and underscores",
        ),
        ("Container(source='nginx', tag='1', start_command=f\"run '{group.group_id}\")", "unbalanced quotation mark"),
        (
            "print(Registry(scope=scope, name='x').uri)",
            "an output of Registry 'x' is used, but the construct is not deployed",
        ),
        (
            (
                "a = Service(name='a', container=image)\nb = Service(name='b', container=image)\n"
                "one = Cluster(scope=scope, name='one', services=[a])\ntwo = Cluster(scope=scope, name='two', services=[b])\n"
                "a.env_vars['A'] = two.output('ClusterName')\nb.env_vars['A'] = one.output('ClusterName')\none.deploy()"
            ),
            "out-one → out-two → out-one",
        ),
    ],
)
def test_output_that_must_be_known_exits_before_deployment(here, live, using, text, said):
    ran = here("up", "--yes", using(text), "--no-lint")

    assert ran.code == 2
    assert said in ran.stderr
    assert stacks(live) == []


def test_value_that_breaks_rule_of_field_exits_2(here, live, using):
    ran = here(
        "up",
        "--yes",
        using(CLUSTER.replace("image", "image.model_copy(update={'tag': registry.uri})").replace("VALUE", "''")),
        "--no-lint",
    )

    assert ran.code == 2
    assert "tag of Container is invalid with the outputs of other stacks: use the tag of an image" in ran.stderr
    assert "out-cl" not in stacks(live)


def test_program_that_prints_outputs_gets_their_values(here, using):
    program = using("print(data.bucket_name, registry.uri, box.public_ip)")

    first = here("up", program, "--yes", "--no-lint")
    second = here("up", program, "--yes", "--no-lint")
    planned = here("plan", program, "--no-lint")

    bucket, uri, address = first.stdout.splitlines()[-1].split()
    assert bucket.startswith("out-data-")
    assert ".dkr.ecr." in uri
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


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("if registry.uri == 'x': pass", "a comparison"),
        ("if 'x' != registry.uri: pass", "a comparison"),
        ("if f'{registry.uri}:1' == 'x:1': pass", "a comparison"),
        ("if ','.join([registry.uri, 'b']) == 'x': pass", "a comparison"),
        ("if '%s-%s' % (registry.uri, 1) == 'x': pass", "a comparison"),
        ("sorted([registry.uri, 'x'])", "a comparison"),
        ("print('x' if registry.uri in ('a', 'b') else 'y')", "a search"),
        ("if registry.uri in 'text': pass", "a search"),
        ("if registry.uri.startswith('x'): pass", "a search"),
        ("if 'x' in registry.uri: pass", "a search"),
        ("registry.uri[1:]", "a part of a text"),
        ("registry.uri.split('/')", "a part of a text"),
        ("len(registry.uri)", "the length of a text"),
        ("int(registry.uri)", "a conversion to a number"),
        ("json.loads(registry.uri)", "a search"),
        ("{registry.uri: 1}", "a key of a mapping or set"),
        ("registry.uri or 'x'", "a condition"),
        ("try:\n    int(registry.uri)\nexcept Exception:\n    pass", "a conversion to a number"),
    ],
)
def test_decision_by_output_exits_2_before_deployment(here, live, using, text, use):
    ran = here("up", "--yes", using(text))

    assert ran.code == 2
    [line, hint] = [each for each in ran.stderr.splitlines() if each]
    place = "program.py:22" if text.startswith("try") else "program.py:21"
    assert f"{place}: {use} needs the value of the output RepositoryUri of Registry 'reg'" in line
    assert "`exasol-ci-setup outputs out-reg --region eu-central-1` prints" in hint
    assert stacks(live) == []


def test_decision_by_output_is_refused_by_down(here, using):
    ran = here("down", "--yes", using("if registry.uri == 'x': pass"))

    assert ran.code == 2
    assert "program.py:21: a comparison needs the value of the output RepositoryUri" in ran.stderr


def test_decision_in_module_and_thread_exits_2(here, live, using, tmp_path):
    (tmp_path / "images.py").write_text("def is_x(uri):\n    return f'{uri}:1' == 'x'\n", encoding="utf-8")
    program = using("""
        from concurrent.futures import ThreadPoolExecutor
        from images import is_x
        with ThreadPoolExecutor() as pool:
            pool.submit(is_x, registry.uri)
    """)

    ran = here("up", "--yes", program)

    assert ran.code == 2
    assert "a comparison needs the value of the output RepositoryUri of Registry 'reg'" in ran.stderr
    assert stacks(live) == []
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize(
    ("use", "user"),
    [
        (
            "Cluster(scope=scope, name='cl', services=[Service(name='w', container=image, env_vars={'A': KEPT[0]})]).deploy()",
            "Cluster 'cl'",
        ),
        ("box.run_command(f'echo {KEPT[0]}')", "a command on Instance 'vm'"),
        ("builder.deploy(); builder.build(environment_variables={'A': KEPT[0]})", "a build of ContainerBuilder 'bld'"),
    ],
)
def test_output_that_is_kept_between_runs_exits_2(here, live, using, use, user):
    program = using(f"globals().setdefault('KEPT', []).append(registry.uri)\n{use}")

    ran = here("up", program, "--yes", "--no-lint")

    assert ran.code == 2
    assert f"program.py:22: {user} uses the output RepositoryUri of Registry 'reg' from an earlier run" in ran.stderr
    assert stacks(live) == []
