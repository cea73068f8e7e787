"""The steps of docs/containers.md, run in one shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.manager import NOTHING, docker, on_engine

pytestmark = pytest.mark.engine

PAGE = Path(__file__).parents[2] / "docs" / "containers.md"
MARK = "-- next --"


def read_section() -> str:
    found = re.search(r"^## Container manager$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def read_blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}$\n(.*?)^```$", read_section(), re.MULTILINE | re.DOTALL)


def test_steps_of_page_print_documented_output(tmp_path, image):
    (tmp_path / "harpoon.yml").write_text(read_blocks("yaml harpoon.yml")[0])
    container = docker("run", "--detach", image, "ln", "-s", "python3", "/usr/bin/python")
    docker("wait", container)
    docker("commit", container, "python:3")
    docker("rm", container)
    steps: list[tuple[str, list[str]]] = []
    for line in "".join(read_blocks("sh-session")).splitlines():
        if line.startswith("$ "):
            steps.append((line.removeprefix("$ "), []))
        else:
            steps[-1][1].append(line)

    ran = subprocess.run(
        ["bash"],
        input="".join(f"{command}\necho\necho '{MARK}'\n" for command, _ in steps),
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(tmp_path),
            "LC_ALL": "C",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    outputs = ran.stdout.split(f"{MARK}\n")
    for (command, expected), output in zip(steps, outputs, strict=False):
        lines = [line for line in output.splitlines() if line]
        assert len(lines) == len(expected), f"{command}\n{output}"
        for line, wanted in zip(lines, expected, strict=True):
            assert re.fullmatch(re.escape(wanted).replace("…", ".+"), line), f"{command}\n{output}"
    assert on_engine() == NOTHING


def test_cleanup_of_page_removes_leftovers(image):
    label = subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    labels = [
        *("--label", f"exasol-ci-setup.container-manager.process={label}:4711"),
        *("--label", "exasol-ci-setup.container-manager=x"),
    ]
    docker("network", "create", *labels, "left")
    docker("run", "--detach", "--network", "left", *labels, image, "sleep", "1000")

    (removal,) = [block for block in read_blocks("sh") if "4711" in block]
    subprocess.run(["bash", "-ec", removal], check=True, stdout=subprocess.DEVNULL)

    assert on_engine() == NOTHING
