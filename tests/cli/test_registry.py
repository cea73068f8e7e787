"""The group `registry`."""

from __future__ import annotations

import os

import pytest

from tests.platform import fake_docker

pytestmark = pytest.mark.live


@pytest.fixture
def docker(tmp_path, monkeypatch):
    fake, path = fake_docker.put_on_path(tmp_path, os.environ["PATH"])
    monkeypatch.setenv("PATH", path)
    return fake


def test_one_is_made_shown_listed_and_deleted(here):
    made = here("registry", "create", "--name", "images")
    assert made.code == 0
    assert "dkr.ecr.eu-central-1.amazonaws.com/images" in made.stdout
    assert "+ Repository" in made.stderr

    assert here("registry", "get", "--name", "images").stdout == made.stdout
    assert here("registry", "list").stdout.splitlines()[0].split() == ["NAME", "STATUS", "URI"]
    assert here("registry", "delete", "--name", "images", "--yes").code == 0
    assert "there are no registries in eu-central-1" in here("registry", "list").stderr


def test_a_plan_makes_nothing(here):
    ran = here("registry", "create", "--name", "images", "--plan")

    assert ran.code == 0
    assert "+ Repository" in ran.stdout
    assert here("registry", "get", "--name", "images").code == 1


def test_json_is_a_record_a_line(here):
    here("registry", "create", "--name", "images")

    shown = here("registry", "get", "--name", "images", "--output", "json").records
    listed = here("registry", "list", "--output", "json").records

    assert [record["type"] for record in shown] == ["registry", "result"]
    assert shown[0]["uri"].endswith("/images")
    assert listed[0] == shown[0]


def test_credentials_are_data(here):
    here("registry", "create", "--name", "images")

    text = here("registry", "get-credentials", "--name", "images")
    (record,) = here("registry", "get-credentials", "--name", "images", "--output", "json").records

    assert record["username"] == "AWS"
    assert record["password"] in text.stdout
    assert record["password"] not in text.stderr
    assert record["endpoint"].startswith("https://")


def test_docker_login_ends_as_docker_does(here, docker):
    here("registry", "create", "--name", "images")
    (credentials,) = here("registry", "get-credentials", "--name", "images", "--output", "json").records

    said_yes = here("registry", "docker-login", "--name", "images", "--log-level", "debug")
    docker.plan(login=5, login_says="denied: INPUT")
    said_no = here("registry", "docker-login", "--name", "images", "--log-level", "debug")

    assert (said_yes.code, said_no.code) == (0, 5)
    assert "docker is logged in to" in said_yes.stderr
    assert "denied" in said_no.stderr
    # An endpoint on this machine whose registries have AWS's host names has none that docker could reach.
    assert "sandbox start --registry" in said_no.stderr
    for ran in (said_yes, said_no):
        assert credentials["password"] not in ran.stdout + ran.stderr


def test_without_docker_the_login_is_one_line(here, monkeypatch, tmp_path):
    here("registry", "create", "--name", "images")
    monkeypatch.setenv("PATH", str(tmp_path))

    ran = here("registry", "docker-login", "--name", "images")

    assert ran.code == 1
    assert ran.stderr.startswith("error: `docker` is not on the PATH\n")


def test_a_second_one_and_a_missing_one_are_told(here):
    here("registry", "create", "--name", "images")

    assert here("registry", "create", "--name", "images").code == 1
    assert here("registry", "get", "--name", "other", "--output", "json").records[0]["code"] == "registry-not-found"
    assert here("registry", "create", "--name", "a b").code == 2


def test_delete_asks_unless_told_not_to(here):
    here("registry", "create", "--name", "images")

    ran = here("registry", "delete", "--name", "images")

    assert ran.code == 2
    assert "--yes" in ran.stderr
    assert here("registry", "get", "--name", "images").code == 0
