"""Registries in the library: repositories in ECR, and docker's way into them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

import exasol_ci_setup
from exasol_ci_setup.constructs import Registry as Construct
from exasol_ci_setup.errors import (
    DockerFailed,
    EngineUnavailable,
    InputError,
    RegistryConflictError,
    RegistryError,
    RegistryNotFound,
)
from exasol_ci_setup.platform import docker as command
from exasol_ci_setup.platform import registry
from exasol_ci_setup.platform.place import NullReport, Place, deploy

PASSWORD = "t0p-s3cr3t"


class Told(NullReport):
    """Remembers what was said."""

    def __init__(self):
        self.lines = []

    def say(self, message, /):
        self.lines.append(message)


class TestLive:
    pytestmark = pytest.mark.live

    @pytest.fixture
    def place(self, live):
        return Place(live)

    def test_it_is_made_and_shown_and_listed(self, place):
        made = registry.create("my-space-registry", place=place)

        assert made.uri.endswith(".dkr.ecr.eu-central-1.amazonaws.com/my-space-registry")
        assert made.host == made.uri.partition("/")[0]
        assert registry.get("my-space-registry", place=place) == made
        assert registry.list(place=place) == [made]

    def test_a_second_one_of_the_name_is_a_conflict(self, place):
        registry.create("images", place=place)

        with pytest.raises(RegistryConflictError, match="'images' is there already"):
            registry.create("images", place=place)

    def test_a_repository_that_is_nobodys_registry_is_a_conflict_and_stays(self, place, live):
        live.client("ecr").create_repository(repositoryName="images")

        with pytest.raises(RegistryConflictError, match="which is no registry of this tool's"):
            registry.create("images", place=place)

        assert registry.list(place=place) == []

    def test_one_that_is_not_there_is_not_found(self, place):
        for verb in (registry.get, registry.delete, registry.get_credentials, registry.docker_login):
            with pytest.raises(RegistryNotFound, match="no registry 'images' in eu-central-1"):
                verb("images", place=place)

    def test_what_cannot_be_a_name_is_bad_input(self, place):
        for verb in (registry.get, registry.create):
            with pytest.raises(InputError, match=r"^--name 'a b' is not acceptable"):
                verb("a b", place=place)

    def test_one_with_images_is_deleted_only_if_that_is_asked_for(self, place, live):
        registry.create("images", place=place)
        live.client("ecr").put_image(repositoryName="images", imageManifest='{"schemaVersion": 2}', imageTag="1")

        with pytest.raises(RegistryConflictError, match=r"holds 1 image$"):
            registry.delete("images", place=place)
        registry.delete("images", empty=True, place=place)

        assert registry.list(place=place) == []
        assert live.client("ecr").describe_repositories()["repositories"] == []

    def test_one_that_deploy_registry_made_is_a_registry_too(self, place):
        deploy(place, Construct(name="images"))

        assert registry.get("images", place=place).stack_name == "images"
        with pytest.raises(RegistryConflictError):
            registry.create("images", place=place)
        registry.delete("images", place=place)
        assert registry.list(place=place) == []

    def test_a_stack_of_something_else_is_no_registry(self, place):
        deploy(place, exasol_ci_setup.SecurityGroup(name="web"))

        assert registry.list(place=place) == []
        with pytest.raises(RegistryNotFound):
            registry.get("web", place=place)

    def test_docker_gets_the_password_on_its_input_alone(self, live, docker):
        told = Told()
        registry.create("images", place=Place(live))
        credentials = registry.get_credentials("images", place=Place(live))
        docker.plan(login_says="you said INPUT")

        host = registry.docker_login("images", place=Place(live, report=told))

        assert credentials.username == "AWS"
        assert docker.commands == [f"login --username AWS --password-stdin {host}"]
        assert docker.calls[0]["input"] == f"{credentials.password}\n"
        assert credentials.password not in str(docker.calls[0]["environment"]) + repr(credentials)
        assert told.lines == ["you said ****"]


def test_it_is_a_namespace_of_the_library():
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


def test_no_password_goes_anywhere_while_a_registry_is_being_made(answers, docker):
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [_stack("CREATE_IN_PROGRESS")]})

    with pytest.raises(RegistryError, match="'a' is not ready: its stack registry-a is in CREATE_IN_PROGRESS"):
        registry.docker_login("a", place=Place(answers.account))

    assert docker.commands == []


def test_credentials_are_what_ecr_gives(answers):
    token = base64.b64encode(b"AWS:with:colons").decode()
    endpoint = "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [_stack("CREATE_COMPLETE")]})
    answers.on(
        "ecr",
        "GetAuthorizationToken",
        {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": endpoint, "expiresAt": 1_700_000_000}]},
    )

    found = registry.get_credentials("a", place=Place(answers.account))

    assert (found.username, found.password, found.endpoint) == ("AWS", "with:colons", endpoint)


def test_docker_that_says_no_is_an_error_with_its_own_exit_code(docker):
    docker.plan(login=3, login_says=f"no, not with {PASSWORD}")

    with pytest.raises(DockerFailed, match="did not log in to host: docker login ended with exit code 3: no") as caught:
        command.login("host", "AWS", PASSWORD, print)

    assert caught.value.exit_code == 3
    assert PASSWORD not in str(caught.value)


def test_docker_that_a_signal_ended_counts_as_in_a_shell(docker):
    docker.plan(killed=["push"])

    with pytest.raises(DockerFailed, match="exit code 137") as caught:
        command.push("image", print)

    assert caught.value.exit_code == 137


def test_paths_and_names_are_never_taken_for_options(docker):
    command.build("image", dockerfile=Path("-f"), context=Path("--push"), say=print)
    command.push("--all-tags", print)

    assert docker.commands == ["build --platform linux/amd64 --tag image --file -f -- --push", "push -- --all-tags"]


def test_a_machine_without_docker_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailable, match="`docker` is not on the PATH"):
        command.login("host", "AWS", PASSWORD, print)
