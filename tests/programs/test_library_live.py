"""The methods of constructs in programs without the command line, and the same stacks by both."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from exasol_ci_setup import (
    Asset,
    CiBuild,
    Cluster,
    Container,
    Context,
    Options,
    Outcome,
    Registry,
    ReleaseBuild,
    Scope,
    Service,
    SourceCredentials,
    StackSettings,
)
from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.core.errors import InputError, NotApprovedError, StackError
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from tests.reporters import RecordingReporter

if TYPE_CHECKING:
    from exasol_ci_setup import Construct
    from exasol_ci_setup.aws.session import Account

pytestmark = pytest.mark.live

URL = "https://github.com/exasol/script-languages-release"
SCOPE = Scope(name="team", region="eu-central-1")
CREDENTIALS = SourceCredentials(secret_name="github", secret_user_key="user", secret_token_key="token")
SAME = {
    "source-credentials": (
        CREDENTIALS,
        ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token"),
    ),
    "ci-build": (CiBuild(project="Slc", project_url=URL), ("--project", "Slc", "--project-url", URL)),
    "release-build": (ReleaseBuild(project="Slc", project_url=URL), ("--project", "Slc", "--project-url", URL)),
    "registry": (Registry(name="images", mutable_tags=["main"]), ("--name", "images", "--mutable-tag", "main")),
    "cluster": (
        Cluster(name="shop", services=[Service(name="web", container=Container(source="nginx", tag="1.27"))]),
        ("--name", "shop", "--service", "name=web,image=nginx:1.27"),
    ),
}


def run(account: Account, *words: str) -> str:
    session = Session()
    session.__dict__["account"] = account
    ran = CliRunner().invoke(cli, words, prog_name=PROGRAM, obj=session)
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize("kind", SAME)
def test_library_deploys_same_stack_as_command(kind, live, other_account):
    def describe(account: Account) -> Any:
        cfn = account.client("cloudformation")
        [stack] = cfn.describe_stacks(StackName=construct.stack_name)["Stacks"]
        template = cfn.get_template(StackName=stack["StackName"], TemplateStage="Original")["TemplateBody"]
        own = [stack["StackName"], stack.get("Parameters"), sorted(stack["Tags"], key=str), template]
        # What AWS generates differs between the accounts.
        return re.sub(r"(?<=:)[0-9]{12}(?=:)|(?<=-)[0-9a-f]{6,17}(?=[\",' ])", "…", str(own))

    for account in (live, other_account):
        if kind != "source-credentials":
            CREDENTIALS.model_copy().deploy(Context(account))
    construct, options = SAME[kind]
    result = construct.model_copy().deploy(Context(live))
    run(other_account, f"deploy-{kind}", *options, "--yes", "--allow-broadening", "--no-lint")

    assert result.outcome is Outcome.DEPLOYED
    assert describe(live) == describe(other_account)
    assert "is up to date" in run(live, f"deploy-{kind}", *options, "--plan", "--no-lint")


def test_second_deploy_of_library_reports_no_changes(live):
    CREDENTIALS.model_copy().deploy(Context(live))
    reporter = RecordingReporter()
    build = CiBuild(project="Slc", project_url=URL)

    first = build.deploy(Context(live, reporter=reporter), settings=StackSettings(tags={"team": "data"}))
    again = build.deploy(Context(live), settings=StackSettings(tags={"team": "data"}))

    assert (first.outcome, again.outcome) == (Outcome.DEPLOYED, Outcome.UNCHANGED)
    assert first.stack.tags["team"] == "data"
    assert build.outputs == first.stack.outputs
    assert any("CodeBuild (AWS::CodeBuild::Project) CREATE_COMPLETE" in str(event) for event in reporter.events)


def test_plan_that_is_not_applied_leaves_nothing(live):
    cfn = live.client("cloudformation")
    registry = Registry(scope=SCOPE, name="images")

    with registry.plan(Context(live)) as planned:
        assert [change.logical_id for change in planned.plan.changes] == ["Repository"]
        assert planned.stack is None
    assert cfn.describe_stacks()["Stacks"] == []

    with registry.plan(Context(live)) as planned:
        assert planned.apply().outcome is Outcome.DEPLOYED
    with registry.plan(Context(live)) as planned:
        assert not planned.plan
        assert planned.apply().outcome is Outcome.UNCHANGED


def test_plan_without_deployed_dependency_is_input_error(live):
    registry = Registry(scope=SCOPE, name="images")
    service = Service(name="web", container=Container(source=registry, tag="1"))
    cluster = Cluster(name="shop", services=[service])

    with pytest.raises(InputError, match="needs Registry 'images', which is not deployed"):
        cluster.plan(Context(live))

    registry.deploy(Context(live))
    with cluster.plan(Context(live)) as planned:
        assert planned.plan.kind == "CREATE"


def test_declined_plan_changes_nothing(live):
    reporter = RecordingReporter(approve=lambda _plan: False)

    result = Asset(name="source").deploy(Context(live, reporter=reporter))

    assert result.outcome is Outcome.PLANNED
    assert len(reporter.plans) == 1
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_checks_of_construct_change_nothing(live):
    context = Context(live)
    registry = Registry(name="images")

    assert registry.validate(context) == []
    assert registry.lint() == []
    assert registry.diff(context).startswith("--- /dev/null\n+++ images (new)\n")
    assert registry.cost(context).stack_name == "images"
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []

    registry.deploy(context)
    assert registry.diff(context) == ""
    assert registry.watch(context).status == "CREATE_COMPLETE"
    assert not registry.drift(context)


def test_delete_of_construct_asks_and_checks(live):
    registry = Registry(name="images")
    assert registry.delete(Context(live)) is False
    registry.deploy(Context(live))

    with pytest.raises(NotApprovedError):
        registry.delete(Context(live, reporter=RecordingReporter(approve=lambda _plan: False)))
    with pytest.raises(StackError, match="belongs to"):
        Asset(name="other", stack_name="images").delete(Context(live))
    assert registry.delete(Context(live)) is True
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_import_of_construct_keeps_resource(live):
    live.client("s3").create_bucket(Bucket="sources", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    result = Asset(name="source").import_resources({"Bucket": "sources"}, Context(live))

    assert result.outcome is Outcome.DEPLOYED
    assert result.stack.tags["exasol-ci-setup:construct"] == "Asset"


def test_second_stack_of_project_is_refused(live):
    CREDENTIALS.model_copy().deploy(Context(live))
    CiBuild(project="Slc", project_url=URL, stack_name="Builds").deploy(Context(live))

    with pytest.raises(StackError, match="stack Builds builds the project already") as caught:
        CiBuild(project="Slc", project_url=URL).deploy(Context(live))
    assert "stack_name='Builds'" in caught.value.hint


def test_missing_secret_is_named_by_argument(live):
    with pytest.raises(InputError, match="secret 'nothing' does not exist") as caught:
        CiBuild(project="Slc", project_url=URL, docker_secret="nothing").deploy(Context(live))
    assert "docker_secret=" in caught.value.hint


BUILDS = """
    from exasol_ci_setup import CiBuild, Scope, SourceCredentials

    def hangar_run() -> None:
        scope = Scope(name="team", region="eu-central-1")
        build = CiBuild(scope=scope, project="Slc", project_url="https://github.com/exasol/script-languages-release")
        build.deploy()
        SourceCredentials(scope=scope, secret_name="github", secret_user_key="user", secret_token_key="token").deploy()
        print("project", build.outputs["ProjectName"] if "ProjectName" in build.outputs else sorted(build.outputs)[0])
"""


def test_program_deploys_builds_after_credentials(live, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(dedent(BUILDS))

    planned = run(live, "plan", str(file))
    assert "Plan for stack Slc (new)" in planned
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []
    run(live, "up", str(file), "--yes", "--allow-broadening")

    stacks = {each["StackName"]: each for each in live.client("cloudformation").describe_stacks()["Stacks"]}
    assert sorted(stacks) == ["SLCSourceCredentials", "Slc"]
    assert stacks["SLCSourceCredentials"]["CreationTime"] <= stacks["Slc"]["CreationTime"]
    assert {"Key": "exasol-ci-setup:scope", "Value": "team"} in stacks["Slc"]["Tags"]
    assert "2 stacks up to date" in run(live, "up", str(file), "--yes")
    run(live, "down", str(file), "--yes", "--empty")
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_other_methods_are_refused_in_program_of_command(live):
    resolved: list[Construct] = []
    build = CiBuild(scope=SCOPE, project="Slc", project_url=URL)
    runtime = Runtime(lambda _scope: live, Context(live).clock, print, resolve=resolved.append, is_dry_run=True)

    with use_runtime(runtime):
        assert build.deploy(options=Options()).outcome is Outcome.PLANNED
        for method in ("plan", "validate", "diff", "cost", "drift", "watch", "delete"):
            with pytest.raises(InputError, match=rf"{method}\(\) of CiBuild 'Slc'"):
                getattr(build, method)(Context(live))

    assert resolved == [build]
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []
