"""Compatibility with the program that the container manager replaces: its example, its calls, its script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.manager import NOTHING, docker, on_engine

pytestmark = pytest.mark.engine

CONFIG = """
---

images:
   server:
      context: false

      commands:
         - FROM python:3
         - - ADD
           - dest: /example_file
             content: "hello there"
         - CMD python -m http.server 4545
"""

# The calls replace `bazel test` of the original script. A server answers some time after its container starts.
BAZEL = r"""#!/bin/bash
set -e
start() {
  curl -XPOST $HARPOON_CONTAINER_MANAGER/start_container \
      -HContent-Type:application/json \
      -d '{"image": "server", "ports": [[0, 4545]]}'
}
start >first
start >second
port=$(sed -E 's/.*"4545": ([0-9]+).*/\1/' first)
curl --retry 20 --retry-all-errors --retry-delay 0 http://localhost:$port/example_file >example_file
curl $HARPOON_CONTAINER_MANAGER/version >version
curl -XPOST $HARPOON_CONTAINER_MANAGER/stop_container \
      -HContent-Type:application/json \
      -d '{"image": "server"}' -o stopped -w '%{http_code}' >stop_status
docker ps --all --quiet >after_stop
start >third
exit $BAZEL_STATUS
"""

SCRIPT = """#!/bin/bash

set -e

info=$(mktemp)
cleanup() { rm $info; }
trap cleanup EXIT

# container_manager will exit with an error status if we couldn't start
# The container manager. But because we gave it just a file, it'll run the
# web server in the background and the script will continue
exasol-ci-setup container_manager $info --non-interactive

PORT=$(head -n1 $info)
export HARPOON_CONTAINER_MANAGER="http://localhost:$PORT"

cleanup() {
    if ! rm $info; then
        echo "Failed to remove temporary file at $info"
    fi
    curl "$HARPOON_CONTAINER_MANAGER/shutdown"
}
trap cleanup EXIT

# Run tests
bazel test
"""


@pytest.fixture(scope="module")
def python3(image: str) -> None:
    """Create an image `python:3` that is sufficient for the example."""
    container = docker("run", "--detach", image, "ln", "-s", "python3", "/usr/bin/python")
    docker("wait", container)
    docker("commit", container, "python:3")
    docker("rm", container)


@pytest.fixture
def folder(tmp_path: Path, python3: None) -> Path:  # noqa: ARG001 - creates the image
    (tmp_path / "harpoon.yml").write_text(CONFIG)
    (tmp_path / "bin").mkdir()
    for name, text in (("bazel", BAZEL), ("run-tests", SCRIPT)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "XDG_STATE_HOME": str(folder), "TMPDIR": str(folder / "tmp"), **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_original_script_runs_unchanged(folder):
    ran = run(folder, "bin/run-tests", BAZEL_STATUS="3")

    # The exit code of the tests.
    assert ran.returncode == 3, ran.stderr
    first, second, third = (json.loads((folder / name).read_text()) for name in ("first", "second", "third"))
    assert first["just_created"] is True
    assert second == {**first, "just_created": False}
    assert third["container_id"] != first["container_id"]
    assert (folder / "example_file").read_text() == "hello there"
    assert (folder / "version").read_text().startswith("exasol-ci-setup ")
    assert (folder / "stop_status").read_text() == "204"
    assert (folder / "after_stop").read_text() == ""
    assert on_engine() == NOTHING
    assert list((folder / "tmp").iterdir()) == []
    assert not ran.stdout


def test_original_script_succeeds_if_tests_do(folder):
    (folder / "bin" / "bazel").write_text("#!/bin/sh\n")

    ran = run(folder, "bin/run-tests")

    assert ran.returncode == 0, ran.stderr
    assert on_engine() == NOTHING
    assert list((folder / "tmp").iterdir()) == []


def test_original_script_ends_if_manager_cannot_start(folder):
    (folder / "harpoon.yml").write_text("images: {server: {}}")

    ran = run(folder, "bin/run-tests")

    assert ran.returncode == 2
    assert ran.stderr.startswith("error: harpoon.yml: images.server.commands: it is required\n")
    assert list((folder / "tmp").iterdir()) == []
    assert not (folder / "first").exists()


CALLS = r"""
set -e
curl -s -XPOST http://localhost:4545/start_container \
      -HContent-Type:application/json \
      -d '{"image": "server", "ports": [[0, 4545]]}'
echo
curl -s -XPOST http://localhost:4545/stop_container \
      -HContent-Type:application/json \
      -d '{"image": "server"}'
curl -s http://localhost:4545/version
echo
curl -s http://localhost:4545/shutdown
"""


def test_original_calls_work_on_default_port(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "exasol_ci_setup", "container_manager"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "runs at http://127.0.0.1:4545" not in (line := process.stderr.readline()):
        assert line, "the manager ended"

    ran = run(folder, "bash", "-c", CALLS)
    _, rest = process.communicate()

    assert ran.returncode == 0, ran.stderr
    started, version = ran.stdout.splitlines()
    assert json.loads(started)["just_created"] is True
    assert version.startswith("exasol-ci-setup ")
    assert process.returncode == 0, rest
    assert on_engine() == NOTHING
