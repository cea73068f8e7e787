"""`--import-existing` and `import` as a user runs them."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone

import pytest

from exasol_ci_setup.cli.deployment import compare_imported
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.core.stacks import Change, Plan, Stack

pytestmark = pytest.mark.live

REGISTRY = ("deploy-registry", "--name", "images", "--yes", "--no-lint")
AT = datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)
LOGS = "/aws/codebuild/ShopCodeBuild"
CI = ("deploy-ci-build", "--project", "Shop", "--project-url", "https://github.com/exasol/shop", "--no-lint")
CREDENTIALS = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")


@pytest.fixture
def ready(here, live):
    assert here("deploy-source-credentials", *CREDENTIALS, "--yes", "--no-lint").code == 0
    live.client("logs").create_log_group(logGroupName=LOGS)


@pytest.mark.usefixtures("ready")
def test_imported_resource_is_planned_compared_and_retained(here, live):
    planned = here(*CI, "--import-existing", "--plan")
    assert planned.code == 0
    assert "= CodeBuildLogGroup      AWS::Logs::LogGroup  (imported into the stack)" in planned.stdout
    assert "5 to add, 0 to change, 0 to remove, 1 to import" in planned.stdout

    ran = here(*CI, "--import-existing", "--yes")
    assert ran.code == 0, ran.stderr
    assert 'RetentionInDays: "14" → (none)' in ran.stderr
    assert "`exasol-ci-setup drift Shop --revert` corrects it" in ran.stderr

    same = here("diff", "ci-build", *CI[1:5], "--exit-code")
    assert same.code == 0
    assert "no differences" in same.stderr

    gone = here("delete", "Shop", "--yes")
    assert gone.code == 0
    assert "CodeBuildLogGroup  AWS::Logs::LogGroup  /aws/codebuild/ShopCodeBuild  (kept)" in gone.stderr
    assert [each["logGroupName"] for each in live.client("logs").describe_log_groups()["logGroups"]] == [LOGS]


@pytest.mark.usefixtures("ready")
def test_outputs_precede_comparison_of_imports(here):
    ran = here(*CI, "--import-existing", "--yes", "--output", "json")

    assert [record["type"] for record in ran.records][-3:] == ["outputs", "drift", "result"]


@pytest.mark.usefixtures("ready")
def test_import_that_matches_template_is_reported(here, live):
    live.client("logs").put_retention_policy(logGroupName=LOGS, retentionInDays=14)
    live.client("logs").tag_log_group(
        logGroupName=LOGS, tags={"exasol-ci-setup:construct": "CiBuild", "exasol-ci-setup:project": "Shop"}
    )

    ran = here(*CI, "--import-existing", "--yes")

    assert ran.code == 0, ran.stderr
    assert "match the template, as far as AWS can compare: CodeBuildLogGroup" in ran.stderr


@pytest.mark.usefixtures("ready")
def test_name_conflict_hints_at_import_existing(here):
    ran = here(*CI, "--yes")

    assert ran.code == 1
    assert "the name is in use: choose another" in ran.stdout + ran.stderr


@pytest.mark.usefixtures("ready")
def test_program_imports_existing_resources(here, live, tmp_path):
    live.client("logs").create_log_group(logGroupName="/ecs/shop-services/web")
    file = tmp_path / "program.py"
    file.write_text(
        "from exasol_ci_setup import Container, Cluster, Scope, Service\n\n\n"
        "def hangar_run():\n"
        "    web = Service(name='web', container=Container(source='public.ecr.aws/nginx/nginx', tag='1.27'))\n"
        "    Cluster(scope=Scope(region='eu-central-1', name='shop'), name='services', services=(web,)).deploy()\n",
        encoding="utf-8",
    )

    failed = here("up", str(file), "--yes", "--no-lint")
    ran = here("up", str(file), "--yes", "--no-lint", "--import-existing", "--recreate-failed")

    assert failed.code == 1
    assert ran.code == 0, ran.stderr
    assert "to import" in ran.stderr


IMPORT = ("import", "ci-build", *CI[1:5])


@pytest.fixture
def bucket(live):
    # One name for all accounts.
    name = f"shop-{uuid.uuid4().hex}"
    live.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name


@pytest.mark.usefixtures("ready")
def test_resource_is_imported_by_identifier_before_deployment(here, live, bucket):
    planned = here(*IMPORT, "--resource", f"ArtifactsBucket={bucket}", "--plan")
    assert planned.code == 0
    assert "= ArtifactsBucket  AWS::S3::Bucket  (imported into the stack)" in planned.stdout
    assert '+ tags.exasol-ci-setup:project: "Shop"' in planned.stdout
    assert "AWS accepts no tags in an import: an update sets them afterwards" in planned.stdout
    assert "Shop" not in here("list").stdout

    ran = here(*IMPORT, "--resource", f"ArtifactsBucket={bucket}", "--yes", "--output", "json")
    assert ran.code == 0, ran.stderr
    assert ran.records[-1]["status"] == "imported"
    assert "`exasol-ci-setup deploy-ci-build` with the same options creates the missing resources" in ran.stderr
    (stack,) = live.client("cloudformation").describe_stacks(StackName="Shop")["Stacks"]
    tags = {each["Key"]: each["Value"] for each in stack["Tags"]}
    assert tags["exasol-ci-setup:construct"] == "CiBuild"
    assert "Shop" in here("list").stdout

    more = here(*IMPORT, "--resource", f"CodeBuildLogGroup={LOGS}", "--yes")
    assert more.code == 0, more.stderr
    resources = live.client("cloudformation").describe_stack_resources(StackName="Shop")["StackResources"]
    assert {each["LogicalResourceId"] for each in resources} == {"ArtifactsBucket", "CodeBuildLogGroup"}

    rest = here(*CI, "--yes", "--allow-broadening")
    assert rest.code == 0, rest.stderr
    assert f"ArtifactsBucketName  {bucket}" in rest.stdout
    assert "up to date" in here(*CI, "--yes").stderr
    assert f"ArtifactsBucket  AWS::S3::Bucket  {bucket}  (kept)" in here("delete", "Shop", "--plan").stdout


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (["Nothing=x"], "the template has no resource 'Nothing'"),
        (["ArtifactsBucket=no-such-bucket"], "AWS rejected the import into stack Shop: "),
        (
            ["ArtifactsBucketPolicy=x"],
            "ArtifactsBucketPolicy refers to ArtifactsBucket, which would not be in the stack",
        ),
        (
            ["ArtifactsBucket={}", "ArtifactsBucketPolicy=x"],
            "AWS cannot import ArtifactsBucketPolicy, a resource of type AWS::S3::BucketPolicy",
        ),
        (["ArtifactsBucket"], "'ArtifactsBucket' has no identifier: write LOGICAL_ID=IDENTIFIER"),
        (["ArtifactsBucket=a", "ArtifactsBucket=b"], "duplicate key 'ArtifactsBucket'"),
    ],
)
def test_invalid_import_is_error_and_changes_nothing(here, live, bucket, resources, said):
    ran = here(*IMPORT, *(word for each in resources for word in ("--resource", each.format(bucket))), "--yes")

    assert ran.code == 2
    assert said in ran.stderr
    names = [stack["StackName"] for stack in live.client("cloudformation").describe_stacks()["Stacks"]]
    assert names == ["SLCSourceCredentials"]


@pytest.mark.usefixtures("ready")
def test_import_into_foreign_stack_is_refused(here, live, bucket):
    template = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"
    live.client("cloudformation").create_stack(StackName="Shop", TemplateBody=template)
    live.client("cloudformation").get_waiter("stack_create_complete").wait(StackName="Shop")
    resource = ("--resource", f"ArtifactsBucket={bucket}", "--yes")

    refused = here(*IMPORT, *resource)
    assert refused.code == 1
    assert "was not created by this tool" in refused.stderr

    assert here(*IMPORT, *resource, "--adopt").code == 0
    again = here(*IMPORT, *resource, "--adopt")
    assert again.code == 2
    assert "ArtifactsBucket is already in the stack" in again.stderr
    names = live.client("cloudformation").describe_stack_resources(StackName="Shop")["StackResources"]
    assert {each["LogicalResourceId"] for each in names} == {"Topic", "ArtifactsBucket"}


@pytest.mark.usefixtures("ready")
def test_import_needs_confirmation(here, live, bucket):
    ran = here(*IMPORT, "--resource", f"ArtifactsBucket={bucket}")

    assert ran.code == 2
    assert "there is no terminal" in ran.stderr
    assert "Shop" not in [each["StackName"] for each in live.client("cloudformation").describe_stacks()["Stacks"]]


TAKEN = Plan("Shop", "IMPORT", changes=(Change("Import", "Logs", "AWS::Logs::LogGroup"),))
IDENTITY = "arn:aws:cloudformation:eu-central-1:123456789012:stack/Shop/1"


def compared(answers, clock, **stack) -> None:
    session = Session()
    session.__dict__.update(account=answers.account, clock=clock)
    compare_imported(session, Stack(**{"name": "Shop", "id": IDENTITY, "status": "IMPORT_COMPLETE", **stack}), TAKEN)


def drift_of(answers, detected, **resource) -> None:
    described = {"StackId": IDENTITY, "StackDriftDetectionId": "1", "Timestamp": AT, **detected}
    answers.on("cloudformation", "DetectStackDrift", {"StackDriftDetectionId": "1"})
    answers.on("cloudformation", "DescribeStackDriftDetectionStatus", described)
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": "Resources: {Logs: {Type: 'AWS::Logs::LogGroup'}}"})
    found = {"StackId": IDENTITY, "LogicalResourceId": "Logs", "ResourceType": "AWS::Logs::LogGroup", "Timestamp": AT}
    answers.on("cloudformation", "DescribeStackResourceDrifts", {"StackResourceDrifts": [{**found, **resource}]})


def test_stack_without_tags_needs_deployment_before_revert(answers, clock, capsys):
    difference = {
        "PropertyPath": "/RetentionInDays",
        "ExpectedValue": "14",
        "ActualValue": "7",
        "DifferenceType": "NOT_EQUAL",
    }
    drifted = {"DetectionStatus": "DETECTION_COMPLETE", "StackDriftStatus": "DRIFTED"}
    drift_of(answers, drifted, StackResourceDriftStatus="MODIFIED", PropertyDifferences=[difference])

    compared(answers, clock)

    assert (
        "`exasol-ci-setup drift Shop --revert` corrects it once the stack has been deployed" in capsys.readouterr().err
    )


def test_failed_comparison_is_reported(answers, clock, capsys):
    failed = {"DetectionStatus": "DETECTION_FAILED", "DetectionStatusReason": "no logs:ListTagsForResource"}
    drift_of(answers, failed, StackResourceDriftStatus="NOT_CHECKED")

    compared(answers, clock)

    assert "AWS could not compare every resource: no logs:ListTagsForResource" in capsys.readouterr().err


def test_busy_stack_after_import_is_no_failure(answers, clock, capsys):
    compared(answers, clock, status="UPDATE_IN_PROGRESS")

    assert "not compared: stack Shop is busy again" in capsys.readouterr().err
    assert answers.calls == []
