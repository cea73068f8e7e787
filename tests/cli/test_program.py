"""Commands `up`, `plan`, `down`, `scopes` and `resources`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from textwrap import dedent

import pytest

from exasol_ci_setup.aws.roles import assume
from tests.pseudo_terminal import answered
from tests.templates.samples import PUBLIC_KEY

pytestmark = pytest.mark.live

PROGRAM = """
    import asyncio
    from exasol_ci_setup import Asset, HangarScope, Registry

    def hangar_run():
        scope = HangarScope(name="team", region="eu-central-1", roleAssumptions=[])
        registry = Registry(scope=scope, name="registry")
        asset = Asset(scope=scope, name="source")
        asyncio.run(registry.resolve())
        asyncio.run(asset.resolve())
        print("push to", registry.uri)
"""
REGISTRY_ONLY = """
    from exasol_ci_setup import Registry, Scope

    def hangar_run():
        Registry(scope=Scope(name="team", region="eu-central-1"), name="registry").deploy()
"""
SOURCE_ONLY = """
    from exasol_ci_setup import Asset, Scope

    def hangar_run():
        Asset(scope=Scope(name="team", region="eu-central-1"), name="source").deploy()
"""
BUILDER = """
    from exasol_ci_setup import Asset, BuildkitBuilder, ContainerBuilder, Registry, Scope

    async def hangar_run():
        scope = Scope(name="team", region="eu-central-1")
        asset = Asset(scope=scope, name="source")
        registry = Registry(scope=scope, name="registry")
        builder = BuildkitBuilder(scope=scope, name="host")
        await ContainerBuilder(name="image", asset=asset, builder=builder, registry=registry).resolve()
"""
SAME_NAME = """
    from exasol_ci_setup import Asset, Registry, Scope

    def hangar_run():
        scope = Scope(name="s", region="eu-central-1")
        Registry(scope=scope, name="a").deploy()
        Asset(scope=scope, name="a").deploy()
"""


def stacks(live) -> dict[str, str]:
    described = live.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"]: stack["StackStatus"] for stack in described}


def change_sets(live) -> list[object]:
    cfn = live.client("cloudformation")
    return [each for name in stacks(live) for each in cfn.list_change_sets(StackName=name)["Summaries"]]


def test_up_deploys_stacks_and_runs_program_with_outputs(here, live, write):
    ran = here("up", write(PROGRAM), "--yes")

    assert ran.code == 0, ran.stderr
    assert stacks(live) == {"team-registry": "CREATE_COMPLETE", "team-source": "CREATE_COMPLETE"}
    uri = live.client("cloudformation").describe_stacks(StackName="team-registry")["Stacks"][0]["Outputs"]
    assert ran.stdout.splitlines()[-1] in {f"push to {each['OutputValue']}" for each in uri}
    assert ran.stdout.count("push to") == 1
    assert "team-registry.RepositoryUri" in ran.stdout
    assert "team-registry: done" in ran.stderr
    assert any(line.startswith("team-source: ") and "CREATE_COMPLETE" in line for line in ran.stderr.splitlines())


def test_second_up_reports_no_changes_without_change_set(here, live, write):
    here("up", write(PROGRAM), "--yes", "--no-lint")

    ran = here("up", write(PROGRAM), "--yes", "--no-lint")

    assert ran.code == 0
    assert "2 stacks up to date" in ran.stderr
    assert "Plan for stack" not in ran.stderr
    assert change_sets(live) == []


def test_changed_program_updates_only_its_stack(here, live, write):
    here("up", write(PROGRAM), "--yes", "--no-lint")
    changed = write(PROGRAM.replace('name="registry")', 'name="registry", untagged_retention_in_days=3)'))

    planned = here("plan", changed, "--no-lint")
    ran = here("up", changed, "--yes", "--no-lint")

    assert planned.code == 0
    assert "Plan for stack team-registry (update)" in planned.stdout
    assert "team-source" not in planned.stdout
    assert "nothing was changed" in planned.stderr
    assert ran.code == 0
    assert stacks(live) == {"team-registry": "UPDATE_COMPLETE", "team-source": "CREATE_COMPLETE"}


@pytest.mark.parametrize("command", [("plan",), ("up", "--plan")])
def test_plan_of_new_stacks_shows_all_and_creates_nothing(here, live, write, command):
    ran = here(*command, write(BUILDER), "--no-lint")

    assert ran.code == 0, ran.stderr
    assert ran.stdout.count("(new)") == 3
    assert "it needs outputs of team-" in ran.stdout
    assert stacks(live) == {}


def test_up_without_terminal_and_yes_changes_nothing(here, live, write):
    ran = here("up", write(PROGRAM), "--no-lint")

    assert ran.code == 2
    assert "--yes" in ran.stderr
    assert stacks(live) == {}


def test_second_down_reports_no_stacks(here, live, write):
    program = write(BUILDER)
    here("up", program, "--yes", "--no-lint")
    assert len(stacks(live)) == 3

    planned = here("down", program, "--plan")
    asked = here("down", program)
    ran = here("down", program, "--yes")
    again = here("down", program, "--yes")

    assert planned.code == 0
    assert planned.stdout.index("Plan for stack team-image (delete)") < planned.stdout.index("team-registry (delete)")
    assert asked.code == 2
    assert ran.code == 0, ran.stderr
    assert stacks(live) == {}
    assert ran.stderr.index("team-image: done") < ran.stderr.index("team-registry: deleting")
    assert again.code == 0
    assert "no changes" in again.stderr


def test_down_deletes_contents_only_with_empty(here, live, write):
    program = write(PROGRAM)
    here("up", program, "--yes", "--no-lint")
    outputs = live.client("cloudformation").describe_stacks(StackName="team-source")["Stacks"][0]["Outputs"]
    bucket = next(each["OutputValue"] for each in outputs if each["OutputKey"] == "BucketName")
    live.client("s3").put_object(Bucket=bucket, Key="a", Body=b"a")
    live.client("ecr").put_image(repositoryName="team/registry", imageManifest='{"a": 1}', imageTag="one")

    ran = here("down", program, "--yes", "--empty")

    assert ran.code == 0, ran.stderr
    assert f"team-source: emptied bucket {bucket}: 1 object version" in ran.stderr
    assert "team-registry: emptied repository team/registry: 1 image" in ran.stderr
    assert stacks(live) == {}


def test_down_with_no_wait_returns_early(here, write):
    program = write(BUILDER)
    here("up", program, "--yes", "--no-lint")

    ran = here("down", program, "--yes", "--no-wait")

    assert ran.code == 0, ran.stderr
    assert "AWS continues to delete stack team-source" in ran.stderr
    assert "`exasol-ci-setup watch team-source --region " in ran.stderr
    assert "team-source: done" not in ran.stderr
    # Other deletions depend on this one.
    assert "AWS continues to delete stack team-image" not in ran.stderr


def test_down_with_no_wait_reports_deleting(here, write):
    program = write(BUILDER)
    here("up", program, "--yes", "--no-lint")

    ran = here("down", program, "--yes", "--no-wait", "--output", "json")

    assert ran.code == 0, ran.stderr
    result = ran.records[-1]
    assert result["status"] == "deleting"
    assert result["stacks"] == {"team-image": "done", "team-source": "deleting", "team-registry": "deleting"}


def test_undeclared_stack_is_deleted_only_with_prune(here, live, write):
    here("up", write(PROGRAM), "--yes", "--no-lint")

    ran = here("up", write(REGISTRY_ONLY), "--yes", "--no-lint")
    assert ran.code == 0
    assert "no longer declared: team-source; to delete them, add --prune" in ran.stderr
    assert sorted(stacks(live)) == ["team-registry", "team-source"]

    planned = here("plan", write(REGISTRY_ONLY), "--prune", "--no-lint")
    assert "Plan for stack team-source (delete)" in planned.stdout
    assert sorted(stacks(live)) == ["team-registry", "team-source"]

    ran = here("up", write(REGISTRY_ONLY), "--yes", "--prune", "--no-lint", "--allow-data-loss")
    assert ran.code == 0, ran.stderr
    assert sorted(stacks(live)) == ["team-registry"]


OPEN_TO_ALL = """
    from exasol_ci_setup import Ingress, Scope, SecurityGroup

    def hangar_run():
        rule = Ingress(fromPort=22, toPort=22, protocol="tcp", cidrIp=["0.0.0.0/0"])
        SecurityGroup(scope=Scope(name="team", region="eu-central-1"), name="door", ingresses=[rule], egresses=[]).deploy()
"""


def test_public_access_needs_more_than_yes(here, live, write):
    program = write(OPEN_TO_ALL)

    refused = here("up", program, "--yes", "--no-lint")
    assert refused.code == 1
    assert "--allow-broadening" in refused.stderr
    assert stacks(live) == {}

    allowed = here("up", program, "--yes", "--no-lint", "--allow-broadening")
    assert allowed.code == 0, allowed.stderr
    assert stacks(live) == {"team-door": "CREATE_COMPLETE"}


def test_failed_stack_is_recreated_only_with_option(here, live, account_id, other_account, write):
    taken = f"a-bucket-of-others-{account_id}"  # the accounts of the sandbox share the names of buckets
    other_account.client("s3").create_bucket(
        Bucket=taken, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    live.client("cloudformation").create_stack(
        StackName="team-registry",
        TemplateBody=json.dumps({"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": taken}}}}),
        Tags=[
            {"Key": f"exasol-ci-setup:{key}", "Value": value}
            for key, value in {"construct": "Registry", "scope": "team", "name": "registry"}.items()
        ],
    )
    while stacks(live)["team-registry"] != "ROLLBACK_COMPLETE":
        time.sleep(0.05)
    program = write(REGISTRY_ONLY)

    stuck = here("up", program, "--yes", "--no-lint")
    planned = here("up", program, "--plan", "--recreate-failed", "--no-lint")
    recreated = here("up", program, "--yes", "--recreate-failed", "--no-lint")

    assert stuck.code == 1
    assert "--recreate-failed" in stuck.stderr
    assert "it is deleted and created again" in planned.stdout
    assert recreated.code == 0, recreated.stderr
    assert stacks(live) == {"team-registry": "CREATE_COMPLETE"}


def test_scopes_of_two_regions_deploy_to_their_regions(here, live, write):
    program = write("""
        from exasol_ci_setup import Registry, Scope

        def hangar_run():
            for region in ("eu-central-1", "us-east-1"):
                Registry(scope=Scope(name=f"in-{region}", region=region), name="registry").deploy()
    """)

    ran = here("up", program, "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    for region in ("eu-central-1", "us-east-1"):
        assert list(stacks(assume(live, (), region=region))) == [f"in-{region}-registry"]


def test_missing_profile_is_named(here, write):
    program = write(REGISTRY_ONLY.replace('region="eu-central-1"', 'region="eu-central-1", profile="nosuch"'))

    ran = here("up", program, "--yes")

    assert ran.code == 4
    assert "AWS profile 'nosuch' does not exist" in ran.stderr


def test_protected_stack_stops_down_before_deletions(here, live, write):
    program = write(PROGRAM)
    here("up", program, "--yes", "--no-lint")
    live.client("cloudformation").update_termination_protection(
        StackName="team-registry", EnableTerminationProtection=True
    )

    ran = here("down", program, "--yes")

    assert ran.code == 1
    assert "team-registry is protected" in ran.stderr
    assert sorted(stacks(live)) == ["team-registry", "team-source"]


def test_failed_stack_skips_only_its_dependents(here, live, write):
    foreign = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    live.client("cloudformation").create_stack(StackName="team-registry", TemplateBody=foreign)

    ran = here("up", write(BUILDER), "--yes", "--no-lint")

    assert ran.code == 1
    assert "team-registry: failed: stack team-registry exists" in ran.stderr
    assert "team-image: skipped, because team-registry failed" in ran.stderr
    assert stacks(live)["team-source"] == "CREATE_COMPLETE"
    assert "Traceback" not in ran.stderr


def test_json_output_stays_valid_if_program_prints(here, write):
    ran = here("up", write('print("at import")\n' + dedent(PROGRAM)), "--yes", "--no-lint", "--output", "json")

    assert ran.code == 0
    kinds = {record["type"] for record in ran.records}
    assert kinds == {"plan", "event", "ended", "outputs", "result"}
    assert ran.records[-1]["stacks"] == {"team-registry": "done", "team-source": "done"}
    assert ran.records[-1]["changed"] is True
    assert "push to" in ran.stderr
    assert "at import" in ran.stderr


@pytest.mark.parametrize("command", ["up", "plan", "down"])
@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (None, 2, "does not exist"),
        ("x = (", 2, "is not valid Python"),
        ("import nosuch", 2, "No module named 'nosuch'"),
        ("x = 1", 2, "has no function hangar_run"),
        ("def hangar_run():\n    1 / 0", 1, "program.py:2: ZeroDivisionError: division by zero"),
        (
            "from exasol_ci_setup import Registry\ndef hangar_run():\n    Registry(name='a', tint='red')",
            2,
            "program.py:3: Registry is invalid: tint: there is no such argument",
        ),
        (
            SAME_NAME,
            2,
            "Registry and Asset have the name 'a' in scope 's'",
        ),
        (
            "from exasol_ci_setup import Registry\ndef hangar_run():\n    Registry(name='a').deploy()",
            2,
            "program.py:3: Registry 'a' has no scope",
        ),
    ],
    ids=["missing", "syntax", "import", "no-function", "exception", "unknown-field", "same-name", "no-scope"],
)
def test_invalid_program_exits_2_with_one_line(here, live, write, tmp_path, command, text, code, said):
    path = write(text) if text is not None else str(tmp_path / "nosuch.py")

    ran = here(command, path)

    assert ran.code == code
    errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert stacks(live) == {}


def test_program_without_constructs_reports_no_changes(here, write):
    program = write("def hangar_run():\n    pass\n")

    assert here("up", program).code == 0
    assert "no changes" in here("plan", program).stderr
    assert here("down", program).code == 0


@pytest.mark.parametrize("same", [1, 2])
def test_program_with_changed_declaration_exits_2(here, live, write, same):
    program = write(f"""
        from exasol_ci_setup import Registry, Scope
        names = iter(["first"] * {same} + ["second"] * 2)

        def hangar_run():
            Registry(scope=Scope(name="team", region="eu-central-1"), name=next(names)).deploy()
    """)

    ran = here("up", program, "--yes", "--no-lint")

    assert ran.code == 2
    assert "only in one of two runs" in ran.stderr
    # The third run takes effect.
    assert list(stacks(live)) == (["team-first"] if same > 1 else [])


def test_scopes_and_resources_list_and_show(here, write):
    assert "no scopes in" in here("scopes", "list").stderr
    here("up", write(PROGRAM), "--yes", "--no-lint")

    listed = here("scopes", "list")
    shown = here("scopes", "show", "team")
    resources = here("resources", "list", "team", "--output", "json")
    first = resources.records[0]
    one = here("resources", "show", first["stack_name"], first["logical_id"])

    assert listed.stdout.splitlines()[1].split() == ["team", "2", "ready"]
    assert [line.split() for line in shown.stdout.splitlines()[1:]] == [
        ["team-registry", "Registry", "registry", "CREATE_COMPLETE"],
        ["team-source", "Asset", "source", "CREATE_COMPLETE"],
    ]
    assert "AWS::ECR::Repository" in {record["resource_type"] for record in resources.records}
    assert first["physical_id"] in one.stdout
    assert here("resources", "list").stdout.count("team-") >= 2


def test_missing_scope_or_resource_is_named(here, write):
    here("up", write(REGISTRY_ONLY), "--yes", "--no-lint")

    scope = here("scopes", "show", "nosuch")
    resource = here("resources", "show", "team-registry", "Nosuch")

    assert scope.code == 1
    assert "the scopes are: team" in scope.stderr
    assert resource.code == 2
    assert "has no resource 'Nosuch'" in resource.stderr


@pytest.fixture
def environment(server, account_id):
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": server.url,
        "TERM": "xterm",
        "COLUMNS": "160",
    }


def test_ctrl_c_starts_no_more_stacks_and_exits_130(operations, live, write, environment):
    operations.hold()
    with subprocess.Popen(
        [sys.executable, "-m", "exasol_ci_setup", "up", write(BUILDER), "--yes", "--no-lint"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        said = ""
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if "CREATE_IN_PROGRESS" in line:
                break
        process.send_signal(signal.SIGINT)
        said += process.communicate()[1]

    assert process.returncode == 130, said
    assert "done; AWS may continue with team-" in said
    assert said.count("error:") == 1
    assert "had not begun" not in said
    assert "team-image" not in stacks(live)
    assert "Traceback" not in said


def test_prompt_warns_of_broader_access(live, write, begin):
    code, shown = answered(begin("up", write(OPEN_TO_ALL), "--no-lint", COLUMNS="160"), "y\r")

    assert code == 0, shown
    assert "This broadens access. Deploy 1 stack?" in shown
    assert stacks(live) == {"team-door": "CREATE_COMPLETE"}


def test_terminal_shows_one_prompt_and_table(live, write, begin):
    program = write(BUILDER)

    code, shown = answered(begin("up", program, "--no-lint", COLUMNS="160"), "n\r")
    assert code == 1, shown
    assert shown.count("[y/N]") == 1
    assert "nothing was changed" in shown
    assert stacks(live) == {}

    code, shown = answered(begin("up", program, "--no-lint", COLUMNS="160"), "y\r")
    assert code == 0, shown
    assert shown.count("[y/N]") == 1
    assert "Deploy 3 stacks?" in shown
    assert len(stacks(live)) == 3
    assert "team-image" in shown


BOX = """
    import os
    from exasol_ci_setup import Instance, Scope, SecurityGroup

    def hangar_run():
        scope = Scope(name="box", region="eu-central-1")
        groups = [SecurityGroup(scope=scope, name=f"g{number}") for number in range(int(os.environ["GROUPS"]))]
        Instance(scope=scope, name="vm", instance_type="t3.micro", path_to_key="id.pub", security_groups=groups).deploy()
"""


def machine(live):
    resources = live.client("cloudformation").describe_stack_resources(StackName="box-vm")["StackResources"]
    return next(each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == "Instance")


def test_replaced_instance_is_data_loss(here, live, write, begin, tmp_path, monkeypatch):
    program = write(BOX)
    (tmp_path / "id.pub").write_text(PUBLIC_KEY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUPS", "1")
    assert here("up", program, "--yes", "--no-lint").code == 0
    before = machine(live)
    monkeypatch.setenv("GROUPS", "2")

    # The second group does not exist yet, so the plan uses only the template.
    planned = here("plan", program, "--no-lint")
    assert "± Instance  AWS::EC2::Instance  (replacement, data loss: its disks)" in planned.stdout
    assert "1 to replace, 1 with data loss" in planned.stdout

    refused = here("up", program, "--yes", "--no-lint")
    assert refused.code == 1
    assert "the change to stack box-vm deletes data (Instance)" in refused.stderr
    assert f"`exasol-ci-setup up {program} --yes --no-lint --allow-data-loss`" in refused.stderr
    assert machine(live) == before

    code, shown = answered(begin("up", program, "--no-lint", COLUMNS="160", GROUPS="2"), "n\r")
    assert code == 1, shown
    assert "Data loss: box-vm/Instance. Deploy 1 stack?" in shown
    assert machine(live) == before

    assert here("up", program, "--yes", "--no-lint", "--allow-data-loss").code == 0
    assert machine(live) != before


def test_prune_of_data_needs_consent(here, live, write):
    here("up", write(PROGRAM), "--yes", "--no-lint")

    refused = here("up", write(REGISTRY_ONLY), "--yes", "--prune", "--no-lint")

    assert refused.code == 1
    assert "the change to stack team-source deletes data (Bucket)" in refused.stderr
    assert "--prune --no-lint --allow-data-loss`; nothing was changed" in refused.stderr
    assert sorted(stacks(live)) == ["team-registry", "team-source"]


@pytest.mark.parametrize(
    ("before", "question"),
    [(PROGRAM, "Delete 1 stack?"), (SOURCE_ONLY, "Deploy 1 stack, and delete 1 stack?")],
)
def test_prompt_of_prune_counts_deletions(here, live, write, begin, before, question):
    here("up", write(before), "--yes", "--no-lint")
    deployed = stacks(live)

    code, shown = answered(begin("up", write(REGISTRY_ONLY), "--prune", "--no-lint", COLUMNS="160"), "n\r")

    assert code == 1, shown
    assert question in shown
    assert stacks(live) == deployed


WITH_KEY = """
    from exasol_ci_setup import Instance, Scope

    def hangar_run():
        box = Instance(scope=Scope(name="team", region="eu-central-1"), name="box", instance_type="t3.micro", path_to_key={key!r})
        box.deploy()
        print(box.public_ip, box.outputs["InstanceId"], "PublicIp" in box.outputs)
"""


def test_down_needs_no_instance_key(here, live, write, tmp_path):
    public = tmp_path / "key.pub"
    public.write_text(f"{PUBLIC_KEY}\n", encoding="utf-8")
    program = write(WITH_KEY.format(key=str(tmp_path / "key")))
    assert here("up", program, "--yes", "--no-lint").code == 0
    public.unlink()

    up = here("up", program, "--yes", "--no-lint")
    planned = here("down", program, "--plan")
    listed = here("scopes", "show", "team", "--region", "eu-central-1")
    down = here("down", program, "--yes")

    assert up.code == 2
    assert "the public key" in up.stderr
    assert planned.code == 0, planned.stderr
    assert "Plan for stack team-box (delete)" in planned.stdout
    assert listed.code == 0, listed.stderr
    assert down.code == 0, down.stderr
    assert stacks(live) == {}
