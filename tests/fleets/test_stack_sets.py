"""StackSets of a fleet, answered inside botocore, because the sandbox has none."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.template.render import parse
from tests.answers import REGION, AwsError, DroppedConnectionError
from tests.cli.conftest import Ran
from tests.fleets.organization import CAUSE, UNITS, Organization

OLD, NEW = UNITS
FILE = f"""
targets:
  everywhere:
    region: {REGION}
    stack_set:
      organizational_units: [{OLD}]
      regions: [us-east-1, eu-central-1]
      failure_tolerance: 0
      max_concurrent: 5
      concurrency_mode: soft
projects:
  Slc: {{project_url: https://github.com/exasol/slc, ci: }}
"""
FIRST, SECOND = UNITS[OLD]


@pytest.fixture
def organization(answers, clock):
    answers.on("sts", "GetCallerIdentity", {"Account": "999999999999", "Arn": "arn:aws:iam::999999999999:user/a"})
    return Organization(answers, clock)


@pytest.fixture
def deploy(organization, tmp_path):
    def run(text: str = FILE, *options: str, yes: str = "--yes") -> Ran:
        path = tmp_path / "fleet.yaml"
        path.write_text(text, encoding="utf-8")
        session = Session(clock=organization.clock)
        session.__dict__["account"] = organization.answers.account
        arguments = ["deploy-fleet", str(path), "--stack-set", "--no-lint", yes, *options]
        result = CliRunner().invoke(cli, arguments, prog_name=PROGRAM, obj=session)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


def begun(organization) -> list[str]:
    """Return the calls that change something."""
    return [name for name in organization.answers.names() if name.startswith(("Create", "Update", "Stop", "Delete"))]


def test_stack_set_has_service_managed_permissions_and_targets(deploy, organization, answers):
    ran = deploy()

    assert ran.code == 0, ran.stderr
    (created,) = answers.of("CreateStackSet")
    assert created["PermissionModel"] == "SERVICE_MANAGED"
    assert created["AutoDeployment"] == {"Enabled": True, "RetainStacksOnAccountRemoval": False}
    assert created["Capabilities"] == ["CAPABILITY_IAM"]
    assert {"Key": "exasol-ci-setup:project", "Value": "Slc"} in created["Tags"]
    # Each account has a separate secret.
    assert "secret:${Secret}-??????" in json.dumps(parse(created["TemplateBody"]))
    (spread,) = answers.of("CreateStackInstances")
    assert spread["DeploymentTargets"] == {"OrganizationalUnitIds": [OLD]}
    assert spread["Regions"] == ["us-east-1", "eu-central-1"]
    assert spread["OperationPreferences"] == {
        "RegionConcurrencyType": "SEQUENTIAL",
        "RegionOrder": ["us-east-1", "eu-central-1"],
        "FailureToleranceCount": 0,
        "MaxConcurrentCount": 5,
        "ConcurrencyMode": "SOFT_FAILURE_TOLERANCE",
    }
    assert set(organization.instances.values()) == {"CURRENT"}
    assert len(organization.instances) == 4
    for account in (FIRST, SECOND):
        for region in ("us-east-1", "eu-central-1"):
            assert f"CREATE_COMPLETE       {account}/{region}" in ran.stderr
    assert "everywhere  Slc    done" in ran.stdout


def test_second_run_reports_no_changes(deploy, organization):
    deploy()
    before = begun(organization)

    ran = deploy()

    assert ran.code == 0, ran.stderr
    assert "no changes" in ran.stdout
    assert begun(organization) == before


def test_plan_changes_nothing(deploy, organization):
    ran = deploy(FILE, yes="--plan")

    assert ran.code == 0, ran.stderr
    assert "+ ArtifactsBucket" in ran.stdout
    assert f'organizational units: ["{OLD}"]' in ran.stdout
    assert "AWS has no change sets for StackSets" in ran.stdout
    assert begun(organization) == []


def test_changed_template_updates_set_and_its_stacks(deploy, answers):
    deploy()

    ran = deploy(FILE.replace("ci: }", "ci: {batch_limit: 7}}"))

    assert ran.code == 0, ran.stderr
    (updated,) = answers.of("UpdateStackSet")
    assert "DeploymentTargets" not in updated
    assert updated["OperationPreferences"]["RegionOrder"] == ["us-east-1", "eu-central-1"]
    assert len(answers.of("CreateStackInstances")) == 1
    assert "UPDATE_COMPLETE" in ran.stderr


def test_new_targets_get_stacks_and_undeclared_ones_are_kept(deploy, answers):
    deploy()

    ran = deploy(
        FILE.replace(f"[{OLD}]", f"[{OLD}, {NEW}]").replace("[us-east-1, eu-central-1]", "[us-west-2, us-east-1]")
    )

    assert ran.code == 0, ran.stderr
    assert answers.of("UpdateStackSet") == []
    assert [
        (each["DeploymentTargets"]["OrganizationalUnitIds"], each["Regions"])
        for each in answers.of("CreateStackInstances")[1:]
    ] == [
        ([OLD, NEW], ["us-west-2"]),
        ([NEW], ["us-east-1"]),
    ]
    assert "regions that are not declared keep their stacks: eu-central-1" in ran.stderr


def test_accounts_of_unit_can_be_selected_and_added(deploy, answers):
    text = FILE.replace("      regions:", f'      accounts: ["{FIRST}"]\n      regions:')
    deploy(text)

    ran = deploy(text.replace(f'["{FIRST}"]', f'["{FIRST}", "{SECOND}"]'))

    assert ran.code == 0, ran.stderr
    first, second = answers.of("CreateStackInstances")
    assert first["DeploymentTargets"] == {
        "OrganizationalUnitIds": [OLD],
        "Accounts": [FIRST],
        "AccountFilterType": "INTERSECTION",
    }
    assert second["DeploymentTargets"]["Accounts"] == [SECOND]


def test_failure_names_account_region_and_cause_and_can_be_resumed(deploy, organization, answers):
    organization.fails = {(SECOND, "us-east-1")}

    ran = deploy()

    assert ran.code == 1
    assert "StackSet Slc ended in FAILED: it failed in 1 of 4 accounts and regions, and was canceled in 2" in ran.stderr
    assert ran.stderr.rstrip().endswith(CAUSE)
    assert f"first failure  {SECOND}/us-east-1" in ran.stderr
    assert "failed" in ran.stdout

    organization.fails = set()
    ran = deploy()

    assert ran.code == 0, ran.stderr
    assert "stacks that are not current: 3 → 0" in ran.stderr
    (again,) = answers.of("UpdateStackSet")
    assert again["DeploymentTargets"]["Accounts"] == [SECOND, FIRST]
    assert set(organization.instances.values()) == {"CURRENT"}


def test_tolerated_failure_is_reported_as_success(deploy, answers):
    answers.on(
        "cloudformation",
        "DescribeStackSetOperation",
        lambda params: {
            "StackSetOperation": {"OperationId": params["OperationId"], "Action": "CREATE", "Status": "SUCCEEDED"}
        },
    )
    answers.on(
        "cloudformation",
        "ListStackSetOperationResults",
        {"Summaries": [{"Account": FIRST, "Region": "us-east-1", "Status": "FAILED", "StatusReason": CAUSE}]},
    )

    ran = deploy()

    assert ran.code == 0
    assert f"tolerated: {FIRST}/us-east-1 failed: {CAUSE}" in ran.stderr


def test_operation_of_killed_run_is_followed(deploy, organization):
    # As after a killed process: the set exists, and its operation continues.
    deploy()
    organization.begin("Slc", "UPDATE", "exasol-ci-setup-0123", [(FIRST, "us-east-1")])
    before = begun(organization)

    ran = deploy()

    assert ran.code == 0, ran.stderr
    assert "following the operation in progress" in ran.stderr
    assert "everywhere  Slc    done" in ran.stdout
    assert begun(organization) == before


def test_run_killed_before_first_stack_is_completed(deploy, organization, answers):
    deploy()
    organization.sets["Slc"] |= {"Regions": [], "OrganizationalUnitIds": []}
    organization.instances.clear()
    organization.operations.clear()

    ran = deploy()

    assert ran.code == 0, ran.stderr
    assert len(answers.of("CreateStackSet")) == 1
    assert len(organization.instances) == 4


def test_other_operation_is_waited_for_only_with_wait(deploy, organization):
    deploy()
    organization.begin("Slc", "UPDATE", "by-the-console", [(FIRST, "us-east-1")])

    busy = deploy()
    waited = deploy(FILE, "--wait")

    assert busy.code == 1
    assert "StackSet Slc is busy: UPDATE is RUNNING" in busy.stderr
    assert waited.code == 0, waited.stderr


def test_set_of_another_tool_is_unchanged(deploy, organization):
    deploy()
    organization.sets["Slc"]["Tags"] = []

    ran = deploy(FILE.replace("ci: }", "ci: {batch_limit: 7}}"))

    assert ran.code == 1
    assert "was not created by this tool" in ran.stderr
    assert "UpdateStackSet" not in begun(organization)


def test_adopt_refuses_set_of_another_project(deploy, organization):
    deploy()
    organization.sets["Slc"]["Tags"] = [{"Key": "exasol-ci-setup:project", "Value": "Other"}]

    ran = deploy(FILE.replace("ci: }", "ci: {batch_limit: 7}}"), "--adopt")

    assert ran.code == 1
    assert "stack Slc belongs to project Other" in ran.stderr
    assert "UpdateStackSet" not in begun(organization)


@pytest.mark.parametrize(
    "options",
    [
        ("--role-arn", "arn:aws:iam::123456789012:role/deployer"),
        ("--on-failure", "keep"),
        ("--no-termination-protection",),
    ],
)
def test_settings_of_stacks_are_refused_for_sets(deploy, organization, options):
    ran = deploy(FILE, *options)

    assert ran.code == 2
    assert "does not work with --stack-set: a StackSet has no such setting" in ran.stderr
    assert begun(organization) == []


def test_operation_is_stopped_at_timeout(deploy, organization):
    ran = deploy(FILE, "--timeout", "90s")

    assert ran.code == 7
    assert "its operation was stopped and ended in STOPPED" in ran.stderr
    assert "StopStackSetOperation" in begun(organization)


def test_failed_poll_does_not_fail_deployment(deploy, answers):
    broken = iter([*[DroppedConnectionError()] * 15])
    answers.disturb = lambda call: next(broken, None) if call.operation == "DescribeStackSetOperation" else None

    ran = deploy()

    assert ran.code == 0, ran.stderr


def test_ctrl_c_keeps_operation_and_hints_at_watch(deploy, clock):
    def interrupt() -> None:
        raise KeyboardInterrupt

    clock.at(100, interrupt)
    ran = deploy()

    assert ran.code == 130
    assert "AWS continues with StackSet Slc (RUNNING)" in ran.stderr
    assert "the same command follows it again" in ran.stderr


def test_missing_organizations_access_has_command_as_hint(deploy, answers):
    said = "You must enable organizations access to operate a service managed stack set"
    answers.on("cloudformation", "CreateStackSet", AwsError("ValidationError", said))

    ran = deploy()

    assert ran.code == 4
    assert said in ran.stderr
    assert "aws cloudformation activate-organizations-access" in ran.stderr


def test_template_rejected_by_aws_exits_3(deploy, answers):
    answers.on("cloudformation", "CreateStackSet", AwsError("ValidationError", "Template format error: at line 1"))

    ran = deploy()

    assert ran.code == 3
    assert "AWS rejected StackSet Slc: Template format error" in ran.stderr


def test_concurrent_operation_is_busy_set(deploy, answers):
    answers.on(
        "cloudformation", "CreateStackInstances", AwsError("OperationInProgressException", "Another one", status=409)
    )

    ran = deploy()

    assert ran.code == 1
    assert "StackSet Slc is busy: Another one" in ran.stderr


def test_delegated_administrator_is_sent_in_every_call(deploy, answers):
    ran = deploy(FILE.replace("    stack_set:", "    stack_set:\n      delegated_admin: true"))

    assert ran.code == 0, ran.stderr
    for call in answers.calls:
        if call.service == "cloudformation":
            assert call.params["CallAs"] == "DELEGATED_ADMIN", call.operation


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE[: FILE.index("    stack_set:")] + FILE[FILE.index("projects:") :], "targets.everywhere has no stack_set"),
        (FILE.replace("ci: }", "ci: {bucket_name: one-bucket}}"), "everywhere/Slc has bucket_name one-bucket"),
        (
            FILE.replace(
                "ci: }", f"ci: {{docker_secret: 'arn:aws:secretsmanager:{REGION}:123456789012:secret:Hub-a1B2c3'}}}}"
            ),
            "everywhere/Slc has docker_secret arn:aws",
        ),
        (
            FILE.replace("ci: }", "ci: {permissions_boundary: 'arn:aws:iam::123456789012:policy/limit'}}"),
            "everywhere/Slc has permissions_boundary arn:aws:iam::123456789012",
        ),
        (
            FILE.replace(
                "ci: }",
                "ci: {vpc_id: vpc-0123456789abcdef0, subnet_ids: [subnet-0123456789abcdef0], security_groups: [sg-0123456789abcdef0]}}",
            ),
            "everywhere/Slc has vpc_id vpc-0123456789abcdef0",
        ),
    ],
)
def test_options_of_one_account_are_rejected_before_first_call(deploy, answers, text, said):
    ran = deploy(text)

    assert ran.code == 2
    assert said in ran.stderr
    assert answers.calls == []


def test_json_lines_are_records(deploy):
    ran = deploy(FILE, "--output", "json")

    assert ran.code == 0
    kinds = [record["type"] for record in ran.records]
    assert kinds[0] == "plan"
    assert kinds[-1] == "result"
    assert {record["schema"] for record in ran.records} == {"exasol-ci-setup/2"}
    assert kinds.count("event") == 8


def test_data_loss_in_stack_set_needs_consent(deploy, organization):
    deploy()
    (there,) = organization.sets.values()
    body = parse(there["TemplateBody"])
    body["Resources"]["Table"] = {"Type": "AWS::DynamoDB::Table"}
    there["TemplateBody"] = json.dumps(body)
    before = begun(organization)

    refused = deploy()

    assert refused.code == 1
    assert "deletes data (Table)" in refused.stderr
    assert "--allow-data-loss" in refused.stderr
    assert begun(organization) == before
    assert deploy(FILE, "--allow-data-loss").code == 0
