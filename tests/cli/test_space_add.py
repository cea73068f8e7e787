"""Command `space add`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.core.origin import EXAMPLE
from tests.docker import engine_server, fake_program
from tests.origins import COMMIT, install

pytestmark = pytest.mark.live

ID = "0123456789abcdef" * 4
PIPELINE = Path(".github/workflows/ci-my-space.yaml")


@pytest.fixture(autouse=True)
def docker(tmp_path_factory, monkeypatch):
    fake, path = fake_program.put_on_path(tmp_path_factory.mktemp("bin"), os.environ["PATH"])
    fake.plan(image_says=f"sha256:{ID}")
    monkeypatch.setenv("PATH", path)
    with engine_server.running() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        yield fake


@pytest.fixture(autouse=True)
def from_directory(tmp_path_factory, monkeypatch):
    """This program appears as installed from a directory."""
    folder = tmp_path_factory.mktemp("directory")
    install(monkeypatch, folder, {"url": folder.as_uri(), "dir_info": {"editable": True}})


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("Dockerfile").write_text("FROM scratch\n")


@pytest.mark.parametrize("option", ["--name", "--space-name"])
def test_both_name_options_add_space(here, option):
    ran = here("space", "add", option, "my-space")

    assert ran.code == 0
    assert f"/my-space-registry:{ID[:12]}" in ran.stdout
    assert "build done" in ran.stderr
    assert not Path(".github/workflows/ci-my-space.yaml").exists()


def test_package_option_writes_pipeline(here):
    package = f"git+https://github.com/acme/exasol-ci-setup@{COMMIT}"

    ran = here("space", "add", "--name", "my-space", "--package", package)

    assert ran.code == 0
    assert f'PACKAGE: "exasol-ci-setup[aws] @ {package}"' in PIPELINE.read_text(encoding="utf-8")


def test_missing_package_prints_pipeline_command(here):
    Path("deploy").mkdir()
    Path("deploy/Docker file").write_text("FROM scratch\n")
    ran = here("space", "add", "--name", "my-space", "--dockerfile-path", "deploy/Docker file")

    assert ran.code == 0
    assert not PIPELINE.exists()
    (command,) = re.findall(r"was not written: .* Write it with `(.+)`", ran.stderr)
    assert command.endswith(f"--package {EXAMPLE}")
    # The example has to be replaced by a real commit.
    written = here(*shlex.split(command.replace("OWNER", "exasol").replace("COMMIT", "0" * 40))[1:])
    assert written.code == 0, written.stderr
    assert 'DOCKERFILE: "deploy/Docker file"' in PIPELINE.read_text(encoding="utf-8")


def test_published_options_are_accepted(here, docker):
    ran = here(
        *("space", "add", "--space-name", "my-space", "--dockerfile-path", "Dockerfile", "--docker-context", "."),
        *("--image-tag", "stable", "--container-port", "5080", "--generate-ci", "--registry-name", "images"),
        *("--cpu", "2", "--memory", "4Gi", "--env", '{"A": "b"}', "--output", "json"),
    )

    assert ran.code == 0
    assert [record["type"] for record in ran.records][-2:] == ["space", "result"]
    (space,) = (record for record in ran.records if record["type"] == "space")
    assert (space["cpu"], space["memory"], space["port"]) == (2, 4096, 5080)
    assert any(command.endswith("/images:stable") for command in docker.commands)


@pytest.mark.usefixtures("docker")
def test_published_short_options_are_accepted(here):
    ran = here(
        *("space", "add", "-sn", "my-space", "-st", "docker", "-dfp", "Dockerfile", "-dc", ".", "-it", "stable"),
        *("-cp", "5080", "-gci", "-ct", "github-actions", "-c", "2", "-m", "4Gi", "-rn", "images", "--output", "json"),
    )

    assert ran.code == 0
    (space,) = (record for record in ran.records if record["type"] == "space")
    assert (space["cpu"], space["memory"], space["port"]) == (2, 4096, 5080)
    skipped = here("space", "add", "-sn", "other", "-sr", "-i", "nginx:1", "--no-generate-ci")
    assert skipped.code == 0
    assert here("space", "add", "-sn", "my-space", "-st", "vm").code == 2


def test_plan_shows_stacks_and_creates_nothing(here, live, docker):
    ran = here("space", "add", "--name", "my-space", "--plan")

    assert ran.code == 0
    names = ("registry-my-space-registry", "spaces-load-balancer", "space-my-space")
    assert [f"Plan for stack {name} (new)" in ran.stdout for name in names] == [True] * 3
    assert "the tag to-be-built is a placeholder" in ran.stderr
    assert "plan only" in ran.stderr
    assert docker.commands == []
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []
    assert not Path(".github").exists()


def test_plan_for_existing_space_changes_nothing(here, docker):
    here("space", "add", "--name", "my-space")
    before = len(docker.commands)

    ran = here("space", "add", "--name", "my-space", "--plan")

    assert ran.code == 0
    assert "Plan for stack space-my-space (update)" in ran.stdout
    assert f"/my-space-registry:{ID[:12]}" in here("space", "get", "--name", "my-space").stdout
    assert len(docker.commands) == before


def test_failed_docker_step_is_reported(here, docker):
    docker.plan(build=9, build_says="the command was not found")

    ran = here("space", "add", "--name", "my-space")

    assert ran.code == 9
    assert "docker build ended with exit code 9: the command was not found" in ran.stderr
    assert "created before the error: registry my-space-registry" in ran.stderr


def test_failed_docker_step_in_json(here, docker):
    docker.plan(build=9)

    error = here("space", "add", "--name", "my-space", "--output", "json").records[-1]

    assert (error["type"], error["code"], error["exit_code"]) == ("error", "docker-failed", 9)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing option '--name'"),
        (["--name", "my-space", "--skip-registry"], "--skip-registry needs --image"),
        (["--name", "my-space", "--dockerfile-path", "x"], "x is not a file"),
        (["--name", "my-space", "--role-arn", "x"], "ARN of a role"),
    ],
)
def test_invalid_add_options_exit_2(here, arguments, says):
    ran = here("space", "add", *arguments)

    assert ran.code == 2
    assert says in ran.stderr


def test_interruption_stops_docker_and_lists_created(live, server, docker):
    docker.plan(blocked=["build"], build_says="building")
    keys = live.session.get_credentials()
    process = subprocess.Popen(
        [sys.executable, "-m", "exasol_ci_setup", "space", "add", "--name", "my-space"],
        env={
            **os.environ,
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_REGION": live.region,
            "AWS_ENDPOINT_URL": server.url,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "building\n":
            break
    else:
        pytest.fail("it did not come to the build")
    process.send_signal(signal.SIGTERM)
    # Docker writes to the same stream, so the output ends when docker ends.
    _, err = process.communicate()

    assert process.returncode == 130
    assert "was not built" in err
    assert "created before the error: registry my-space-registry" in err


def test_no_generate_ci_writes_no_file(here):
    ran = here("space", "add", "--name", "my-space", "--image", "a/b:1", "--skip-registry", "--no-generate-ci")

    assert ran.code == 0
    assert not Path(".github").exists()
