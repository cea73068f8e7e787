"""`deploy-fleet` in the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from textwrap import dedent

import pytest

from exasol_ci_setup.aws.session import connect
from tests.pseudo_terminal import answered

pytestmark = pytest.mark.live

TARGET = """
targets:
  main:
    region: eu-central-1
    source_credentials: {secret_name: github, secret_user_key: user, secret_token_key: token}
"""
PROJECT = "  {name}: {{project_url: https://github.com/exasol/{name}, {rest}}}\n"
CREDENTIALS = "SLCSourceCredentials"
CONNECTION = "arn:aws:codeconnections:eu-central-1:111122223333:connection/0a1b2c3d-0000-1111-2222-333344445555"


def fleet_of(*projects: tuple[str, str], start: str = TARGET) -> str:
    return start + "projects:\n" + "".join(PROJECT.format(name=name, rest=rest) for name, rest in projects)


def stacks(live) -> dict[str, str]:
    pages = live.client("cloudformation").get_paginator("describe_stacks").paginate()
    return {stack["StackName"]: stack["StackStatus"] for page in pages for stack in page["Stacks"]}


def change_sets(live) -> list[object]:
    cfn = live.client("cloudformation")
    return [each for name in stacks(live) for each in cfn.list_change_sets(StackName=name)["Summaries"]]


@pytest.fixture
def write(tmp_path):
    def to(text: str) -> str:
        path = tmp_path / "fleet.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return to


@pytest.fixture
def deploy(here, write):
    def run(text: str, *options: str, lint: bool = False):
        return here("deploy-fleet", write(text), *options, *([] if lint else ["--no-lint"]))

    return run


@pytest.fixture
def calls(live):
    """Return a list that receives the names of later calls of CloudFormation."""
    called: list[str] = []
    live.session.events.register("before-call.cloudformation", lambda model, **_: called.append(model.name))
    return called


def test_killed_fleet_is_finished_by_next_run_and_then_unchanged(deploy, write, live, server, account_id, calls):
    text = fleet_of(*((f"P{number:03d}", "ci: , release: ") for number in range(50)))
    # A process with the account of this test, as with `here`.
    program = dedent("""
        import sys
        from exasol_ci_setup.aws.session import connect
        from exasol_ci_setup.cli.main import cli
        from exasol_ci_setup.cli.session import Session
        session = Session()
        session.__dict__["account"] = connect(
            region="eu-central-1", endpoint_url=sys.argv[1], access_key=(sys.argv[2], "test"))
        cli.main(sys.argv[3:], obj=session)
    """)
    options = ["deploy-fleet", write(text), "--yes", "--no-lint", "--output", "json"]
    server.delays[account_id] = 0.01
    with subprocess.Popen(
        [sys.executable, "-c", program, server.url, account_id, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        done = 0
        for line in process.stdout:
            done += json.loads(line)["type"] == "ended"
            if done == 30:
                process.kill()
                break
    server.delays.pop(account_id)
    assert process.returncode == -9
    assert 30 <= len(stacks(live)) < 101

    finished = deploy(text, "--yes")

    assert finished.code == 0, finished.stderr[-2000:]
    assert len(stacks(live)) == 101
    assert set(stacks(live).values()) == {"CREATE_COMPLETE"}
    assert finished.stdout.count("no changes") >= 25
    made = calls.count("CreateChangeSet")
    assert 1 <= made <= 71

    again = deploy(text, "--yes")

    assert again.code == 0, again.stderr[-2000:]
    assert "101 stacks: 101 no changes" in again.stderr
    assert calls.count("CreateChangeSet") == made
    assert change_sets(live) == []


def test_failed_project_is_named_with_cause_and_others_continue(deploy, live):
    text = fleet_of(("Good", "ci: , release: "), ("Bad", "ci: {docker_secret: nosuch}"), ("Fine", "release: "))

    ran = deploy(text, "--yes")

    assert ran.code == 2
    assert sorted(stacks(live)) == ["FineRelease", "Good", "GoodRelease", CREDENTIALS]
    assert "main    Bad                   failed  secret 'nosuch' does not exist in eu-central-1" in ran.stdout
    assert "error: 1 of 5 stacks failed: main/Bad: secret 'nosuch' does not exist" in ran.stderr
    assert "5 stacks: 4 done, 1 failed" in ran.stderr
    # The name in the file, not the option of another command.
    assert "with docker_secret" in ran.stderr


def test_failed_deployment_ends_with_cause_and_skips_dependents(deploy, live, other_account, account_id):
    taken = f"a-bucket-of-others-{account_id}"
    other_account.client("s3").create_bucket(
        Bucket=taken, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    text = fleet_of(("Bad", f"ci: {{bucket_name: {taken}}}"), ("Good", "ci: "), ("Needs", "ci: , needs: [Bad]"))

    ran = deploy(text, "--yes")

    assert ran.code == 1
    assert stacks(live) == {CREDENTIALS: "CREATE_COMPLETE", "Good": "CREATE_COMPLETE", "Bad": "ROLLBACK_COMPLETE"}
    assert "error: 1 of 4 stacks failed: main/Bad: stack Bad ended in ROLLBACK_COMPLETE" in ran.stderr
    assert "first failure  ArtifactsBucket" in ran.stderr
    assert "main    Needs                 skipped  main/Bad failed" in ran.stdout

    fixed = deploy(text.replace(taken, f"mine-{account_id}"), "--yes", "--recreate-failed")

    assert fixed.code == 0, fixed.stderr
    assert set(stacks(live).values()) == {"CREATE_COMPLETE"}
    assert "4 stacks: 2 no changes, 2 done" in fixed.stderr


def test_several_failures_are_named_and_have_one_exit_code(deploy):
    text = fleet_of(*((name, "ci: {docker_secret: nosuch}") for name in ("One", "Two")), ("Good", "ci: "))

    ran = deploy(text, "--yes")

    assert ran.code == 2
    assert "2 of 4 stacks failed: main/One, main/Two" in ran.stderr


def test_plan_leaves_nothing_and_continues_after_failed_project(deploy, live):
    text = fleet_of(("Good", "ci: "), ("Bad", "ci: {docker_secret: nosuch}"))

    ran = deploy(text, "--plan")

    assert ran.code == 2
    assert ran.stdout.count("(new)") == 2
    assert "main    Good                  new" in ran.stdout
    assert "1 of 3 stacks failed: main/Bad" in ran.stderr
    assert stacks(live) == {}

    clean = deploy(fleet_of(("Good", "ci: ")), "--plan")

    assert clean.code == 0
    assert "plan only: nothing was changed" in clean.stderr
    assert stacks(live) == {}


def test_plan_shows_new_changed_and_unchanged_stacks(deploy, live):
    deploy(fleet_of(("Same", "ci: "), ("Changes", "ci: ")), "--yes")

    ran = deploy(fleet_of(("Same", "ci: "), ("Changes", "ci: {batch_limit: 7}"), ("New", "ci: ")), "--plan")

    assert ran.code == 0, ran.stderr
    rows = [line.split(maxsplit=2) for line in ran.stdout[ran.stdout.index("TARGET") :].splitlines()[1:]]
    assert rows == [
        ["main", CREDENTIALS, "no changes"],
        ["main", "Same", "no changes"],
        ["main", "Changes", "update"],
        ["main", "New", "new"],
    ]
    assert "Plan for stack Changes (update)" in ran.stdout
    assert change_sets(live) == []


def test_only_selected_stacks_are_deployed(deploy, live):
    text = fleet_of(("SlcPython", "ci: , release: "), ("SlcJava", "ci: "), ("Udf", "ci: "))

    ran = deploy(text, "--yes", "--select", "Slc*")

    assert ran.code == 0, ran.stderr
    assert sorted(stacks(live)) == [CREDENTIALS, "SlcJava", "SlcPython", "SlcPythonRelease"]
    assert deploy(text, "--yes", "--select", "Nosuch*").code == 2


def test_wrong_account_is_rejected_before_deployment(deploy, live, account_id, calls):
    text = fleet_of(("Slc", "ci: ")).replace("    source", '    allowed_accounts: ["123456789012"]\n    source', 1)

    ran = deploy(text, "--yes")

    assert ran.code == 4
    assert f"target main leads to account {account_id}, but " in ran.stderr
    assert "nothing was done" in ran.stderr
    assert calls == []
    assert stacks(live) == {}


def test_invalid_file_is_rejected_before_deployment(deploy, calls):
    ran = deploy(fleet_of(("Slc", "ci: {imgae: x}")), "--yes")

    assert ran.code == 2
    assert "projects.Slc.ci.imgae: unknown key; did you mean image?" in ran.stderr
    assert "deploy-fleet --schema" in ran.stderr
    assert calls == []


TWO = """
targets:
  here:
    region: eu-central-1
    source_credentials: &github {secret_name: github, secret_user_key: user, secret_token_key: token}
  there:
    region: us-east-1
    role_assumptions: ["arn:aws:iam::%s:role/deployer"]
    source_credentials: *github
"""


def test_stacks_go_to_several_accounts_and_regions(deploy, live, server):
    other = f"2{live.client('sts').get_caller_identity()['Account'][1:]}"
    text = fleet_of(("Slc", "ci: , target: here"), ("Udf", "ci: , target: there"), start=TWO % other)

    ran = deploy(text, "--yes")

    far = connect(region="us-east-1", endpoint_url=server.url, access_key=(other, "test"))
    assert ran.code == 0, ran.stderr
    assert sorted(stacks(live)) == [CREDENTIALS, "Slc"]
    assert sorted(stacks(far)) == [CREDENTIALS, "Udf"]
    assert "there/Udf: done" in ran.stderr


def test_hint_has_region_of_its_stack(deploy, live, server):
    text = fleet_of(("Udf", "ci: "), start="targets: {main: {region: us-east-1}}\n")
    account = live.client("sts").get_caller_identity()["Account"]
    far = connect(region="us-east-1", endpoint_url=server.url, access_key=(account, "test"))
    server.delays[account] = 3600
    far.client("cloudformation").create_stack(
        StackName="Udf", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )

    busy = deploy(text, "--yes", "--select", "Udf")
    server.delays.pop(account)

    assert busy.code == 1
    assert "main/Udf: stack Udf is busy" in busy.stderr
    assert "`exasol-ci-setup watch Udf --region us-east-1`" in busy.stderr


def test_hint_about_stack_behind_roles_names_credentials(deploy, server):
    account, role = "444455556667", "arn:aws:iam::444455556667:role/deployer"
    text = fleet_of(
        ("Udf", "ci: "), start=f"targets:\n  main:\n    region: eu-central-1\n    role_assumptions: ['{role}']\n"
    )
    there = connect(region="eu-central-1", endpoint_url=server.url, access_key=(account, "test"))
    server.delays[account] = 3600
    there.client("cloudformation").create_stack(
        StackName="Udf", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )

    busy = deploy(text, "--yes")
    server.delays.pop(account)

    assert busy.code == 1
    assert "`exasol-ci-setup watch Udf --region eu-central-1`" in busy.stderr
    assert f"run it with the credentials of {role}" in busy.stderr


def test_stack_of_another_tool_is_adopted_only_with_option(deploy, live):
    live.client("cloudformation").create_stack(
        StackName="Slc", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )
    text = fleet_of(("Slc", "ci: "))

    refused = deploy(text, "--yes")
    adopted = deploy(text, "--yes", "--adopt", "--allow-broadening")

    assert refused.code == 1
    assert "was not created by this tool" in refused.stderr
    assert adopted.code == 0, adopted.stderr
    assert stacks(live)["Slc"] == "UPDATE_COMPLETE"


def test_existing_resources_are_imported_only_with_option(deploy, live):
    live.client("logs").create_log_group(logGroupName="/aws/codebuild/SlcCodeBuild")
    text = fleet_of(("Slc", "ci: "))

    failed = deploy(text, "--yes")
    taken = deploy(text, "--yes", "--recreate-failed", "--import-existing")
    again = deploy(text, "--yes")

    assert failed.code == 1
    assert "the name is in use" in failed.stderr
    assert taken.code == 0, taken.stderr
    assert "existing resources whose names match the template are then imported" in taken.stderr
    assert again.code == 0
    assert "no changes" in again.stderr


def test_stack_set_imports_nothing(deploy, live):
    ran = deploy(fleet_of(("Slc", "ci: ")), "--yes", "--stack-set", "--import-existing")

    assert ran.code == 2
    assert "--import-existing does not work with --stack-set" in ran.stderr
    assert stacks(live) == {}


def test_json_lines_are_records_and_name_all_stacks(deploy):
    ran = deploy(fleet_of(("Slc", "ci: , release: ")), "--yes", "--output", "json")

    assert ran.code == 0
    assert {record["schema"] for record in ran.records} == {"exasol-ci-setup/2"}
    kinds = [record["type"] for record in ran.records]
    assert kinds.count("plan") == kinds.count("ended") == kinds.count("outputs") == 3
    assert kinds.count("event") > 10
    assert ran.records[-1]["type"] == "result"
    assert ran.records[-1]["status"] == "deployed"
    names = ["main/SLCSourceCredentials", "main/Slc", "main/SlcRelease"]
    assert ran.records[-1]["stacks"] == dict.fromkeys(names, "done")
    for kind in ("plan", "event", "ended", "outputs"):
        assert {record["name"] for record in ran.records if record["type"] == kind} == set(names)

    failed = deploy(fleet_of(("Bad", "ci: {docker_secret: nosuch}")), "--yes", "--output", "json")

    assert failed.code == 2
    assert [(each["name"], each["end"]) for each in failed.records if each["type"] == "ended"] == [
        ("main/SLCSourceCredentials", "unchanged"),
        ("main/Bad", "failed"),
    ]
    assert failed.records[-1]["type"] == "error"
    assert "main/Bad" in failed.records[-1]["message"]


def test_ctrl_c_while_planning_ends_without_prompt(write, live, program):
    # Ctrl-C arrives while the first change set is created.
    live.session.events.register("after-call.cloudformation.CreateChangeSet", _interrupt)

    ran = program("deploy-fleet", write(fleet_of(("Slc", "ci: "))), "--no-lint", account=live)

    assert ran.code == 130
    assert "confirmation is needed" not in ran.stderr


def _interrupt(**_event: object) -> None:
    raise KeyboardInterrupt


def test_no_terminal_without_yes_changes_nothing(deploy, live):
    ran = deploy(fleet_of(("Slc", "ci: ")))

    assert ran.code == 2
    assert "--yes" in ran.stderr
    assert stacks(live) == {}


def test_terminal_shows_one_prompt_for_all_stacks(live, write, begin, account_id):
    text = fleet_of(("Slc", "ci: "), ("Bad", "ci: {docker_secret: nosuch}"))

    code, shown = answered(begin("deploy-fleet", write(text), "--no-lint", COLUMNS="160"), "n\r")
    assert code == 1, shown
    assert "Deploy 2 stacks, without 1 failed?" in shown
    assert stacks(live) == {}

    code, shown = answered(begin("deploy-fleet", write(text), "--no-lint", COLUMNS="160"), "y\r")
    assert code == 2, shown
    assert shown.count("[y/N]") == 1
    assert sorted(stacks(live)) == [CREDENTIALS, "Slc"]
    assert "1 of 3 stacks failed: main/Bad" in shown

    arn = f"arn:aws:codeconnections:eu-central-1:{account_id}:connection/aEXAMPLE"
    text = fleet_of(("Slc", f"ci: {{connection_arn: '{arn}'}}"))
    code, shown = answered(begin("deploy-fleet", write(text), "--no-lint", COLUMNS="160"), "n\r")
    assert code == 1, shown
    assert "This broadens access. Deploy 1 stack?" in shown


def test_help_imports_no_fleet_modules():
    check = "import sys\nimport exasol_ci_setup.cli.commands.fleet\nprint(sorted({'yaml', 'pydantic', 'boto3'} & set(sys.modules)))"

    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def tags_of(live, stack: str) -> dict[str, str]:
    found = live.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Tags"]
    return {each["Key"]: each["Value"] for each in found if not each["Key"].startswith("exasol-ci-setup:")}


def test_changed_tags_of_defaults_and_project_update_stacks(deploy, live):
    start = TARGET + "defaults: {tags: {team: slc, cost-center: '42'}}\n"
    text = fleet_of(("Slc", "ci: , tags: {team: udf, stage: prod}"), ("Bare", "ci: , tags: {team: null}"), start=start)

    ran = deploy(text, "--yes")

    assert ran.code == 0, ran.stderr
    assert tags_of(live, CREDENTIALS) == {"team": "slc", "cost-center": "42"}
    assert tags_of(live, "Slc") == {"team": "udf", "cost-center": "42", "stage": "prod"}
    assert tags_of(live, "Bare") == {"cost-center": "42"}

    again = deploy(text, "--yes")
    changed = deploy(text.replace("stage: prod", "stage: test"), "--yes")

    assert "3 stacks: 3 no changes" in again.stderr
    assert "1 done" in changed.stderr
    assert tags_of(live, "Slc")["stage"] == "test"


def test_last_record_of_plan_names_all_stacks(deploy):
    deploy(fleet_of(("Same", "ci: ")), "--yes")

    ran = deploy(fleet_of(("Same", "ci: "), ("New", "ci: ")), "--plan", "--output", "json")

    assert [record["name"] for record in ran.records if record["type"] == "plan"] == ["main/New"]
    assert ran.records[-1]["stacks"] == {
        f"main/{CREDENTIALS}": "unchanged",
        "main/Same": "unchanged",
        "main/New": "new",
    }


def test_empty_pattern_selects_nothing(deploy, live):
    assert deploy(fleet_of(("Slc", "ci: ")), "--yes", "--select", "").code == 2
    assert stacks(live) == {}


def test_equal_plans_are_shown_once(deploy):
    ran = deploy(fleet_of(*((f"Repo{number}", "ci: ") for number in range(1, 8))), "--plan", "--output", "json")
    text = deploy(fleet_of(*((f"Repo{number}", "ci: ") for number in range(1, 8))), "--plan")

    plans = [record["name"] for record in ran.records if record["type"] == "plan"]
    assert [name for name in plans if "Repo" in name] == [f"main/Repo{n}" for n in range(1, 8)]
    assert text.stdout.count("Plan for stack Repo") == 1
    assert "main/Repo2 … main/Repo7 (6 stacks): the same plan as main/Repo1" in text.stdout


def test_plan_that_differs_is_shown_in_full(deploy):
    ran = deploy(
        fleet_of(("Repo1", "ci: "), ("Repo2", f"ci: {{connection_arn: {CONNECTION}}}"), ("Repo3", "ci: ")), "--plan"
    )

    assert ran.stdout.count("Plan for stack Repo") == 2
    assert "main/Repo3: the same plan as main/Repo1" in ran.stdout


def test_table_names_cause_of_failure_in_each_run(deploy, other_account):
    other_account.client("s3").create_bucket(
        Bucket="bucket-of-another-company", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    text = fleet_of(("Slc", "ci: {bucket_name: bucket-of-another-company}"))

    for _ in range(2):
        ran = deploy(text, "--yes")
        assert ran.code == 1
        assert re.search(r"Slc +failed +ArtifactsBucket: bucket-of-another-company already exists", ran.stdout)
        assert "Why stack Slc ended in ROLLBACK_COMPLETE" in ran.stderr

    ran = deploy(text, "--yes", "--output", "json")
    reasons = {record["name"]: record["reason"] for record in ran.records if record["type"] == "ended"}
    assert reasons == {
        "main/SLCSourceCredentials": "",
        "main/Slc": "ArtifactsBucket: bucket-of-another-company already exists",
    }
