"""What can be deployed: one validated, immutable parameter model for each kind of stack."""

from __future__ import annotations

from exasol_ci_setup.constructs.asset import Asset, GitHubRepo, LocalDirectory
from exasol_ci_setup.constructs.base import Construct, ScopedConstruct, build
from exasol_ci_setup.constructs.builder import BuildkitBuilder, ContainerBuilder
from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.constructs.compute import Instance
from exasol_ci_setup.constructs.network import Egress, Ingress, SecurityGroup
from exasol_ci_setup.constructs.registry import Registry
from exasol_ci_setup.constructs.scope import HangarScope, Scope
from exasol_ci_setup.constructs.service import Cluster, Container, PortMappings, Service
from exasol_ci_setup.constructs.source import SourceCredentials

__all__ = [
    "Asset",
    "BuildkitBuilder",
    "CiBuild",
    "Cluster",
    "Construct",
    "Container",
    "ContainerBuilder",
    "Egress",
    "GitHubRepo",
    "HangarScope",
    "Ingress",
    "Instance",
    "LocalDirectory",
    "PortMappings",
    "Registry",
    "ReleaseBuild",
    "Scope",
    "ScopedConstruct",
    "SecurityGroup",
    "Service",
    "SourceCredentials",
    "build",
]
