"""Tests of CodeBuild in the sandbox: project settings, webhooks and source credentials, by API and by CloudFormation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from exasol_ci_setup.sandbox.codebuild_types import api_spelling
from tests.sandbox.stacks import CREDENTIALS, buckets, deploy, events, project

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

WEBHOOK = {
    "Webhook": True,
    "BuildType": "BUILD_BATCH",
    "FilterGroups": [[{"Type": "EVENT", "Pattern": "PUSH"}, {"Type": "HEAD_REF", "Pattern": "^refs/heads/main$"}]],
}
EVERYTHING: dict[str, Any] = {
    "Description": "all of it",
    "SourceVersion": "main",
    "Source": {
        "Type": "GITHUB",
        "Location": "https://github.com/exasol/some-repository.git",
        "BuildSpec": "aws-code-build/ci/buildspec.yaml",
        "GitCloneDepth": 1,
        "ReportBuildStatus": "true",
        "GitSubmodulesConfig": {"FetchSubmodules": True},
    },
    "Artifacts": {"Type": "S3", "Location": "some-bucket", "Packaging": "NONE", "OverrideArtifactName": True},
    "BuildBatchConfig": {
        "ServiceRole": {"Fn::GetAtt": ["Role", "Arn"]},
        "TimeoutInMins": "480",
        "BatchReportMode": "REPORT_INDIVIDUAL_BUILDS",
        "Restrictions": {"MaximumBuildsAllowed": 100},
    },
    "LogsConfig": {
        "CloudWatchLogs": {"Status": "ENABLED", "GroupName": "group"},
        "S3Logs": {"Status": "ENABLED", "Location": "some-bucket/logs", "EncryptionDisabled": False},
    },
    "Cache": {"Type": "LOCAL", "Modes": ["LOCAL_DOCKER_LAYER_CACHE"]},
    "AutoRetryLimit": 2,
    "ConcurrentBuildLimit": 3,
    "QueuedTimeoutInMinutes": 30,
    "TimeoutInMinutes": 90,
    "Triggers": WEBHOOK,
}


def shown(account: Account, name: str = "Slc") -> dict[str, Any]:
    found: list[dict[str, Any]] = account.client("codebuild").batch_get_projects(names=[name])["projects"]
    assert len(found) == 1
    return found[0]


def import_token(account: Account) -> str:
    arn: str = account.client("codebuild").import_source_credentials(
        token="t", serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN"
    )["arn"]
    return arn


def failure(account: Account, stack: str, logical_id: str) -> str:
    described = account.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    reasons = [
        event["ResourceStatusReason"]
        for event in described
        if event["LogicalResourceId"] == logical_id and event["ResourceStatus"].endswith("_FAILED")
    ]
    assert len(reasons) == 1
    return str(reasons[0])


def test_api_shows_every_project_setting_of_template(account: Account) -> None:
    import_token(account)
    stack = deploy(account.client("cloudformation"), "Slc", project(**EVERYTHING))
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs == {"Name": "Slc", "Arn": f"arn:aws:codebuild:eu-central-1:{account.number}:project/Slc"}
    values = shown(account)
    assert values["source"] == {
        "type": "GITHUB",
        "location": "https://github.com/exasol/some-repository.git",
        "buildspec": "aws-code-build/ci/buildspec.yaml",
        "gitCloneDepth": 1,
        "reportBuildStatus": True,
        "gitSubmodulesConfig": {"fetchSubmodules": True},
        "insecureSsl": False,
    }
    assert values["buildBatchConfig"] == {
        "serviceRole": values["serviceRole"],
        "timeoutInMins": 480,
        "batchReportMode": "REPORT_INDIVIDUAL_BUILDS",
        "restrictions": {"maximumBuildsAllowed": 100},
    }
    assert values["logsConfig"]["s3Logs"]["location"] == "some-bucket/logs"
    assert values["cache"] == {"type": "LOCAL", "modes": ["LOCAL_DOCKER_LAYER_CACHE"]}
    assert (values["autoRetryLimit"], values["concurrentBuildLimit"]) == (2, 3)
    assert (values["queuedTimeoutInMinutes"], values["timeoutInMinutes"]) == (30, 90)
    webhook = values["webhook"]
    assert webhook["buildType"] == "BUILD_BATCH"
    assert webhook["filterGroups"] == [
        [{"type": "EVENT", "pattern": "PUSH"}, {"type": "HEAD_REF", "pattern": "^refs/heads/main$"}]
    ]
    assert webhook["url"].startswith("https://api.github.com/repos/exasol/some-repository/hooks/")
    assert webhook["status"] == "ACTIVE"


def test_stack_update_keeps_webhook_and_resets_removed_settings(account: Account) -> None:
    import_token(account)
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Slc", project(**EVERYTHING))
    before = shown(account)
    stack = deploy(cloudformation, "Slc", project(Triggers={**WEBHOOK, "BuildType": "BUILD"}), "UPDATE")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    after = shown(account)
    assert after["webhook"]["url"] == before["webhook"]["url"]
    assert after["webhook"]["buildType"] == "BUILD"
    assert after["created"] == before["created"]
    assert after["description"] == ""
    assert after["cache"] == {"type": "NO_CACHE"}
    assert "buildBatchConfig" not in after
    deploy(cloudformation, "Slc", project(), "UPDATE")
    assert "webhook" not in shown(account)


def test_deleted_stack_deletes_its_project(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    stack = deploy(cloudformation, "Slc", project())
    cloudformation.delete_stack(StackName="Slc")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"], WaiterConfig={"Delay": 0.05})
    answer = account.client("codebuild").batch_get_projects(names=["Slc"])
    assert answer["projectsNotFound"] == ["Slc"]


def test_unknown_property_fails_resource(account: Account) -> None:
    stack = deploy(account.client("cloudformation"), "Slc", project(Tint="red"))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert failure(account, "Slc", "Project") == "Encountered unsupported property Tint"


def test_webhook_needs_token_for_its_server(account: Account) -> None:
    stack = deploy(account.client("cloudformation"), "Slc", project(Triggers=WEBHOOK))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Failed to call CreateWebhook, reason: Could not find access token for server type github" in failure(
        account, "Slc", "Project"
    )
    assert account.client("codebuild").list_projects()["projects"] == []


def test_webhook_with_connection_needs_no_token(account: Account) -> None:
    source = {
        "Type": "GITHUB",
        "Location": "https://github.com/exasol/some-repository",
        "Auth": {"Type": "CODECONNECTIONS", "Resource": "arn:aws:codeconnections:eu-central-1:1:connection/c"},
    }
    stack = deploy(account.client("cloudformation"), "Slc", project(Source=source, Triggers=WEBHOOK))
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert shown(account)["source"]["auth"]["type"] == "CODECONNECTIONS"


def test_source_credential_resolves_secret_and_shows_no_token(account: Account) -> None:
    stack = deploy(account.client("cloudformation"), "SLCSourceCredentials", CREDENTIALS)
    arn = f"arn:aws:codebuild:eu-central-1:{account.number}:token/github"
    assert [output["OutputValue"] for output in stack["Outputs"]] == [arn]
    assert account.client("codebuild").list_source_credentials()["sourceCredentialsInfos"] == [
        {"arn": arn, "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"}
    ]


def test_server_type_has_one_source_credential(account: Account) -> None:
    deploy(account.client("cloudformation"), "First", CREDENTIALS)
    stack = deploy(account.client("cloudformation"), "Second", CREDENTIALS)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Access token with server type GITHUB already exists" in failure(account, "Second", "Credentials")
    assert len(account.client("codebuild").list_source_credentials()["sourceCredentialsInfos"]) == 1


def test_source_credentials_belong_to_one_region(account: Account) -> None:
    import_token(account)
    assert account.client("codebuild", "eu-west-1").list_source_credentials()["sourceCredentialsInfos"] == []


def test_import_overwrites_credentials_only_on_request(account: Account) -> None:
    codebuild = account.client("codebuild")
    arn = import_token(account)
    assert import_token(account) == arn
    with pytest.raises(codebuild.exceptions.ResourceAlreadyExistsException):
        codebuild.import_source_credentials(
            token="t", serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN", shouldOverwrite=False
        )
    assert codebuild.delete_source_credentials(arn=arn)["arn"] == arn
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException):
        codebuild.delete_source_credentials(arn=arn)


def test_api_creates_changes_and_deletes_webhook(account: Account) -> None:
    codebuild = account.client("codebuild")
    deploy(account.client("cloudformation"), "Slc", project())
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException, match="server type github"):
        codebuild.create_webhook(projectName="Slc")
    import_token(account)
    created = codebuild.create_webhook(projectName="Slc", branchFilter="^main$")["webhook"]
    assert shown(account)["webhook"]["branchFilter"] == "^main$"
    with pytest.raises(codebuild.exceptions.ResourceAlreadyExistsException):
        codebuild.create_webhook(projectName="Slc")
    changed = codebuild.update_webhook(projectName="Slc", buildType="BUILD_BATCH", rotateSecret=True)["webhook"]
    assert (changed["url"], changed["buildType"]) == (created["url"], "BUILD_BATCH")
    assert "lastModifiedSecret" in changed
    codebuild.delete_webhook(projectName="Slc")
    assert "webhook" not in shown(account)
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException):
        codebuild.delete_webhook(projectName="Slc")


def test_api_update_keeps_omitted_settings(account: Account) -> None:
    deploy(account.client("cloudformation"), "Slc", project(TimeoutInMinutes=90, BadgeEnabled=True))
    account.client("codebuild").update_project(name="Slc", description="new")
    values = shown(account)
    assert (values["description"], values["timeoutInMinutes"]) == ("new", 90)
    assert values["badge"] == {"badgeEnabled": True}


@pytest.mark.parametrize("name", ["a", "-a", "a b", "a" * 151, "ä1"])
def test_invalid_project_name_is_rejected(account: Account, name: str) -> None:
    stack = deploy(account.client("cloudformation"), "Slc", project(Name=name))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "InvalidInputException" in failure(account, "Slc", "Project")


def test_duplicate_project_name_is_rejected(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "First", project())
    deploy(cloudformation, "Second", project())
    assert f"Project already exists: {shown(account)['arn']}" in failure(account, "Second", "Project")
    # The rollback of the second stack must not delete the project of the first one.
    assert shown(account)["name"] == "Slc"
    assert ("Project", "DELETE_IN_PROGRESS") not in events(cloudformation, "Second")


def test_new_name_replaces_project(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    deploy(cloudformation, "Slc", project())
    stack = deploy(cloudformation, "Slc", project(Name="Other"), "UPDATE")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert account.client("codebuild").list_projects()["projects"] == ["Other"]


def test_ministack_answers_unknown_operation(account: Account) -> None:
    with pytest.raises(ClientError):
        account.client("codebuild").list_fleets()
    deploy(account.client("cloudformation"), "Buckets", buckets("A"))
    assert account.client("codebuild").list_projects()["projects"] == []


def test_names_of_template_become_names_of_api() -> None:
    model = botocore.session.get_session().get_service_model("codebuild")
    shape = model.operation_model("CreateProject").input_shape
    spelled = api_spelling(
        {
            "Environment": {"PrivilegedMode": "true", "EnvironmentVariables": [{"Name": "N", "Value": 1}]},
            "Source": {"BuildSpec": "b", "InsecureSsl": False},
            "TimeoutInMinutes": "5",
        },
        shape,
    )
    assert spelled == {
        "environment": {"privilegedMode": True, "environmentVariables": [{"name": "N", "value": "1"}]},
        "source": {"buildspec": "b", "insecureSsl": False},
        "timeoutInMinutes": 5,
    }
