"""Graphviz for tests. Without it they are skipped, or fail if it is required."""

from __future__ import annotations

import os
import shutil

import pytest

# Read on import: fixtures remove the variables of this project.
REQUIRED = "graphviz" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")


def require_program() -> None:
    """Skip the test without Graphviz, or fail it if Graphviz is required."""
    if shutil.which("dot") is None:
        reason = "Graphviz's `dot` is not installed"
        if REQUIRED:
            pytest.fail(f"Graphviz is required: {reason}")
        pytest.skip(f"{reason} (apt-get install graphviz)")
