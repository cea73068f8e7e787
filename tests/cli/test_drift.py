"""`drift`, and drift in `plan` and `up`, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.live

PROGRAM = """
    from exasol_ci_setup import Ingress, Registry, Scope, SecurityGroup

    def hangar_run():
        scope = Scope(name="team", region="eu-central-1")
        https = Ingress(from_port=443, to_port=443, protocol="tcp", cidr_ip=["10.0.0.0/8"])
        SecurityGroup(scope=scope, name="web", ingresses=[https]).deploy()
        Registry(scope=scope, name="images").deploy()
"""
SSH = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
HTTPS = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
LINE = 'SecurityGroupIngress.1: (none) → {"CidrIp":"0.0.0.0/0","FromPort":22,"IpProtocol":"tcp","ToPort":22}'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(dedent(PROGRAM), encoding="utf-8")
    return str(path)


@pytest.fixture
def up(here, file):
    """What is declared, deployed."""
    ran = here("up", file, "--yes", "--no-lint")
    assert ran.code == 0, ran.stderr
    return ran


def group_id(live) -> str:
    described = live.client("cloudformation").describe_stack_resource(
        StackName="team-web", LogicalResourceId="SecurityGroup"
    )
    return str(described["StackResourceDetail"]["PhysicalResourceId"])


def open_ssh(live) -> None:
    live.client("ec2").authorize_security_group_ingress(GroupId=group_id(live), IpPermissions=SSH)


def close_https(live) -> None:
    live.client("ec2").revoke_security_group_ingress(GroupId=group_id(live), IpPermissions=HTTPS)


def ports(live) -> set[int]:
    (group,) = live.client("ec2").describe_security_groups(GroupIds=[group_id(live)])["SecurityGroups"]
    return {each["FromPort"] for each in group["IpPermissions"]}


def change_sets(live) -> list[object]:
    cfn = live.client("cloudformation")
    return [
        each
        for stack in cfn.describe_stacks()["Stacks"]
        for each in cfn.list_change_sets(StackName=stack["StackName"])["Summaries"]
    ]


@pytest.mark.usefixtures("up")
def test_plan_shows_and_up_reverts_changed_group(here, live, file):
    open_ssh(live)

    planned = here("plan", file, "--no-lint")
    assert planned.code == 0
    assert "Changed outside of CloudFormation, to be reverted (expected → actual):" in planned.stdout
    assert LINE in planned.stdout
    assert ports(live) == {22, 443}
    assert change_sets(live) == []

    done = here("up", file, "--yes", "--no-lint")
    assert done.code == 0, done.stderr
    assert LINE in done.stderr
    assert ports(live) == {443}

    again = here("up", file, "--yes", "--no-lint")
    assert "2 stacks up to date" in again.stderr


@pytest.mark.usefixtures("up")
def test_up_with_no_drift_keeps_drift(here, live, file):
    open_ssh(live)

    ran = here("up", file, "--yes", "--no-lint", "--no-drift")

    assert "2 stacks up to date" in ran.stderr
    assert ports(live) == {22, 443}


@pytest.mark.usefixtures("up")
def test_up_opens_closed_port_only_with_allow_broadening(here, live, file):
    close_https(live)

    refused = here("up", file, "--yes", "--no-lint")
    assert refused.code == 1
    assert "broadens access" in refused.stderr
    assert ports(live) == set()

    allowed = here("up", file, "--yes", "--no-lint", "--allow-broadening")
    assert allowed.code == 0, allowed.stderr
    assert ports(live) == {443}


@pytest.mark.usefixtures("up")
def test_deleted_group_is_created_again(here, live, file):
    live.client("ec2").delete_security_group(GroupId=group_id(live))

    planned = here("plan", file, "--no-lint")
    assert "SecurityGroup  AWS::EC2::SecurityGroup  (deleted)" in planned.stdout

    assert here("up", file, "--yes", "--no-lint", "--allow-broadening").code == 0
    assert ports(live) == {443}


@pytest.mark.usefixtures("up")
def test_drift_shows_expected_and_actual(here, live):
    clean = here("drift", "team-web", "--exit-code")
    assert clean.code == 0
    assert "1 as expected" in clean.stdout
    assert "has no drift" in clean.stderr

    open_ssh(live)
    found = here("drift", "team-web")
    assert found.code == 0
    assert LINE in found.stdout
    assert found.stdout.endswith("1 changed\n")
    assert here("drift", "team-web", "--exit-code").code == 5
    assert ports(live) == {22, 443}


@pytest.mark.usefixtures("up")
def test_drift_is_printed_as_markdown(here, live):
    clean = here("drift", "team-web", "--output", "markdown")
    assert clean.stdout.startswith("## Stack `team-web` has no drift\n")

    open_ssh(live)
    found = here("drift", "team-web", "--output", "markdown")
    assert found.code == 0
    assert found.stdout.startswith("## Stack `team-web` has drift of 1 resource\n")
    assert "| `SecurityGroup` | `SecurityGroupIngress.1` | (none) | " in found.stdout

    refused = here("drift", "team-web", "--revert", "--yes", "--output", "markdown")
    assert refused.code == 2
    assert "--output markdown only shows the drift" in refused.stderr
    assert ports(live) == {22, 443}


@pytest.mark.usefixtures("up")
def test_drift_has_records(here, live):
    open_ssh(live)

    ran = here("drift", "team-web", "--output", "json")

    drift, result = ran.records
    assert (drift["type"], drift["stack_name"], drift["status"]) == ("drift", "team-web", "DRIFTED")
    (resource,) = drift["resources"]
    assert resource["status"] == "MODIFIED"
    assert resource["resource_type"] == "AWS::EC2::SecurityGroup"
    assert resource["properties"] == [
        {
            "path": "SecurityGroupIngress.1",
            "actual": {"CidrIp": "0.0.0.0/0", "FromPort": 22, "IpProtocol": "tcp", "ToPort": 22},
        }
    ]
    assert (result["status"], result["changed"]) == ("different", False)


@pytest.mark.usefixtures("up")
def test_revert_keeps_parameters_and_tags(here, live):
    open_ssh(live)
    cfn = live.client("cloudformation")
    before = cfn.describe_stacks(StackName="team-web")["Stacks"][0]

    ran = here("drift", "team-web", "--revert", "--yes")

    assert ran.code == 0, ran.stderr
    assert LINE in ran.stderr
    assert "reverted the drift of stack team-web" in ran.stderr
    assert ports(live) == {443}
    after = cfn.describe_stacks(StackName="team-web")["Stacks"][0]
    assert (after["Parameters"], after["Tags"]) == (before["Parameters"], before["Tags"])
    assert here("drift", "team-web", "--revert", "--yes").code == 0


@pytest.mark.usefixtures("up")
def test_revert_without_confirmation_changes_nothing(here, live):
    open_ssh(live)

    ran = here("drift", "team-web", "--revert")

    assert ran.code == 2
    assert "there is no terminal" in ran.stderr
    assert "--plan" not in ran.stderr
    assert ports(live) == {22, 443}
    assert change_sets(live) == []


@pytest.mark.usefixtures("up")
def test_revert_opens_closed_port_only_with_allow_broadening(here, live):
    close_https(live)

    assert here("drift", "team-web", "--revert", "--yes").code == 1
    assert ports(live) == set()
    assert here("drift", "team-web", "--revert", "--yes", "--allow-broadening").code == 0
    assert ports(live) == {443}


def test_stack_of_another_tool_is_compared_but_not_reverted(here, live):
    template = "Resources: {Topic: {Type: 'AWS::SNS::Topic', Properties: {TopicName: theirs, DisplayName: old}}}"
    cfn = live.client("cloudformation")
    cfn.create_stack(StackName="theirs", TemplateBody=template)
    cfn.get_waiter("stack_create_complete").wait(StackName="theirs", WaiterConfig={"Delay": 1})
    sns = live.session.client("sns", region_name=live.region, endpoint_url=live.endpoint_url)
    (topic,) = sns.list_topics()["Topics"]
    sns.set_topic_attributes(TopicArn=topic["TopicArn"], AttributeName="DisplayName", AttributeValue="by hand")

    assert 'DisplayName: "old" → "by hand"' in here("drift", "theirs").stdout
    ran = here("drift", "theirs", "--revert", "--yes")

    assert ran.code == 1
    assert "not created by this tool" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("drift", "missing"), 1, "does not exist"),
        (("drift", "missing", "--yes"), 2, "--revert"),
        (("drift", "no_name"), 2, "is invalid"),
    ],
)
def test_invalid_drift_request_is_error(here, arguments, code, says):
    ran = here(*arguments)

    assert ran.code == code
    assert says in ran.stderr


@pytest.mark.usefixtures("up")
def test_drift_process_exits_5(server, live, account_id):
    open_ssh(live)
    ran = subprocess.run(
        [sys.executable, "-m", "exasol_ci_setup", "drift", "team-web", "--exit-code", "--region", "eu-central-1"],
        env={"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": account_id, "AWS_SECRET_ACCESS_KEY": "test"},
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
    )

    assert ran.returncode == 5, ran.stderr
    assert "SecurityGroupIngress.1: (none)" in ran.stdout
