"""Tests of interruptions of `docker`, with a script in its place: no container may remain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Slow, like an engine under load. It continues a request after `docker` ended. The file `container` exists as long as the
# container does.
DOCKER = """\
#!/bin/sh
case $1 in
    version) echo 28.0 ;;
    create) : >creating; (sleep 1; : >container; : >created) & wait ;;
    rm) : >removing; sleep 0.5; rm -f container ;;
esac
"""
USE = """
import signal
from exasol_ci_setup.builds.runner.engine import Engine
signal.signal(signal.SIGINT, signal.default_int_handler)
with Engine().container("image", (), privileged=False):
    print("created", flush=True)
"""

# As if the signal arrived while the process is started.
INTERRUPT_START = """
import os, signal, subprocess

class Popen(subprocess.Popen):
    def __init__(self, command, **options):
        super().__init__(command, **options)
        if "create" in command:
            os.kill(os.getpid(), signal.SIGINT)

subprocess.Popen = Popen
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("interruptions", [["creating"], ["removing"], ["creating", "removing"]], ids="+".join)
def test_interruption_of_creation_or_removal_leaves_no_container(interruptions: list[str], folder: Path) -> None:
    interrupted_use(USE, interruptions, folder)


def test_interruption_while_process_starts_leaves_no_container(folder: Path) -> None:
    interrupted_use(INTERRUPT_START + USE, [], folder)


def interrupted_use(program: str, interruptions: list[str], folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for name in interruptions:
        while not (folder / name).exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()

    assert process.returncode != 0
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert (folder / "removing").exists()
    while not (folder / "created").exists():
        time.sleep(0.01)
    # The engine continues the removal after `docker` ended.
    while (folder / "container").exists():
        time.sleep(0.01)
