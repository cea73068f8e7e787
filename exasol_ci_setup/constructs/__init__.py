"""The constructs: one validated, immutable parameter model for each kind of stack.

Their modules are imported on first use: a command needs few of the models, and the creation of each takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.lazy import lazy_names

if TYPE_CHECKING:
    from exasol_ci_setup.constructs.asset import (
        Asset as Asset,
    )
    from exasol_ci_setup.constructs.asset import (
        GitHubRepo as GitHubRepo,
    )
    from exasol_ci_setup.constructs.asset import (
        LocalDirectory as LocalDirectory,
    )
    from exasol_ci_setup.constructs.base import (
        Construct as Construct,
    )
    from exasol_ci_setup.constructs.base import (
        ScopedConstruct as ScopedConstruct,
    )
    from exasol_ci_setup.constructs.base import (
        build as build,
    )
    from exasol_ci_setup.constructs.builder import (
        BuildkitBuilder as BuildkitBuilder,
    )
    from exasol_ci_setup.constructs.builder import (
        ContainerBuilder as ContainerBuilder,
    )
    from exasol_ci_setup.constructs.ci import CiBuild as CiBuild
    from exasol_ci_setup.constructs.ci import ReleaseBuild as ReleaseBuild
    from exasol_ci_setup.constructs.compute import Instance as Instance
    from exasol_ci_setup.constructs.compute import InstanceVolume as InstanceVolume
    from exasol_ci_setup.constructs.container import Container as Container
    from exasol_ci_setup.constructs.container import ContainerHealthCheck as ContainerHealthCheck
    from exasol_ci_setup.constructs.container import PortMappings as PortMappings
    from exasol_ci_setup.constructs.container import Sidecar as Sidecar
    from exasol_ci_setup.constructs.container import Volume as Volume
    from exasol_ci_setup.constructs.load_balancer import LoadBalancer as LoadBalancer
    from exasol_ci_setup.constructs.network import Egress as Egress
    from exasol_ci_setup.constructs.network import Ingress as Ingress
    from exasol_ci_setup.constructs.network import SecurityGroup as SecurityGroup
    from exasol_ci_setup.constructs.policy import PolicyStatement as PolicyStatement
    from exasol_ci_setup.constructs.registry import Registry as Registry
    from exasol_ci_setup.constructs.routing import HealthCheck as HealthCheck
    from exasol_ci_setup.constructs.routing import Scaling as Scaling
    from exasol_ci_setup.constructs.scope import HangarScope as HangarScope
    from exasol_ci_setup.constructs.scope import Scope as Scope
    from exasol_ci_setup.constructs.service import (
        Cluster as Cluster,
    )
    from exasol_ci_setup.constructs.service import (
        Service as Service,
    )
    from exasol_ci_setup.constructs.source import SourceCredentials as SourceCredentials
    from exasol_ci_setup.constructs.space import Space as Space
    from exasol_ci_setup.constructs.stack import Stack as Stack
    from exasol_ci_setup.constructs.workspace import Workspace as Workspace

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "asset": ("Asset", "GitHubRepo", "LocalDirectory"),
        "base": ("Construct", "ScopedConstruct", "build"),
        "builder": ("BuildkitBuilder", "ContainerBuilder"),
        "ci": ("CiBuild", "ReleaseBuild"),
        "compute": ("Instance", "InstanceVolume"),
        "container": ("Container", "ContainerHealthCheck", "PortMappings", "Sidecar", "Volume"),
        "load_balancer": ("LoadBalancer",),
        "network": ("Egress", "Ingress", "SecurityGroup"),
        "policy": ("PolicyStatement",),
        "registry": ("Registry",),
        "routing": ("HealthCheck", "Scaling"),
        "scope": ("HangarScope", "Scope"),
        "service": ("Cluster", "Service"),
        "source": ("SourceCredentials",),
        "stack": ("Stack",),
        "space": ("Space",),
        "workspace": ("Workspace",),
    },
)
