"""Operations of constructs in a program, in `up`, `plan` and `down`."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

pytestmark = pytest.mark.live

PROGRAM = """
    from exasol_ci_setup import Asset, BuildkitBuilder, ContainerBuilder, LocalDirectory, Registry, Scope

    def hangar_run():
        scope = Scope(name="team", region="eu-central-1")
        asset = Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="here", path={path!r}))
        builder = BuildkitBuilder(scope=scope, name="host")
        image = ContainerBuilder(name="image", asset=asset, builder=builder, registry=Registry(scope=scope, name="registry"))
        image.deploy()
        asset.sync()
        print("built", image.build().wait().status)
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path, folder):
    path = tmp_path / "program.py"
    path.write_text(dedent(PROGRAM).format(path=str(folder)), encoding="utf-8")
    return str(path)


def archives(live) -> int:
    s3 = live.client("s3")
    return sum(s3.list_objects_v2(Bucket=each["Name"])["KeyCount"] for each in s3.list_buckets()["Buckets"])


def builds(live) -> int:
    return len(live.client("codebuild").list_builds()["ids"])


def test_plan_prints_actions_and_runs_none(here, live, file, folder):
    ran = here("plan", file)

    assert ran.code == 0, ran.stderr
    assert f"asset source: would be synced with folder {folder}\n" in ran.stderr
    assert "builder image: would build source as latest, if it is new\n" in ran.stderr
    assert (archives(live), builds(live)) == (0, 0)


def test_up_runs_actions_once_per_content_and_down_none(here, live, file, folder):
    first = here("up", file, "--yes")
    assert first.code == 0, first.stderr
    assert first.stdout.splitlines()[-1] == "built SUCCEEDED"
    said = [line for line in first.stderr.splitlines() if line.startswith(("asset ", "builder "))]
    assert [text in line for text, line in zip(("uploaded", "started build"), said, strict=True)] == [True, True]
    sha256 = live.client("s3").list_objects_v2(Bucket=bucket(live))["Contents"][0]["Key"].partition(".")[0]
    live.client("ecr").put_image(repositoryName="team/registry", imageManifest="{}", imageTag=sha256)

    second = here("up", file, "--yes")
    assert "already uploaded" in second.stderr
    assert "the registry already contains" in second.stderr
    assert "3 stacks up to date" in second.stderr
    assert (archives(live), builds(live)) == (1, 1)

    (folder / "Dockerfile").write_text("FROM busybox\n", encoding="utf-8")
    assert here("up", file, "--yes").code == 0
    assert (archives(live), builds(live)) == (2, 2)

    down = here("down", file, "--yes", "--empty")
    assert down.code == 0, down.stderr
    assert "asset source" not in down.stderr
    assert builds(live) == 2


def bucket(live) -> str:
    name: str = live.client("s3").list_buckets()["Buckets"][0]["Name"]
    return name


def test_json_stdout_has_only_records(here, file):
    ran = here("up", file, "--yes", "--output", "json")

    assert ran.code == 0, ran.stderr
    assert all(json.loads(line) for line in ran.stdout.splitlines())
    assert "asset source: " in ran.stderr


def test_failed_action_names_line_of_program(here, file, folder):
    (folder / "Dockerfile").unlink()
    folder.rmdir()

    ran = here("up", file, "--yes")

    assert ran.code == 2
    assert f"error: {file}:10: {folder} is not a folder" in ran.stderr
