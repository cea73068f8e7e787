"""The predecessor, installed from an index in an environment of its own. Without it tests are skipped, or fail if it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

REQUIREMENT: Final = "exasol-script-languages-container-ci-setup==1.8.0"
_MODULE: Final = "exasol_script_languages_container_ci_setup.main"
# Read on import: fixtures remove the variables of this project.
_REQUIRED: Final = "predecessor" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")
# About eighty packages.
_INSTALL_SECONDS: Final = 900


def program(cache: pytest.Cache) -> list[str]:
    """Return the start of the predecessor's commands. It is installed once, and kept below pytest's cache."""
    version = ".".join(map(str, sys.version_info[:2]))
    folder = Path(str(cache.mkdir("predecessor"))) / f"{REQUIREMENT.partition('==')[2]}-python{version}"
    if not folder.is_dir():
        _install(folder)
    return [str(folder / "bin" / "python"), "-m", _MODULE]


def _install(folder: Path) -> None:
    # Renamed when complete, so that an interrupted or concurrent installation is not used.
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}")
    pip = [str(temporary / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", temporary], check=True, capture_output=True, text=True)
        subprocess.run(
            [*pip, "install", "--quiet", "--no-compile", REQUIREMENT],
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        lines = str(error.stderr or error).strip().splitlines()
        reason = f"{REQUIREMENT} cannot be installed: {lines[-1] if lines else error}"
        if _REQUIRED:
            pytest.fail(f"the predecessor is required: {reason}")
        pytest.skip(reason)
    if folder.is_dir():
        shutil.rmtree(temporary)
    else:
        temporary.rename(folder)
