"""Registries in the library: ECR repositories and docker credentials."""

from __future__ import annotations

import base64

import pytest

import exasol_ci_setup
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.constructs import Registry as Construct
from exasol_ci_setup.core.errors import (
    InputError,
    RegistryConflictError,
    RegistryError,
    RegistryNotFoundError,
)
from exasol_ci_setup.platform import registry
from exasol_ci_setup.platform.stacks import deploy
from tests.reporters import RecordingReporter

PASSWORD = "t0p-s3cr3t"


class TestLive:
    pytestmark = pytest.mark.live

    @pytest.fixture
    def context(self, live):
        return Context(live)

    def test_created_registry_is_shown_and_listed(self, context):
        made = registry.create("my-space-registry", context=context)

        assert made.uri.endswith(".dkr.ecr.eu-central-1.amazonaws.com/my-space-registry")
        assert made.host == made.uri.partition("/")[0]
        assert registry.get("my-space-registry", context=context) == made
        assert registry.list(context=context) == [made]

    def test_existing_registry_is_conflict(self, context):
        registry.create("images", context=context)

        with pytest.raises(RegistryConflictError, match="'images' already exists"):
            registry.create("images", context=context)

    def test_foreign_repository_is_conflict_and_stays(self, context, live):
        live.client("ecr").create_repository(repositoryName="images")

        with pytest.raises(RegistryConflictError, match="not managed by this tool"):
            registry.create("images", context=context)

        assert registry.list(context=context) == []

    def test_missing_registry_is_not_found(self, context):
        for verb in (registry.get, registry.delete, registry.get_credentials, registry.docker_login):
            with pytest.raises(RegistryNotFoundError, match="'images' does not exist in eu-central-1"):
                verb("images", context=context)

    def test_invalid_name_is_bad_input(self, context):
        for verb in (registry.get, registry.create):
            with pytest.raises(InputError, match=r"^--name 'a b' is invalid"):
                verb("a b", context=context)

    def test_registry_with_images_is_deleted_only_with_empty(self, context, live):
        registry.create("images", context=context)
        live.client("ecr").put_image(repositoryName="images", imageManifest='{"schemaVersion": 2}', imageTag="1")

        with pytest.raises(RegistryConflictError, match=r"holds 1 image$"):
            registry.delete("images", context=context)
        registry.delete("images", empty=True, context=context)

        assert registry.list(context=context) == []
        assert live.client("ecr").describe_repositories()["repositories"] == []

    def test_registry_of_deploy_registry_is_found(self, context):
        deploy(context, Construct(name="images"))

        assert registry.get("images", context=context).stack_name == "images"
        with pytest.raises(RegistryConflictError):
            registry.create("images", context=context)
        registry.delete("images", context=context)
        assert registry.list(context=context) == []

    def test_other_stack_is_no_registry(self, context):
        deploy(context, exasol_ci_setup.SecurityGroup(name="web"))

        assert registry.list(context=context) == []
        with pytest.raises(RegistryNotFoundError):
            registry.get("web", context=context)

    def test_docker_gets_password_only_on_stdin(self, live, docker):
        reporter = RecordingReporter()
        registry.create("images", context=Context(live))
        credentials = registry.get_credentials("images", context=Context(live))
        docker.plan(login_says="you said INPUT")

        host = registry.docker_login("images", context=Context(live, reporter=reporter))

        assert credentials.username == "AWS"
        assert docker.commands == [f"login --username AWS --password-stdin {host}"]
        assert docker.calls[0]["input"] == f"{credentials.password}\n"
        assert credentials.password not in str(docker.calls[0]["environment"]) + repr(credentials)
        assert reporter.notes == ["you said ****"]


def test_registry_is_module_of_package():
    assert exasol_ci_setup.registry is registry


def _stack(status):
    return {
        "StackName": "registry-a",
        "StackStatus": status,
        "CreationTime": 1_700_000_000,
        "Tags": [
            {"Key": "exasol-ci-setup:construct", "Value": "Registry"},
            {"Key": "exasol-ci-setup:name", "Value": "a"},
        ],
    }


def test_login_to_incomplete_registry_requests_no_password(answers, docker):
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [_stack("CREATE_IN_PROGRESS")]})

    with pytest.raises(RegistryError, match="'a' is not ready: its stack registry-a is in CREATE_IN_PROGRESS"):
        registry.docker_login("a", context=Context(answers.account))

    assert docker.commands == []


def test_credentials_match_ecr_token(answers):
    token = base64.b64encode(b"AWS:with:colons").decode()
    endpoint = "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [_stack("CREATE_COMPLETE")]})
    answers.on(
        "ecr",
        "GetAuthorizationToken",
        {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": endpoint, "expiresAt": 1_700_000_000}]},
    )

    found = registry.get_credentials("a", context=Context(answers.account))

    assert (found.username, found.password, found.endpoint) == ("AWS", "with:colons", endpoint)
