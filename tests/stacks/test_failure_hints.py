"""The next steps for failure reasons of AWS: the table, and the search for the stack that has a name."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

from exasol_ci_setup.cli.main import COMMANDS as SECTIONS
from exasol_ci_setup.core.errors import DeployFailedError
from exasol_ci_setup.core.stacks import Event
from exasol_ci_setup.stacks import diagnose, failure_hints, name_owners, state
from exasol_ci_setup.stacks.failure_hints import Entry
from tests.answers import Answers, AwsError
from tests.stacks.test_deploy_live import plain, run

COMMANDS = {name for section in SECTIONS.values() for name, _, _ in section}
COMMAND = re.compile(r"`(exasol-ci-setup [^`]+)`")
STACK_ID = "arn:aws:cloudformation:eu-central-1:111122223333:stack/Slc/1"
BUCKET = 'Resource handler returned message: "shop-files already exists (Service: S3, Status Code: 0)" (HandlerErrorCode: AlreadyExists)'


def all_examples() -> list[tuple[Entry, str]]:
    return [(entry, example) for entry in failure_hints.entries() for example in entry.examples]


def resource_type(entry: Entry) -> str:
    return entry.type.replace("*", "Example") if entry.type != "*" else "AWS::Example::Resource"


def resource_status(entry: Entry) -> str:
    return entry.status if entry.status != "*" else "CREATE_FAILED"


@pytest.mark.parametrize(("entry", "example"), all_examples())
def test_example_of_entry_leads_to_its_hint(entry, example):
    found = failure_hints.find(resource_type(entry), resource_status(entry), example)
    assert found is not None
    assert found[0] == entry
    assert "{" not in found[1]


def test_each_entry_has_source_and_example():
    for entry in failure_hints.entries():
        assert entry.source.startswith("https://")
        assert entry.examples


def test_services_are_sorted_and_any_service_is_last():
    services = list(dict.fromkeys(entry.service for entry in failure_hints.entries()))
    assert services == [*sorted(services[:-1], key=str.lower), "Any service"]
    assert len(services) == len({entry.service for entry in failure_hints.entries()})


def test_commands_in_hints_exist():
    for entry, example in all_examples():
        found = failure_hints.find(resource_type(entry), resource_status(entry), example)
        for command in COMMAND.findall(found[1] if found else ""):
            assert command.split()[1] in COMMANDS


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("AWS::S3::Bucket", "Properties validation failed for resource Bucket with message: #: extraneous key [Foo] is not permitted"),
        ("AWS::EC2::Instance", "Property validation failure: [Encountered unsupported properties in {/}: [Foo]]"),
        ("AWS::EC2::SecurityGroup", "Value of property SecurityGroupIngress must be of type List"),
        ("AWS::ECS::Service", "Invalid request provided: CreateService error: The provided target group has an invalid target type"),
        ("AWS::Logs::LogGroup", "Model validation failed (#/RetentionInDays: 4 is not a valid enum value)"),
        ("AWS::RDS::DBInstance", "DB Security Groups can only be associated with VPC DB Instances using API versions 2012-01-15"),
        ("AWS::CloudFormation::Stack", "The following resource(s) failed to create: [A]. Rollback requested by user."),
        ("AWS::SecretsManager::Secret", 'Resource handler returned message: "Invalid name. Must be a valid name containing alphanumeric characters (Service: SecretsManager, Status Code: 400)" (HandlerErrorCode: InvalidRequest)'),
        ("AWS::Lambda::Function", 'Resource handler returned message: "Function not found (Service: Lambda, Status Code: 404)" (HandlerErrorCode: NotFound)'),
        ("AWS::SSM::Parameter", "Parameter Store does not accept the value: the secret limit of characters is documented"),
        ("AWS::DynamoDB::Table", "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match"),
        ("AWS::CloudFront::Distribution", 'Resource handler returned message: "Invalid request provided: The parameter Origin Id is missing"'),
    ],
)  # fmt: skip
def test_unknown_reason_has_no_hint(kind, reason):
    assert failure_hints.find(kind, "CREATE_FAILED", reason) is None


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (BUCKET, "shop-files"),
        ("/aws/lambda/shop already exists", "/aws/lambda/shop"),
        ("Resource of type 'AWS::Logs::LogGroup' with identifier '{\"/properties/LogGroupName\":\"/aws/shop\"}' already exists.", "/aws/shop"),
        ("Resource of type 'AWS::SNS::Topic' with identifier 'shop' already exists.", "shop"),
        ("Resource of type 'AWS::A::B' with identifier '{\"/properties/A\":\"a\",\"/properties/B\":\"b\"}' already exists.", ""),
        ("EntityAlreadyExists", ""),
    ],
)  # fmt: skip
def test_wanted_name_is_read_from_reason(reason, name):
    assert name_owners.wanted_name(reason) == name


def event(**values: object) -> Event:
    settings = {
        "id": "1",
        "stack_id": STACK_ID,
        "stack_name": "Slc",
        "logical_id": "Bucket",
        "physical_id": "",
        "type": "AWS::S3::Bucket",
        "status": "CREATE_FAILED",
        "reason": BUCKET,
        "at": datetime(2026, 11, 29, tzinfo=timezone.utc),
    }
    return Event(**{**settings, **values})  # type: ignore[arg-type]


def explain(answers: Answers, failure: Event):
    answers.on(
        "cloudformation",
        "DescribeStacks",
        {
            "Stacks": [
                {
                    "StackName": "Slc",
                    "StackId": STACK_ID,
                    "StackStatus": "ROLLBACK_COMPLETE",
                    "CreationTime": failure.at,
                }
            ]
        },
    )
    cfn = answers.account.client("cloudformation")
    return diagnose.of_stack(answers.account, state.get(cfn, "Slc"), [failure])


def owned_by(answers: Answers, stack: str, logical_id: str) -> None:
    resource = {
        "StackName": stack,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": "shop-files",
        "ResourceType": "AWS::S3::Bucket",
        "ResourceStatus": "CREATE_COMPLETE",
        "Timestamp": datetime(2026, 11, 29, tzinfo=timezone.utc),
    }
    # AWS returns all resources of the stack.
    neighbor = {**resource, "LogicalResourceId": "Neighbor", "PhysicalResourceId": "another"}
    answers.on("cloudformation", "DescribeStackResources", {"StackResources": [neighbor, resource]})


@pytest.mark.parametrize(
    ("owner", "hint"),
    [
        (("Other", "Files"), "the resource belongs to stack Other: leave it to that stack, or choose another name"),
        (("Slc", "Files"), "Files of this stack has this name: keep its logical ID, or choose another name"),
        (
            ("Slc", "Bucket"),
            "the resource to be replaced has this name: CloudFormation creates the new one first, so choose another name",
        ),
    ],
)
def test_name_in_use_names_its_stack(answers, owner, hint):
    owned_by(answers, *owner)
    found = explain(answers, event(status="UPDATE_FAILED"))
    assert (found.hints, found.details) == ((hint,), ())


def test_failed_creation_does_not_own_its_name(answers):
    owned_by(answers, "Slc", "Bucket")
    found = explain(answers, event())
    assert "import it with --import-existing" in found.hints[0]


def test_name_in_use_without_stack_suggests_import(answers):
    answers.on(
        "cloudformation", "DescribeStackResources", AwsError("ValidationError", "Stack for shop-files does not exist")
    )
    found = explain(answers, event())
    assert "import it with --import-existing" in found.hints[0]
    assert found.details == ()


def test_denied_look_up_of_owner_adds_one_line(answers):
    answers.on(
        "cloudformation",
        "DescribeStackResources",
        AwsError("AccessDenied", "User: x is not authorized to perform: cloudformation:DescribeStackResources"),
    )
    found = explain(answers, event())
    assert "import it with --import-existing" in found.hints[0]
    assert len(found.details) == 1
    assert "cloudformation:DescribeStackResources" in found.details[0]


def test_table_is_part_of_package():
    assert Path(failure_hints.__file__).with_name("failure_hints.yaml").is_file()


@pytest.mark.live
def test_log_group_of_other_stack_is_named_after_failure(live):
    group = "  {}: {{Type: AWS::Logs::LogGroup, Properties: {{LogGroupName: /shop/web}}}}\n"
    run(live, plain("First", group.format("Logs")))
    with pytest.raises(DeployFailedError) as caught:
        run(live, plain("Second", group.format("Copy")))
    assert caught.value.diagnosis is not None
    assert caught.value.diagnosis.hints == (
        "the resource belongs to stack First: leave it to that stack, or choose another name",
    )
