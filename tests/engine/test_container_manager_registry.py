"""Images of a registry that needs a login."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.engine.manager import NOTHING, Manager, docker, on_engine, until

pytestmark = pytest.mark.engine

REGISTRY = "127.0.0.1:5000"
LOGIN = ("me", "sesame-open")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[str]:
    """An image in a registry with a login; the engine does not have the image."""
    if shutil.which("docker-registry") is None or shutil.which("htpasswd") is None:
        if "engine" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(","):
            pytest.fail("docker-registry or htpasswd is not installed")
        pytest.skip("docker-registry or htpasswd is not installed")
    folder = tmp_path_factory.mktemp("registry")
    users = subprocess.run(["htpasswd", "-Bbn", *LOGIN], capture_output=True, text=True, check=True).stdout
    (folder / "users").write_text(users)
    (folder / "config.yml").write_text(f"""
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder / "images"}}}}}
http: {{addr: "{REGISTRY}"}}
auth: {{htpasswd: {{realm: tests, path: {folder / "users"}}}}}
""")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        until(lambda: _answers(f"http://{REGISTRY}/v2/"))
        name = f"{REGISTRY}/private:1"
        subprocess.run(
            ["docker", "login", "-u", LOGIN[0], "--password-stdin", REGISTRY], input=LOGIN[1], text=True, check=True
        )
        docker("tag", image, name)
        docker("push", name)
        docker("logout", REGISTRY)
        docker("rmi", name)
        yield name
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 401
    except httpx.TransportError:
        return False


LOGIN_OF_IMAGE = {REGISTRY: {"reading": {"use": "plain", "username": "{names.me}", "password": LOGIN[1]}}}


def check_pull(private: str, manager: Manager) -> None:
    """Start the image `app`, which is pulled with the login, and end the manager."""
    try:
        assert manager.start("app")["just_created"] is True
        assert LOGIN[1] not in manager.log.read_text()
    finally:
        manager.end()
        docker("rmi", "--force", private)
    assert on_engine() == NOTHING


def test_image_is_pulled_with_its_login_only_and_password_is_not_logged(private, tmp_path: Path):
    image = {"context": False, "commands": [f"FROM {private}", 'CMD ["sleep", "1000"]']}
    manager = Manager(
        tmp_path, {"app": {**image, "authentication": LOGIN_OF_IMAGE}, "refused": image}, names={"me": LOGIN[0]}
    )

    answer = manager.post("/start_container", image="refused", ports=[])

    assert answer.status_code == 502
    assert answer.json()["error"]["message"].startswith(f"image {private} cannot be pulled: ")
    check_pull(private, manager)


def test_image_is_pulled_with_login_of_file(private, tmp_path: Path):
    image = {"context": False, "commands": [f"FROM {private}", 'CMD ["sleep", "1000"]']}

    check_pull(private, Manager(tmp_path, {"app": image}, authentication=LOGIN_OF_IMAGE, names={"me": LOGIN[0]}))
