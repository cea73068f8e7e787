"""Deploy and delete the stacks of a program's constructs: in dependency order, in parallel, each in the account of its scope."""

from __future__ import annotations

from exasol_ci_setup.programs.connections import Connections
from exasol_ci_setup.programs.declared import Declared
from exasol_ci_setup.programs.deployment import Deployment, Planned

__all__ = ["Connections", "Declared", "Deployment", "Planned"]
