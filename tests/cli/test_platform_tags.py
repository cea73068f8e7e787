"""Tags of spaces, storages, secrets and registries."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context

pytestmark = pytest.mark.live

SPACE = ("space", "create", "--name", "web", "--image", "nginx:1")
STORAGE = ("storage", "create", "-w", "7", "-s")
TEAM = ("--tag", "team=blue")


def of_stack(live, name):
    """Return the tags of a stack, without those of this tool."""
    [stack] = live.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {each["Key"]: each["Value"] for each in stack["Tags"] if not each["Key"].startswith("exasol-ci-setup:")}


def of_secret(live, name):
    found = live.client("secretsmanager").describe_secret(SecretId=f"naas/{name}")["Tags"]
    return {each["Key"]: each["Value"] for each in found if not each["Key"].startswith("exasol-ci-setup:")}


def test_space_keeps_tags_and_adds_others(here, live):
    assert here(*SPACE, *TEAM, "--tag", "stage=test").code == 0
    assert of_stack(live, "space-web") == {"team": "blue", "stage": "test"}
    assert of_stack(live, "spaces-load-balancer") == {}

    assert here("space", "update", "--name", "web", "--env", "A=1").code == 0
    assert of_stack(live, "space-web") == {"team": "blue", "stage": "test"}

    assert here("space", "update", "--name", "web", "--tag", "stage=live", "--tag", "cost=7").code == 0
    assert of_stack(live, "space-web") == {"team": "blue", "stage": "live", "cost": "7"}
    assert re.search(
        "^tags +cost=7, stage=live, team=blue$", here("space", "get", "--name", "web").stdout, re.MULTILINE
    )
    again = here("space", "update", "--name", "web", "--tag", "cost=7")
    assert "space web is up to date" in again.stderr


def test_storages_share_tags_of_workspace(here, live):
    assert here(*STORAGE, "one", *TEAM).code == 0
    assert here(*STORAGE, "two").code == 0
    assert of_stack(live, "workspace-7") == {"team": "blue"}

    assert here(*STORAGE, "three", "--tag", "cost=7").code == 0
    assert of_stack(live, "workspace-7") == {"team": "blue", "cost": "7"}


def test_registry_has_tags(here, live):
    assert here("registry", "create", "--name", "images", *TEAM).code == 0
    assert of_stack(live, "registry-images") == {"team": "blue"}


def test_secrets_have_tags_and_keep_them(here, live, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("value").write_text("one", encoding="utf-8")
    Path("many.json").write_text(json.dumps({"b": "1", "c": "2"}), encoding="utf-8")
    file = ("--file", "value")

    assert here("secret", "create", "--name", "a", *file, *TEAM).code == 0
    assert here("secret", "bulk-create", "--file", "many.json", *TEAM).code == 0
    assert [of_secret(live, name) for name in "abc"] == [{"team": "blue"}] * 3

    assert here("secret", "set", "--name", "a", *file, "--tag", "cost=7").code == 0
    assert of_secret(live, "a") == {"team": "blue", "cost": "7"}

    assert here("secret", "delete", "--name", "a", "--yes").code == 0
    assert here("secret", "create", "--name", "a", *file, "--tag", "cost=8").code == 0
    assert of_secret(live, "a") == {"team": "blue", "cost": "8"}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (("--tag", "aws:team=blue"), "'aws:team' is reserved"),
        (("--tag", "exasol-ci-setup:name=x"), "this tool uses tags with that prefix"),
        (("--tag", "team"), "use KEY=VALUE"),
        (("--tag", "team=a", "--tag", "team=b"), "--tag sets team twice"),
        (("--tag", "team=blue (old)"), "'blue (old)' contains '('"),
        (("--tag", "te;am=blue"), "'te;am' contains ';'"),
        ([word for number in range(49) for word in ("--tag", f"k{number}=v")], "use at most 48 tags"),
    ],
)
@pytest.mark.parametrize("command", [SPACE, (*STORAGE, "one"), ("registry", "create", "--name", "images")])
def test_invalid_tag_is_bad_usage(here, live, command, tags, message):
    ran = here(*command, *tags)

    assert ran.code == 2
    assert message in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_storage_has_most_tags_of_each_alphabet(here, live):
    tags = {f"k{number}": "v" for number in range(47)} | {"Größe-1 @x": "日本 + a_b.c:d/e=f"}
    assert here(*STORAGE, "one", *(word for pair in tags.items() for word in ("--tag", "=".join(pair)))).code == 0
    assert of_stack(live, "workspace-7") == tags


@pytest.mark.parametrize("tags", [{"aws:team": "blue"}, {"team": 5}, "team=blue", 5])
def test_library_refuses_invalid_tags(live, tags):
    context = Context(live)
    for call in (
        lambda: naas.space.create("web", image="nginx:1", tags=tags, context=context),
        lambda: naas.storage.create(workspace_id="7", storage_name="one", tags=tags, context=context),
        lambda: naas.secret.create("a", "value", tags=tags, context=context),
        lambda: naas.registry.create("images", tags=tags, context=context),
    ):
        with pytest.raises(naas.errors.InputError, match="tags"):
            call()
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []
