"""The program as the tests of fleets run it."""

from __future__ import annotations

from tests.cli.conftest import here, program

__all__ = ["here", "program"]
