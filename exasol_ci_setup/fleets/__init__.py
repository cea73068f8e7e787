"""Fleets: the build stacks of many projects in many accounts, read from one file into a graph of constructs."""

from __future__ import annotations

from exasol_ci_setup.fleets.accounts import identified, undeclared
from exasol_ci_setup.fleets.fleet import Fleet
from exasol_ci_setup.fleets.outputs import external_outputs
from exasol_ci_setup.fleets.read import load

__all__ = ["Fleet", "external_outputs", "identified", "load", "undeclared"]
