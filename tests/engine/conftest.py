"""Tests with a real Docker engine of `make test-engine`. Without it they are skipped, or fail if it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.engine.authority import Authority
from tests.engine.hosted import Host, build_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE = "exasol-ci-setup-tests:base"

# Read on import: fixtures remove the variables of this project.
REQUIRED = "engine" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine: needs the Docker engine that tests/engine/with-engine starts")


def _find_problem() -> str:
    """Return why the tests cannot run here, or an empty string."""
    docker = shutil.which("docker")
    if docker is None:
        return "`docker` is not installed"
    ran = subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, text=True, check=False)
    return f"no engine with the image {IMAGE}: {ran.stderr.strip()}" if ran.returncode else ""


@pytest.fixture(scope="session")
def image() -> str:
    """The image for containers: busybox, bash and Python, and a `git` and a `docker` that print their arguments."""
    reason = _find_problem()
    if reason and REQUIRED:
        pytest.fail(f"a Docker engine is required: {reason}")
    if reason:
        pytest.skip(f"{reason} (make test-engine)")
    return IMAGE


def need(*programs: str) -> None:
    """Skip the test if a program is missing, or fail it if the tests with an engine are required."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing and REQUIRED:
        pytest.fail(f"required, but not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def images(image: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The images of apps for the hosted API."""
    build_images(image, tmp_path_factory.mktemp("app"))


@pytest.fixture
def stopped_host(images: None) -> Iterator[Host]:  # noqa: ARG001 - loads the images into the engine
    """A host with nginx, without the hosted API."""
    need("nginx", "curl")
    host = Host()
    try:
        host.start_nginx()
        yield host
    finally:
        host.close()


@pytest.fixture
def host(stopped_host: Host) -> Host:
    """A host with nginx and the hosted API."""
    stopped_host.start()
    return stopped_host


@pytest.fixture(scope="module")
def shared_host(images: None) -> Iterator[Host]:  # noqa: ARG001 - loads the images into the engine
    """A host with nginx and the hosted API for all tests of a module, which use different names of apps."""
    need("nginx", "curl")
    host = Host()
    try:
        host.start_nginx()
        host.start("--answer-within", "5s")
        yield host
        assert "Traceback" not in host.log.read_text()
    finally:
        host.close()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    need("certbot", "pebble", "pebble-challtestsrv", "openssl")
    started = Authority(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def containers() -> list[str]:
    """The containers that exist when the test begins."""
    return list_containers()


def list_containers() -> list[str]:
    ran = subprocess.run(["docker", "ps", "--all", "--quiet"], capture_output=True, text=True, check=True)
    return ran.stdout.split()
