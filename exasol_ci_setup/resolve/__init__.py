"""From the constructs of a program to stacks on AWS, and back: what depends on what, many at once, each in its scope's account."""

from __future__ import annotations

from exasol_ci_setup.resolve.connections import Connections
from exasol_ci_setup.resolve.declared import Declared
from exasol_ci_setup.resolve.deployment import Deployment, Planned, Reporter
from exasol_ci_setup.resolve.verbs import resolve, running_with

__all__ = ["Connections", "Declared", "Deployment", "Planned", "Reporter", "resolve", "running_with"]
