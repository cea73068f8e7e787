"""The change-over from the predecessor: its own program deploys its stacks, and this one adopts them."""

from __future__ import annotations

import os
import subprocess

import pytest

from exasol_ci_setup.sandbox import switches
from tests import changeover

pytestmark = pytest.mark.live

URL = "https://github.com/exasol/script-languages-release"
PROJECT = ("--project", "Slc", "--project-url", URL)
SECRET = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")
UPLOAD = "https://uploads.github.com/repos/exasol/script-languages-release/releases/1/assets"
# What a script without a terminal needs.
ADOPT = ("--adopt", "--yes", "--allow-broadening", "--no-lint")
DEFAULTS = (
    ("deploy-source-credentials", *SECRET),
    ("deploy-ci-build", *PROJECT),
    ("deploy-release-build", *PROJECT),
)
"""The commands without the names of the predecessor's stacks, which are also its own commands."""
COMMANDS = {
    "SLCSourceCredentials": DEFAULTS[0],
    "SlcCIBuild": (*DEFAULTS[1], "--stack-name", "SlcCIBuild"),
    "SlcReleaseBuild": (*DEFAULTS[2], "--stack-name", "SlcReleaseBuild"),
}


@pytest.fixture
def deployed(request, server, account_id):
    """The three stacks of the predecessor."""
    program = changeover.program(request.config.cache)
    environment = {
        **{key: text for key, text in os.environ.items() if not key.startswith("PYTHON")},
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    for arguments in DEFAULTS:
        ran = subprocess.run(
            [*program, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 0, ran.stderr


@pytest.fixture
def fast(account_id):
    switches.BUILD_SECONDS[account_id] = 0.05
    yield
    del switches.BUILD_SECONDS[account_id]


def credentials(live) -> list[str]:
    return [each["arn"] for each in live.client("codebuild").list_source_credentials()["sourceCredentialsInfos"]]


def physical_ids(live, stack: str, kind: str) -> set[str]:
    found = live.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {each["PhysicalResourceId"] for each in found if each["ResourceType"] == kind}


def deletions(live, stack: str, kind: str) -> list[str]:
    found = live.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return [
        each["LogicalResourceId"]
        for each in found
        if each["ResourceType"] == kind and each["ResourceStatus"] in {"DELETE_IN_PROGRESS", "DELETE_COMPLETE"}
    ]


# The installation of the predecessor may take minutes.
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("deployed", "fast")
def test_predecessors_stacks_are_adopted_without_loss(here, live, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    before = credentials(live)
    buckets = {name: physical_ids(live, name, "AWS::S3::Bucket") for name in ("SlcCIBuild", "SlcReleaseBuild")}
    logs = {each["logGroupName"] for each in live.client("logs").describe_log_groups()["logGroups"]}
    seen: list[list[str]] = []
    events = live.client("cloudformation").meta.events
    events.register_last("after-call.cloudformation.*", lambda **_: seen.append(credentials(live)))

    refused = [here(*default, "--yes", "--no-lint") for default in DEFAULTS]
    adopted = {name: here(*command, *ADOPT) for name, command in COMMANDS.items()}
    again = [here(*command, "--yes", "--no-lint") for command in COMMANDS.values()]

    # Each refusal names the command that adopts the stack.
    assert [ran.code for ran in refused] == [1, 1, 1]
    assert all("--adopt" in ran.stderr for ran in refused)
    assert {name: ran.code for name, ran in adopted.items()} == dict.fromkeys(COMMANDS, 0), adopted
    assert all("up to date" in ran.stderr for ran in again)

    assert len(before) == 1
    assert seen
    assert all(each == before for each in seen)
    assert credentials(live) == before
    assert not deletions(live, "SLCSourceCredentials", "AWS::CodeBuild::SourceCredential")

    for name, found in buckets.items():
        assert physical_ids(live, name, "AWS::S3::Bucket") == found
        assert not deletions(live, name, "AWS::S3::Bucket")
        assert not deletions(live, name, "AWS::Logs::LogGroup")
    assert logs < {each["logGroupName"] for each in live.client("logs").describe_log_groups()["logGroups"]}

    # Builds start without names of stacks.
    started = here("start-ci-build", "--project", "Slc", "--branch", "main")
    released = here("start-release-build", "--project", "Slc", "--branch", "main", "--upload-url", UPLOAD)
    assert (started.code, released.code) == (0, 0), started.stderr + released.stderr
    assert started.stdout.startswith("SlcCodeBuild:")
    assert released.stdout.startswith("SlcReleaseCodeBuild:")
    assert here("logs", "--latest", "--project", "Slc").code == 0
