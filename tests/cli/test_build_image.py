"""`build-image` in the sandbox, where builds are simulated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exasol_ci_setup import Asset, BuildkitBuilder, ContainerBuilder, Context, Registry, Scope
from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.sandbox import switches
from tests.registry import tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    from exasol_ci_setup.aws.session import Account

pytestmark = pytest.mark.live

SCOPE = Scope(name="shop", region="eu-central-1")


@pytest.fixture
def build(
    live: Account, account_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    """Run the command with the folder `app` and a deployed container builder."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ContainerBuilder(
        name="image",
        asset=Asset(scope=SCOPE, name="source"),
        builder=BuildkitBuilder(scope=SCOPE, name="host"),
        registry=Registry(scope=SCOPE, name="images"),
    ).deploy(Context(live))

    def command(*arguments: str) -> Result:
        session = Session()
        session.__dict__["account"] = live
        return CliRunner().invoke(cli, ["build-image", *arguments], prog_name=PROGRAM, obj=session)

    switches.BUILD_SECONDS[account_id] = 0.05
    yield command
    del switches.BUILD_SECONDS[account_id]


def test_folder_is_built_once_and_pushed_with_tag_and_hash(build: Callable[..., Result], live: Account):
    first = build("shop-image", "app", "--tag", "1.0")
    assert first.exit_code == 0, first.output
    uri, content = first.stdout.strip().rsplit(":", 1)
    assert uri.endswith("/shop/images")
    assert [set(each) for each in tags(live.client("ecr"), "shop/images").values()] == [{"1.0", content}]

    again = build("shop-image", "app", "--tag", "1.0", "--output", "json")
    assert len(live.client("codebuild").list_builds()["ids"]) == 1
    assert [json.loads(line) for line in again.stdout.splitlines()] == [
        {"type": "image", "schema": "exasol-ci-setup/2", "image": f"{uri}:{content}", "tag": "1.0", "build": ""},
        {"type": "result", "schema": "exasol-ci-setup/2", "status": "unchanged", "changed": False},
    ]

    other = build("shop-image", "app", "--tag", "", "--build-argument", "VERSION=2", "--output", "json")
    image, result = (json.loads(line) for line in other.stdout.splitlines())
    assert image["image"] != first.stdout.strip()
    assert (bool(image["build"]), result["status"], result["changed"]) == (True, "built", True)


def test_failed_build_exits_6(build: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, account_id: str):
    monkeypatch.setitem(switches.FAILURES, account_id, "BUILD")
    ran = build("shop-image", "app")
    assert (ran.exit_code, ran.stdout) == (6, "")
    assert "the image was not built" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop-images", "app"), "stack shop-images has no container builder"),
        (("shop-image", "app", "--build-context", "../x"), "invalid build context '../x'"),
        (("shop-image", "app", "--tag", "a b"), "'a b' is not a valid image tag"),
        (("shop-image", "app", "--build-argument", "IMAGE_TAG=1"), "'IMAGE_TAG' cannot be a variable of a build"),
        (("shop-image", "missing"), "does not exist"),
    ],
)
def test_invalid_arguments_exit_2_before_upload(
    build: Callable[..., Result], live: Account, arguments: tuple[str, ...], message: str
):
    ran = build(*arguments)
    assert ran.exit_code == 2
    assert message in ran.stderr
    assert live.client("codebuild").list_builds()["ids"] == []
