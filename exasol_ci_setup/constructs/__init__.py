"""The constructs: one validated, immutable parameter model for each kind of stack.

Their modules are imported on first use: a command needs few of the models, and the creation of each takes milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from exasol_ci_setup.constructs.space import LoadBalancer, Space
    from exasol_ci_setup.constructs.workspace import Workspace

_MODULES = {
    "Asset": "asset",
    "BuildkitBuilder": "builder",
    "CiBuild": "ci",
    "Cluster": "service",
    "Construct": "base",
    "Container": "service",
    "ContainerBuilder": "builder",
    "Egress": "network",
    "GitHubRepo": "asset",
    "HangarScope": "scope",
    "Ingress": "network",
    "Instance": "compute",
    "LoadBalancer": "space",
    "LocalDirectory": "asset",
    "PortMappings": "service",
    "Registry": "registry",
    "ReleaseBuild": "ci",
    "Scope": "scope",
    "ScopedConstruct": "base",
    "SecurityGroup": "network",
    "Service": "service",
    "SourceCredentials": "source",
    "Space": "space",
    "Workspace": "workspace",
    "build": "base",
}

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
    "LoadBalancer",
    "LocalDirectory",
    "PortMappings",
    "Registry",
    "ReleaseBuild",
    "Scope",
    "ScopedConstruct",
    "SecurityGroup",
    "Service",
    "SourceCredentials",
    "Space",
    "Workspace",
    "build",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
