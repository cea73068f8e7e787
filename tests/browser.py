"""Chromium for tests. Without it they are skipped, or fail if it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Read on import: fixtures remove the variables of this project.
REQUIRED: Final = "chromium" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")
_LIMIT: Final = 120.0  # seconds
# Without network and services of its own. Root needs --no-sandbox, which is Chromium's own sandbox.
_OPTIONS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def require_program() -> str:
    """Return the program. Skip the test without Chromium, or fail it if Chromium is required."""
    found = shutil.which("chromium")
    if found is None:
        if REQUIRED:
            pytest.fail("Chromium is required, and not installed")
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    return found


def pictured(page: Path, target: Path, *options: str) -> bytes:
    """Open a page, and return a picture of it as PNG."""
    opened(page, f"--screenshot={target}", *options, height=2000)
    return target.read_bytes()


def opened(page: Path, *options: str, width: int = 1000, height: int = 800) -> str:
    """Open a page with further options of Chromium, and return what the browser writes to stdout."""
    profile = page.parent / "profile"
    size = f"--window-size={width},{height}"
    command = [require_program(), *_OPTIONS, f"--user-data-dir={profile}", size, *options, page.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_LIMIT)
    return ran.stdout
