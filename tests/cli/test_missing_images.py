"""A program that deploys a service, and builds its image afterwards: the image is built before the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from exasol_ci_setup.aws.session import Account

pytestmark = pytest.mark.live

FILE = """\
from exasol_ci_setup import (
    Asset, BuildkitBuilder, Cluster, Container, ContainerBuilder, LocalDirectory, Registry, Scope, Service
)


def hangar_run() -> None:
    scope = Scope(name="shop", region="eu-central-1")
    asset = Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="app", path="app"))
    registry = Registry(scope=scope, name="images")
    image = ContainerBuilder(
        name="image", asset=asset, builder=BuildkitBuilder(scope=scope, name="host"), registry=registry
    )
    web = Service(name="web", container=Container(source=registry, tag="{tag}"))
    cluster = Cluster(name="cluster", services=[web])
    cluster.deploy()
    image.deploy()
    asset.sync()
    build = image.build(tag="1.0")
    print("BUILD", build.id or "none")
"""


@pytest.fixture
def run(live: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    (tmp_path / "program.py").write_text(FILE.format(tag="1.0"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Result:
        session = Session()
        session.__dict__["account"] = live
        return CliRunner().invoke(cli, arguments, prog_name=PROGRAM, obj=session)

    return command


def test_missing_image_is_built_before_its_service(run: Callable[..., Result], live: Account):
    planned = run("plan", "program.py", "--no-lint")
    assert (
        "service web runs image shop/images:1.0, which does not exist yet: builder image builds it first"
        in planned.stdout
    )
    assert planned.exit_code == 0

    ran = run("up", "program.py", "--yes", "--no-lint")
    assert ran.exit_code == 0, ran.output
    said = ran.stderr
    order = [
        "shop-image: done",
        "shop-cluster: building its missing images first",
        "started build",
        "shop-cluster: creating",
    ]
    places = [said.index(each) for each in order]
    assert places == sorted(places)
    # The action of the program finds the image.
    assert "BUILD none" in ran.stdout
    assert len(live.client("codebuild").list_builds()["ids"]) == 1

    again = run("up", "program.py", "--yes", "--no-lint")
    assert "missing images" not in again.stderr
    assert "4 stacks up to date" in again.stderr


def test_image_with_other_tag_is_not_built_before(run: Callable[..., Result], tmp_path: Path):
    (tmp_path / "program.py").write_text(FILE.format(tag="2.0"), encoding="utf-8")
    planned = run("plan", "program.py", "--no-lint")
    assert "shop/images:2.0, which does not exist yet: push it before the deployment" in planned.stdout
    ran = run("up", "program.py", "--yes", "--no-lint")
    assert "missing images" not in ran.stderr
    assert "BUILD image" not in ran.stdout
    assert "BUILD none" not in ran.stdout
