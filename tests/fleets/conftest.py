"""The program as the tests of fleets run it."""

from __future__ import annotations

from tests.cli.conftest import begin, here, program

__all__ = ["begin", "here", "program"]
