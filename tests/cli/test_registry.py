"""Command group `registry`."""

from __future__ import annotations

import os

import pytest

from tests.docker import fake_program

pytestmark = pytest.mark.live


@pytest.fixture
def docker(tmp_path, monkeypatch):
    fake, path = fake_program.put_on_path(tmp_path, os.environ["PATH"])
    monkeypatch.setenv("PATH", path)
    return fake


def test_registry_create_get_list_delete(here):
    made = here("registry", "create", "--name", "images")
    assert made.code == 0
    assert "dkr.ecr.eu-central-1.amazonaws.com/images" in made.stdout
    assert "+ Repository" in made.stderr

    assert here("registry", "get", "--name", "images").stdout == made.stdout
    assert here("registry", "list").stdout.splitlines()[0].split() == ["NAME", "STATUS", "URI"]
    assert here("registry", "delete", "--name", "images", "--yes").code == 0
    assert "no registries in eu-central-1" in here("registry", "list").stderr


def test_create_with_plan_creates_nothing(here):
    ran = here("registry", "create", "--name", "images", "--plan")

    assert ran.code == 0
    assert "+ Repository" in ran.stdout
    assert here("registry", "get", "--name", "images").code == 1


def test_json_prints_one_record_per_line(here):
    here("registry", "create", "--name", "images")

    shown = here("registry", "get", "--name", "images", "--output", "json").records
    listed = here("registry", "list", "--output", "json").records

    assert [record["type"] for record in shown] == ["registry", "result"]
    assert shown[0]["uri"].endswith("/images")
    assert listed[0] == shown[0]


def test_credentials_go_to_stdout(here):
    here("registry", "create", "--name", "images")

    text = here("registry", "get-credentials", "--name", "images")
    (record,) = here("registry", "get-credentials", "--name", "images", "--output", "json").records

    assert record["username"] == "AWS"
    assert record["password"] in text.stdout
    assert record["password"] not in text.stderr
    assert record["endpoint"].startswith("https://")


def test_docker_login_exits_with_code_of_docker(here, docker):
    here("registry", "create", "--name", "images")
    (credentials,) = here("registry", "get-credentials", "--name", "images", "--output", "json").records

    logged_in = here("registry", "docker-login", "--name", "images", "--log-level", "debug")
    docker.plan(login=5, login_says="denied: INPUT")
    denied = here("registry", "docker-login", "--name", "images", "--log-level", "debug")

    assert (logged_in.code, denied.code) == (0, 5)
    assert "logged in docker to" in logged_in.stderr
    assert "denied" in denied.stderr
    # An endpoint on this machine whose registries have AWS's host names has none that docker could reach.
    assert "sandbox start --registry" in denied.stderr
    for ran in (logged_in, denied):
        assert credentials["password"] not in ran.stdout + ran.stderr


def test_login_without_docker_fails_with_one_line(here, monkeypatch, tmp_path):
    here("registry", "create", "--name", "images")
    monkeypatch.setenv("PATH", str(tmp_path))

    ran = here("registry", "docker-login", "--name", "images")

    assert ran.code == 1
    assert ran.stderr.startswith("error: `docker` is not on the PATH\n")


def test_existing_or_missing_registry_fails(here):
    here("registry", "create", "--name", "images")

    assert here("registry", "create", "--name", "images").code == 1
    assert here("registry", "get", "--name", "other", "--output", "json").records[0]["code"] == "registry-not-found"
    assert here("registry", "create", "--name", "a b").code == 2


def test_delete_prompts_without_yes(here):
    here("registry", "create", "--name", "images")

    ran = here("registry", "delete", "--name", "images")

    assert ran.code == 2
    assert "--yes" in ran.stderr
    assert here("registry", "get", "--name", "images").code == 0


def test_invalid_number_of_kept_images_names_typed_option(here):
    ran = here("registry", "create", "--name", "images", "--keep", "0")

    assert ran.code == 2
    assert "--keep 0 is invalid: use 1 to 10000 images" in ran.stderr


def test_name_that_is_too_short_for_repository_is_bad_usage(here, live):
    ran = here("registry", "create", "--name", "t")

    assert ran.code == 2
    assert "the name of a repository in ECR has at least 2 characters, not 't'" in ran.stderr
    assert here("deploy-registry", "--name", "t", "--yes").code == 2
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []
