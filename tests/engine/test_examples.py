"""The programs in `examples/` with real images: built by a Docker engine, stored in the registry of the sandbox, and run from there."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup import sandbox
from exasol_ci_setup.sandbox.daemon import DIRECTORY_VARIABLE
from exasol_ci_setup.sandbox.settings import REGISTRY_VARIABLE
from tests.engine.conftest import list_containers
from tests.engine.test_container_builder import docker
from tests.registry import require_program
from tests.templates.samples import PUBLIC_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine

EXAMPLES = Path(__file__).parents[2] / "examples"
BASES = ("public.ecr.aws/docker/library/busybox:1.37", "public.ecr.aws/aws-cli/aws-cli:2.22.0")


class Example:
    """A copy of an example, and commands in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            [sys.executable, "-m", "exasol_ci_setup", *arguments, "--sandbox"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran

    def up(self) -> str:
        return self.run("up", "program.py", "--yes", "--allow-broadening").stdout

    def down(self) -> None:
        self.run("down", "program.py", "--yes", "--empty")


@pytest.fixture
def example(
    request: pytest.FixtureRequest, tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Example]:
    require_program()
    shutil.copytree(EXAMPLES / request.param, tmp_path / "example")
    (tmp_path / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    monkeypatch.setenv("SSH_KEY", str(tmp_path / "key"))
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "sandbox"))
    monkeypatch.setenv(REGISTRY_VARIABLE, "1")
    for base in BASES:
        docker("tag", image, base)
    yield Example(tmp_path / "example")
    sandbox.stop()
    docker("image", "rm", "--force", *BASES)


@pytest.mark.parametrize("example", ["web_app"], indirect=True)
def test_web_app_runs_from_built_images_with_its_secret(example: Example) -> None:
    example.up()
    task = ("run-task", "shop-services")
    assert example.run(*task, "web", "--command", "cat /www/index.html").stdout == "shop\n"
    assert example.run(*task, "api", "--command", "cat /www/api/health.txt").stdout == "ok\n"
    # The user is in the JSON of a secret that CloudFormation generated.
    script = 'echo "user $DB_USER"; test -n "$DB_PASSWORD"; exit 7'
    failed = example.run(*task, "api", "--command", shlex.join(["sh", "-c", script]), code=7)
    assert failed.stdout == "user shop\n"
    assert "ended with exit code 7" in failed.stderr
    assert "up to date" in example.run("up", "program.py", "--yes").stderr
    assert list_containers() == []

    page = example.folder / "web" / "Dockerfile"
    page.write_text(page.read_text(encoding="utf-8").replace('"shop"', '"new shop"'), encoding="utf-8")
    changed = example.run("up", "program.py", "--yes").stderr
    assert "shop-services: done" in changed
    assert example.run(*task, "web", "--command", "cat /www/index.html").stdout == "new shop\n"
    example.down()


@pytest.mark.parametrize("example", ["worker"], indirect=True)
def test_worker_runs_from_built_image_with_names_of_queue_and_bucket(example: Example) -> None:
    outputs = example.up()
    found = dict(line.split() for line in outputs.splitlines() if line.startswith("jobs-data."))
    script = example.run("run-task", "jobs-workers", "nightly", "--command", "cat /usr/local/bin/clean-up").stdout
    assert script == (example.folder / "job" / "clean-up").read_text(encoding="utf-8")
    variables = example.run("run-task", "jobs-workers", "worker", "--command", "env", "--env", "MODE=once").stdout
    assert f"QUEUE_URL={found['jobs-data.QueueUrl']}" in variables.splitlines()
    assert "MODE=once" in variables.splitlines()
    example.down()
