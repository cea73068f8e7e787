"""Image builds with a real Docker engine: source, archive, build in the sandbox, registry, and running container."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from exasol_ci_setup import sandbox
from exasol_ci_setup.sandbox.daemon import DIRECTORY_VARIABLE
from exasol_ci_setup.sandbox.settings import REGISTRY_VARIABLE
from tests.registry import require_program, tags

pytestmark = pytest.mark.engine

PROGRAM = """\
import json
import os

from exasol_ci_setup import Asset, BuildkitBuilder, ContainerBuilder, LocalDirectory, Registry, Scope


def hangar_run():
    scope = Scope(name="team", region="eu-central-1")
    asset = Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="here", path="source"))
    registry = Registry(scope=scope, name="registry")
    builder = BuildkitBuilder(scope=scope, name="host", timeout_in_minutes=5)
    image = ContainerBuilder(name="image", asset=asset, builder=builder, registry=registry)
    image.deploy()
    asset.sync()
    build = image.build(tag=os.environ.get("TAG", "latest"), build_context=os.environ.get("CONTEXT", "."),
        environment_variables=json.loads(os.environ.get("VARIABLES", "{}")))
    if os.environ.get("WAIT", "yes") == "yes":
        build.wait()
    print("BUILD", build.id or "none", build.status, build.content_hash, registry.uri)
"""
DOCKERFILE = """\
FROM {image}
COPY page /srv/page
WORKDIR /srv
RUN echo "made by BuildKit at $(pwd)"
CMD ["python3", "-m", "http.server", "8080"]
"""


class Team:
    """A folder with a program and a source, and a sandbox with a registry for it."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.source.mkdir()
        (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
        self.write("page", "first")
        self.write("Dockerfile", DOCKERFILE.format(image=image))

    def write(self, name: str, text: str) -> None:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "exasol_ci_setup", *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def up(self, **environment: str) -> tuple[str, str, str, str]:
        """Run the program; return the ID and status of the build, the content hash, and the URI of the repository."""
        ran = self.run("--sandbox", "up", "program.py", "--yes", **environment)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        (line,) = [line for line in ran.stdout.splitlines() if line.startswith("BUILD ")]
        _, build, status, content, uri = line.split()
        return build, status, content, uri

    def client(self, service: str) -> Any:
        endpoint = sandbox.ensure()
        return botocore.session.get_session().create_client(
            service,
            endpoint_url=endpoint.url,
            region_name=endpoint.region,
            aws_access_key_id=endpoint.account,
            aws_secret_access_key="any",
        )

    def tags(self) -> dict[str, list[str]]:
        return tags(self.client("ecr"), "team/registry")

    def builds(self) -> list[Any]:
        codebuild = self.client("codebuild")
        ids = codebuild.list_builds()["ids"]
        return list(codebuild.batch_get_builds(ids=ids)["builds"]) if ids else []

    def log(self, build: str) -> str:
        (found,) = self.client("codebuild").batch_get_builds(ids=[build])["builds"]
        logs = found["logs"]
        events = self.client("logs").get_log_events(
            logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=True
        )
        return "".join(event["message"] for event in events["events"])


@pytest.fixture
def team(tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch):
    require_program()
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "sandbox"))
    monkeypatch.setenv(REGISTRY_VARIABLE, "1")
    created = Team(tmp_path, image)
    yield created
    sandbox.stop()


def docker(*arguments: str, secret: str = "") -> str:
    ran = subprocess.run(["docker", *arguments], input=secret, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def fetch_page(image: str) -> str:
    """Return the answer of a container of an image over HTTP."""
    container = docker("run", "--detach", "--publish", "127.0.0.1::8080", image)
    try:
        address = docker("port", container, "8080").splitlines()[0]
        for _ in range(1200):
            connection = http.client.HTTPConnection(address, timeout=5)
            try:
                connection.request("GET", "/page")
                return connection.getresponse().read().decode()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # the container starts
            finally:
                connection.close()
        raise AssertionError(docker("logs", container))
    finally:
        docker("rm", "--force", container)


def list_images(uri: str) -> list[str]:
    return docker("image", "ls", "--quiet", uri).split()


def wait_for_build(team: Team, build: str) -> Any:
    while True:
        (found,) = team.client("codebuild").batch_get_builds(ids=[build])["builds"]
        if found["buildComplete"]:
            return found
        time.sleep(0.05)


def docker_processes(word: str) -> list[str]:
    processes = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in processes.splitlines() if "docker" in line and f" {word} " in line]


def test_source_is_built_to_running_image_and_rebuilt_on_change(team: Team) -> None:
    build, status, content, uri = team.up()
    assert status == "SUCCEEDED"
    assert list(team.tags().values()) == [sorted([content, "latest"])]
    log = team.log(build)
    assert "made by BuildKit at /srv" in log
    assert (
        log.index("Running command docker build") < log.index("made by BuildKit") < log.index("Phase complete: BUILD")
    )
    assert list_images(uri) == [], "the build left an image in the engine"

    token = team.run("--sandbox", "sandbox", "env", "--format", "json")
    variables = json.loads(token.stdout)
    password = subprocess.run(
        [str(Path(sys.executable).with_name("aws")), "ecr", "get-login-password"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert password.strip() not in log
    docker("login", "--username", "AWS", "--password-stdin", uri.partition("/")[0], secret=password)
    assert fetch_page(f"{uri}:latest") == "first"

    assert team.up()[:3] == ("none", "SUCCEEDED", content)
    assert len(team.builds()) == 1

    team.write("page", "fjrst")
    other, status, changed, _ = team.up()
    assert status == "SUCCEEDED"
    assert changed != content
    assert {each["id"] for each in team.builds()} == {build, other}
    docker("pull", "--quiet", f"{uri}:latest")
    assert fetch_page(f"{uri}:latest") == "fjrst"
    assert fetch_page(f"{uri}:{content}") == "first"
    assert sorted(map(sorted, team.tags().values())) == sorted([[content], sorted([changed, "latest"])])


def test_failing_dockerfile_fails_build_with_reason(team: Team) -> None:
    team.write("Dockerfile", (team.source / "Dockerfile").read_text() + 'RUN echo "no such luck"; exit 7\n')
    ran = team.run("--sandbox", "up", "program.py", "--yes")
    assert ran.returncode == 6, ran.stderr
    assert "the image was not built" in ran.stderr
    assert "no such luck" in ran.stderr
    assert "exit code: 7" in ran.stderr
    (build,) = team.builds()
    phases = {each["phaseType"]: each for each in build["phases"]}
    assert phases["BUILD"]["phaseStatus"] == "FAILED"
    assert phases["BUILD"]["contexts"][0]["message"].startswith("Error while executing command: docker build ")
    assert phases["POST_BUILD"]["phaseStatus"] == "FAILED"
    assert "Running command docker push" not in team.log(build["id"])
    assert team.tags() == {}


def test_build_context_in_subfolder_has_its_dockerfile(team: Team) -> None:
    for name in ("Dockerfile", "page"):
        team.write(f"deep/er/{name}", (team.source / name).read_text())
        (team.source / name).unlink()
    _, status, content, _ = team.up(CONTEXT="deep/er", TAG="")
    assert status == "SUCCEEDED"
    assert list(team.tags().values()) == [[content]]


def test_variables_of_build_are_build_arguments(team: Team) -> None:
    text = (team.source / "Dockerfile").read_text()
    team.write("Dockerfile", text + 'ARG COLOR=blue\nARG SIZE=none\nRUN echo "painted $COLOR, $SIZE"\n')
    build, status, content, _ = team.up(VARIABLES=json.dumps({"COLOR": "light blue"}))
    assert status == "SUCCEEDED"
    assert "painted light blue, none" in team.log(build)

    other, _, changed, _ = team.up(VARIABLES=json.dumps({"COLOR": "red"}))
    assert changed != content
    assert "painted red, none" in team.log(other)


def test_secret_is_read_in_build_and_not_in_image(team: Team) -> None:
    program = (team.folder / "program.py").read_text(encoding="utf-8")
    arn = team.client("secretsmanager").create_secret(Name="license", SecretString='{"key": "no-one-sees-this"}')["ARN"]
    given = f'registry=registry, build_secrets={{"LICENSE": "{arn}:key::"}})'
    (team.folder / "program.py").write_text(program.replace("registry=registry)", given), encoding="utf-8")
    text = (team.source / "Dockerfile").read_text()
    team.write(
        "Dockerfile",
        text
        + 'RUN --mount=type=secret,id=LICENSE test "$(cat /run/secrets/LICENSE)" = no-one-sees-this && touch /srv/read\n'
        + "RUN test ! -e /run/secrets/LICENSE && ls /srv\n",
    )
    build, status, _, _ = team.up()
    assert status == "SUCCEEDED"
    log = team.log(build)
    assert "read" in log
    (found,) = team.builds()
    assert "no-one-sees-this" not in json.dumps(found, default=str)


@pytest.fixture
def endless_build(team: Team) -> str:
    """The ID of a build that does not end by itself."""
    team.write("Dockerfile", (team.source / "Dockerfile").read_text() + "RUN echo in progress; sleep 600\n")
    build, *_ = team.up(WAIT="no")
    while "in progress" not in re.sub(r"RUN echo in progress", "", team.log(build)):
        time.sleep(0.05)
    return build


def test_stopped_build_leaves_no_process_and_no_image(team: Team, endless_build: str) -> None:
    assert docker_processes("build")
    # The sandbox answers other requests meanwhile.
    assert team.tags() == {}
    team.client("codebuild").stop_build(id=endless_build)
    assert wait_for_build(team, endless_build)["buildStatus"] == "STOPPED"
    while docker_processes("build"):
        time.sleep(0.05)
    assert team.tags() == {}


def test_sandbox_stops_during_build(team: Team, endless_build: str) -> None:
    assert sandbox.stop() is sandbox.StopResult.SAVED
    assert not docker_processes("build")
    (found,) = team.client("codebuild").batch_get_builds(ids=[endless_build])["builds"]
    assert found["buildStatus"] == "FAULT"


def test_immutable_tag_is_not_overwritten(team: Team) -> None:
    _, _, content, _ = team.up(TAG="1.0")
    codebuild = team.client("codebuild")
    (project,) = codebuild.list_projects()["projects"]
    (first,) = team.builds()
    variables = [{**each, "type": "PLAINTEXT"} for each in first["environment"]["environmentVariables"]]
    started = codebuild.start_build(projectName=project, environmentVariablesOverride=variables)["build"]["id"]
    assert wait_for_build(team, started)["buildStatus"] == "FAILED"
    assert f"tag invalid: The image tag '{content}' already exists in the 'team/registry' repository" in team.log(
        started
    )


REDIRECTIONS = {
    ("BUILD_CONTEXT", "../../../../../etc"): "unable to prepare context: path source/../../../../../etc not found",
    ("REPOSITORY_URI", "example.com/team/registry"): "example.com/team/registry is not in the registry of account",
    ("CONTENT_HASH", "a b"): "'a b' is not a valid image tag",
    ("ASSET_KEY", "nothing"): "object not found: s3://",
}


def test_request_cannot_redirect_build(team: Team) -> None:
    team.up()
    codebuild = team.client("codebuild")
    (project,) = codebuild.list_projects()["projects"]
    (first,) = team.builds()
    variables = {each["name"]: each["value"] for each in first["environment"]["environmentVariables"]}
    started = {
        reason: codebuild.start_build(
            projectName=project,
            environmentVariablesOverride=[
                {"name": key, "value": text}
                for key, text in {**variables, "CONTENT_HASH": "another", name: value}.items()
            ],
        )["build"]["id"]
        for (name, value), reason in REDIRECTIONS.items()
    }
    for reason, build in started.items():
        assert wait_for_build(team, build)["buildStatus"] == "FAILED"
        assert reason in team.log(build)
    assert len(team.tags()) == 1
