"""Tests with a real Docker engine: `make test-engine` gives them one; without it they are skipped, or fail if it is required."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

IMAGE = "exasol-ci-setup-tests:base"


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
    if reason and "engine" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(","):
        pytest.fail(f"a Docker engine is required: {reason}")
    if reason:
        pytest.skip(f"{reason} (make test-engine)")
    return IMAGE


@pytest.fixture
def containers() -> list[str]:
    """The containers that there are when the test begins."""
    return listed()


def listed() -> list[str]:
    ran = subprocess.run(["docker", "ps", "--all", "--quiet"], capture_output=True, text=True, check=True)
    return ran.stdout.split()
