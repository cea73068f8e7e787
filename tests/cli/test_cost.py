"""`cost` as a user runs it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import pytest

from exasol_ci_setup.cli.commands.cost import cost
from exasol_ci_setup.cli.constructs import NAMES
from exasol_ci_setup.cli.render import cost_view
from exasol_ci_setup.costs.estimate import estimate
from tests.answers import AwsError, DroppedConnectionError
from tests.costs.price_list import found_in_frankfurt, get_products

ROOT = Path(__file__).parents[2]
CI = ("cost", "ci-build", "--project", "Slc", "--project-url", "https://github.com/exasol/script-languages-release")
CLUSTER = (
    *(
        "cost",
        "cluster",
        "--name",
        "shop",
        "--vpc-id",
        "vpc-0123456789abcdef0",
        "--subnet-id",
        "subnet-0123456789abcdef0",
    ),
    *("--service", "name=web,image=public.ecr.aws/nginx/nginx:1.27,port=80,count=2"),
)
URL = "https://calculator.aws/#/estimate?key=cloudformation/0123"


@pytest.fixture
def run(program, answers):
    """Run the program on an account with a price list and a calculator."""
    answers.on("pricing", "GetProducts", get_products)
    answers.on("cloudformation", "EstimateTemplateCost", {"Url": URL})
    return partial(program, account=answers.account)


@pytest.mark.parametrize(("name", "arguments"), [("ci_build", CI), ("cluster", CLUSTER)])
def test_table_equals_golden_file(name, arguments, run, golden):
    ran = run(*arguments)

    assert (ran.code, ran.stderr) == (0, "")
    golden(f"cost/{name}.txt", ran.stdout)


def test_space_has_tables_of_space_and_load_balancer(run, golden):
    ran = run("cost", "space", "--cpu", "1", "--memory", "2Gi", "--count", "3")

    assert ran.code == 0
    golden("cost/space.txt", ran.stdout)


def test_documentation_shows_current_table():
    table = (ROOT / "tests" / "golden" / "cost" / "cluster.txt").read_text(encoding="utf-8")

    assert table.partition("AWS's calculator")[0] in (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")


def test_calculator_gets_template_and_parameters(run, answers):
    run(*CLUSTER)

    (asked,) = answers.of("EstimateTemplateCost")
    assert "AWS::ECS::Service" in asked["TemplateBody"]
    assert {each["ParameterKey"]: each["ParameterValue"] for each in asked["Parameters"]} == {
        "VpcId": "vpc-0123456789abcdef0",
        "SubnetIds": "subnet-0123456789abcdef0",
    }


def test_json_has_one_record(run):
    ran = run(*CLUSTER, "--output", "json")

    (record,) = ran.records
    assert (record["type"], record["schema"]) == ("cost", "exasol-ci-setup/2")
    assert (record["total"], record["complete"], record["currency"]) == (28.02, True, "USD")
    assert record["calculator_url"] == URL
    processors = next(line for line in record["lines"] if line["what"] == "Fargate processors")
    assert processors == {
        "logical_id": "WebService",
        "resource_type": "AWS::ECS::Service",
        "what": "Fargate processors",
        "basis": "always",
        "price": "found",
        "unit": "vCPU-hour",
        "per": 1,
        "unit_price": 0.04656,
        "above": 0.0,
        "tiered": False,
        "quantity": 365.0,
        "amount": 16.99,
    }


def test_missing_permission_is_note_without_prices(run, answers):
    answers.on("pricing", "GetProducts", AwsError("AccessDeniedException", "not authorized"))
    answers.on("cloudformation", "EstimateTemplateCost", AwsError("AccessDenied", "not authorized"))

    ran = run(*CLUSTER)

    assert ran.code == 0
    assert ran.stderr == (
        "warning: prices are missing: AWS does not allow GetProducts: not authorized; "
        "the permission is pricing:GetProducts\n"
    )
    assert "no total: found no price of resources that run all the time (730 hours a month)" in ran.stdout
    assert "calculator" not in ran.stdout


def test_missing_price_makes_total_incomplete(run, answers):
    answers.on(
        "pricing",
        "GetProducts",
        lambda call: {"PriceList": []} if call["ServiceCode"] == "AmazonVPC" else get_products(call),
    )

    ran = run(*CLUSTER)

    (line,) = [line for line in ran.stdout.splitlines() if "public IPv4 addresses" in line]
    assert line.endswith(" unknown")
    assert "price not found" in line
    assert (
        "20.72 USD a month for resources that run all the time (730 hours), without 1 of 3 amounts: the total is incomplete"
        in (ran.stdout)
    )


def test_unknown_type_makes_total_incomplete():
    resources = {"Db": {"Type": "AWS::RDS::DBInstance"}, "Secret": {"Type": "AWS::SecretsManager::Secret"}}
    found = estimate("box", "eu-central-1", {"Resources": resources}, {}, found_in_frankfurt)

    assert [click.unstyle(line) for line in cost_view.lines(found)][-2:] == [
        "0.40 USD a month for resources that run all the time (730 hours), without unknown costs: the total is incomplete",
        "unknown cost: Db (AWS::RDS::DBInstance)",
    ]


def test_missing_network_omits_only_calculator(run, answers):
    answers.on("ec2", "DescribeVpcs", {"Vpcs": []})

    ran = run("cost", "security-group", "--name", "web")

    assert ran.code == 0
    assert "no resource is billed\n1 resource costs nothing itself\n" in ran.stdout
    assert ran.stderr == "warning: no link to AWS's calculator: eu-central-1 has no default VPC\n"
    assert answers.names() == ["DescribeVpcs"]


def test_template_too_long_for_calculator_has_prices(run, answers):
    services = [
        word
        for number in range(25)
        for word in ("--service", f"name=s{number},image=public.ecr.aws/nginx/nginx:1.27,env.TEXT={'x' * 100}")
    ]

    ran = run(*CLUSTER[:8], *services, "--output", "json")

    (record,) = ran.records
    assert record["complete"]
    assert record["calculator_url"] == ""
    assert answers.of("EstimateTemplateCost") == []


def test_unavailable_calculator_is_skipped(run, answers):
    answers.on("cloudformation", "EstimateTemplateCost", DroppedConnectionError())

    ran = run(*CLUSTER)

    assert (ran.code, ran.stderr) == (0, "")
    assert "calculator" not in ran.stdout
    assert len(answers.of("EstimateTemplateCost")) == 3


def test_unknown_region_is_bad_input(program):
    ran = program("cost", "registry", "--name", "images", "--region", "xx-nowhere-1")

    assert ran.code == 2
    assert "Unknown region: 'xx-nowhere-1'" in ran.stderr
    assert "hint: the form of a region is eu-central-1" in ran.stderr


def test_expired_credentials_are_error(run, answers):
    answers.on("pricing", "GetProducts", AwsError("ExpiredTokenException", "expired"))

    ran = run(*CI)

    assert ran.code == 4
    assert "sign in again" in ran.stderr


def test_bad_input_exits_2(run, answers):
    ran = run("cost", "ci-build", "--project", "Slc", "--project-url", "nowhere")

    assert ran.code == 2
    assert "--project-url 'nowhere' is invalid" in ran.stderr
    assert answers.calls == []


def test_every_construct_has_command():
    assert set(cost.commands) == {*NAMES.values(), "space", "template"}


@pytest.mark.live
def test_endpoint_without_price_list_is_warning(here):
    ran = here(*CI)

    assert ran.code == 0
    assert ran.stderr == "warning: prices are missing: the endpoint in use does not have AWS's price list\n"
    assert "CodeBuild          builds on a medium host" in ran.stdout
    assert "no resource runs all the time: all costs depend on use" in ran.stdout


@pytest.mark.live
def test_cluster_in_sandbox_has_no_prices(here):
    ran = here("cost", "cluster", "--name", "shop", "--service", "name=web,image=nginx:1.27", "--output", "json")

    (record,) = ran.records
    assert ran.code == 0
    assert (record["total"], record["complete"], record["currency"]) == (None, False, "")
    assert {line["amount"] for line in record["lines"]} == {None}
