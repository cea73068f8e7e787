"""`space add` and `registry docker-login` with a real Docker engine and registry."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from exasol_ci_setup import sandbox
from exasol_ci_setup.core.errors import DockerFailedError
from exasol_ci_setup.docker import program
from exasol_ci_setup.sandbox.daemon import DIRECTORY_VARIABLE
from exasol_ci_setup.sandbox.settings import REGISTRY_VARIABLE
from tests.origins import AT_COMMIT
from tests.registry import require_program, tags

pytestmark = pytest.mark.engine

NAME = "my-space"
REGISTRY = "my-space-registry"
PIPELINE = Path(".github/workflows/ci-my-space.yaml")
ADD = ("space", "add", "--name", NAME, "--package", AT_COMMIT)
SECRET = "t0p-s3cr3t-of-the-database"
DOCKERFILE = (
    'FROM {image}\nCOPY page /srv/page\nRUN {command}\nWORKDIR /srv\nCMD ["python3", "-m", "http.server", "8080"]\n'
)


class Folder:
    """A repository with a Dockerfile, and a sandbox with a registry for it."""

    def __init__(self, path: Path, image: str) -> None:
        self.path = path
        self._image = image
        path.mkdir()
        self.write()

    def write(self, page: str = "first", command: str = "true") -> None:
        (self.path / "page").write_text(page, encoding="utf-8")
        (self.path / "Dockerfile").write_text(DOCKERFILE.format(image=self._image, command=command), encoding="utf-8")

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen(
            [sys.executable, "-m", "exasol_ci_setup", "--sandbox", *arguments], cwd=self.path, text=True, **streams
        )

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a command with `stdin`; return its exit code, stdout and stderr."""
        process = self.start(*arguments, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin)
        return process.returncode, out, err

    def records(self, *arguments: str) -> list[dict[str, Any]]:
        code, out, err = self.run(*arguments, "--output", "json")
        assert code == 0, out + err
        return [json.loads(line) for line in out.splitlines()]

    def client(self, service: str) -> Any:
        endpoint = sandbox.ensure()
        return botocore.session.get_session().create_client(
            service,
            endpoint_url=endpoint.url,
            region_name=endpoint.region,
            aws_access_key_id=endpoint.account,
            aws_secret_access_key="any",
        )


@pytest.fixture
def folder(tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch):
    require_program()
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "sandbox"))
    monkeypatch.setenv(REGISTRY_VARIABLE, "1")
    # The directory for the logins of docker.
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    created = Folder(tmp_path / "repository", image)
    yield created
    created.run("sandbox", "stop")


def test_folder_becomes_running_space_with_registry_and_pipeline(folder):
    code, out, err = folder.run(*ADD)

    assert code == 0, err
    (registry,) = (each for each in folder.records("registry", "list") if each["type"] == "registry")
    (space,) = (each for each in folder.records("space", "list") if each["type"] == "space")
    assert registry["name"] == REGISTRY
    assert space["image"].startswith(f"{registry['uri']}:")
    assert space["image"] in out
    (pushed,) = tags(folder.client("ecr"), REGISTRY).values()
    assert sorted(pushed) == sorted([space["image"].rpartition(":")[2], "latest"])
    workflow = yaml.safe_load((folder.path / PIPELINE).read_text(encoding="utf-8"))
    assert workflow["jobs"]["space"]["env"] == {"SPACE": NAME, "REGISTRY": REGISTRY}

    # The image of the space is in the registry and contains the files of the folder.
    subprocess.run(["docker", "rmi", "--force", space["image"], f"{registry['uri']}:latest"], check=True)
    ran = subprocess.run(
        ["docker", "run", "--rm", space["image"], "cat", "page"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "first"


def test_second_run_uses_existing_resources_and_updates_image(folder):
    assert folder.run(*ADD)[0] == 0
    (first,) = (each for each in folder.records("space", "get", "--name", NAME) if each["type"] == "space")
    pipeline = (folder.path / PIPELINE).stat()

    code, _, same = folder.run(*ADD)
    assert code == 0, same
    assert f"registry {REGISTRY} already exists: using it" in same
    assert f"{first['image']} is already in the registry" in same
    assert "space my-space already exists" in same
    assert f"pipeline {PIPELINE} already exists: not changed" in same
    assert len(tags(folder.client("ecr"), REGISTRY)) == 1

    folder.write("second")
    code, _, err = folder.run(*ADD)
    assert code == 0, err
    (second,) = (each for each in folder.records("space", "get", "--name", NAME) if each["type"] == "space")
    assert second["image"] != first["image"]
    found = tags(folder.client("ecr"), REGISTRY)
    assert sorted(len(each) for each in found.values()) == [1, 2]
    assert (folder.path / PIPELINE).stat().st_mtime_ns == pipeline.st_mtime_ns


def test_failed_build_exits_with_docker_exit_code(folder):
    folder.write(command="exit 7")
    build = subprocess.run(["docker", "build", "."], cwd=folder.path, capture_output=True, check=False)
    assert build.returncode != 0

    code, out, err = folder.run(*ADD)

    assert code == build.returncode
    assert out == ""
    assert f"docker build ended with exit code {build.returncode}" in err
    assert f"created before the error: registry {REGISTRY}; run the same command again to continue" in err
    assert [each["name"] for each in folder.records("registry", "list") if each["type"] == "registry"] == [REGISTRY]
    assert folder.run("space", "get", "--name", NAME)[0] == 1
    assert not (folder.path / PIPELINE).exists()

    folder.write()
    code, _, err = folder.run(*ADD)
    assert code == 0, err


def test_docker_login_rejects_wrong_password(folder):
    assert folder.run("registry", "create", "--name", REGISTRY)[0] == 0

    code, out, err = folder.run("registry", "docker-login", "--name", REGISTRY)

    assert (code, out) == (0, ""), err
    (record,) = (each for each in folder.records("registry", "get-credentials", "--name", REGISTRY))
    host = record["endpoint"].partition("://")[2]
    assert f"logged in docker to {host}" in err
    assert record["password"] not in err
    with pytest.raises(DockerFailedError) as caught:
        program.login(host, "AWS", "wrong", print)
    assert caught.value.exit_code == 1


def test_secret_is_in_no_process_template_event_or_log(folder):
    assert folder.run("secret", "create", "--name", "database", "--value", "-", stdin=SECRET)[0] == 0
    assert folder.run("registry", "create", "--name", REGISTRY)[0] == 0
    (credentials,) = folder.records("registry", "get-credentials", "--name", REGISTRY)
    hidden = [SECRET.encode(), credentials["password"].encode()]
    seen: set[bytes] = set()
    ended = threading.Event()

    def collect() -> None:
        while not ended.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        seen.add((process / name).read_bytes())

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        added = folder.start(*ADD, "--secret", "DB=database", "--log-level", "debug")
        out, err = added.communicate()
    finally:
        ended.set()
        collector.join()

    assert added.returncode == 0, err
    assert any(b"--password-stdin" in each for each in seen)
    texts = [*seen, out.encode(), err.encode(), (folder.path / PIPELINE).read_bytes()]
    cfn = folder.client("cloudformation")
    stacks = [stack["StackId"] for stack in cfn.describe_stacks()["Stacks"]]
    assert len(stacks) == 3
    for stack in stacks:
        texts.append(repr(cfn.get_template(StackName=stack)).encode())
        texts.append(repr(cfn.describe_stack_events(StackName=stack)).encode())
    assert not [text for text in texts if any(value in text for value in hidden)]
    (space,) = (each for each in folder.records("space", "get", "--name", NAME) if each["type"] == "space")
    assert ":secret:naas/database-" in space["secrets"]["DB"]


def test_rejected_push_is_reported(folder):
    assert folder.run(*ADD)[0] == 0
    # The registry of the sandbox has stopped, so the push and the login both fail.
    address = folder.records("registry", "get", "--name", REGISTRY)[0]["uri"].partition("/")[0]
    folder.run("sandbox", "stop")
    with pytest.raises(DockerFailedError, match="was not pushed"):
        program.push(f"{address}/none/none:1", print)
