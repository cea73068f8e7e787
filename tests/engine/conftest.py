"""Tests with a real Docker engine: `make test-engine` gives them one; without it they are skipped, or fail if it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.engine.hosted import Host, make_images

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "exasol-ci-setup-tests:base"

# Asked for before the variables of this project are taken away for the test.
REQUIRED = "engine" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine: needs the Docker engine that tests/engine/with-engine starts")


def _reason_against() -> str:
    """Why the tests cannot run here, or nothing."""
    docker = shutil.which("docker")
    if docker is None:
        return "there is no `docker`"
    asked = subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, text=True, check=False)
    return f"no engine with the image {IMAGE}: {asked.stderr.strip()}" if asked.returncode else ""


@pytest.fixture(scope="session")
def image() -> str:
    """The image for containers; it has busybox, bash and Python, and a `git` and a `docker` that say how they were called."""
    reason = _reason_against()
    if reason and REQUIRED:
        pytest.fail(f"a Docker engine is required: {reason}")
    if reason:
        pytest.skip(f"{reason} (make test-engine)")
    return IMAGE


def need(*programs: str) -> None:
    """Skip the test where a program is missing that it needs, or fail it where the engine's tests are required."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing and REQUIRED:
        pytest.fail(f"required, but not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def images(image: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The images of apps for the hosted API."""
    make_images(image, tmp_path_factory.mktemp("app"))


@pytest.fixture
def stopped_host(images: None) -> Iterator[Host]:  # noqa: ARG001 - they are in the engine
    """A host with nginx, on which the hosted API does not run yet."""
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


@pytest.fixture
def containers() -> list[str]:
    """The containers that there are when the test begins."""
    return listed()


def listed() -> list[str]:
    ran = subprocess.run(["docker", "ps", "--all", "--quiet"], capture_output=True, text=True, check=True)
    return ran.stdout.split()
