"""What can be deployed: one validated, immutable parameter model for each kind of stack."""

from __future__ import annotations

from exasol_ci_setup.constructs.base import Construct, ScopedConstruct, build
from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.constructs.scope import HangarScope, Scope
from exasol_ci_setup.constructs.source import SourceCredentials

__all__ = [
    "CiBuild",
    "Construct",
    "HangarScope",
    "ReleaseBuild",
    "Scope",
    "ScopedConstruct",
    "SourceCredentials",
    "build",
]
