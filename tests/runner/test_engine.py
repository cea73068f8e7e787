"""The way to the Docker engine, with a stand-in for `docker`: what an interruption leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Slow, as an engine under load, which goes on with what it was asked for when `docker` is gone. The file `container` is there as
# long as the container is.
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
from exasol_ci_setup.runner.engine import Engine
signal.signal(signal.SIGINT, signal.default_int_handler)
with Engine().container("image", (), privileged=False):
    print("made", flush=True)
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("interruptions", [["creating"], ["removing"], ["creating", "removing"]], ids="+".join)
def test_no_container_is_left_behind_by_an_interruption_while_it_is_made_or_removed(
    interruptions: list[str], here: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", USE],
        cwd=here,
        env={**os.environ, "PATH": f"{here}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for name in interruptions:
        while not (here / name).exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    _, said = process.communicate()

    assert process.returncode != 0
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert (here / "removing").exists()
    while not (here / "created").exists():
        time.sleep(0.01)
    # Whoever was asked to remove it goes on, although the one who asked is gone.
    while (here / "container").exists():
        time.sleep(0.01)
