"""The public library: deploys a repository's containers as running services on AWS.

::

    from exasol_ci_setup import CiBuild, render

    template = render(CiBuild(project="Slc", project_url="https://github.com/exasol/script-languages-release"))
    print(template.body)

Names are imported from their modules on first use, so that importing the package costs nothing.

The commands of the platform are modules: `exasol_ci_setup.space.create(...)`, and likewise `storage`, `asset`, `secret` and
`registry`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from exasol_ci_setup.core.version import __version__
from exasol_ci_setup.core.wiring import set_runtime

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account, connect
    from exasol_ci_setup.constructs import (
        Asset,
        BuildkitBuilder,
        CiBuild,
        Cluster,
        Construct,
        Container,
        ContainerBuilder,
        Egress,
        GitHubRepo,
        HangarScope,
        Ingress,
        Instance,
        LocalDirectory,
        PortMappings,
        Registry,
        ReleaseBuild,
        Scope,
        ScopedConstruct,
        SecurityGroup,
        Service,
        SourceCredentials,
    )
    from exasol_ci_setup.constructs.runtime import Synced
    from exasol_ci_setup.core.errors import SetupError
    from exasol_ci_setup.core.errors.details import Finding
    from exasol_ci_setup.platform import asset, registry, secret, space, storage
    from exasol_ci_setup.programs.actions.build import Build
    from exasol_ci_setup.stacks.deploy import Options, Outcome, Result, deploy
    from exasol_ci_setup.stacks.model import Plan, Request
    from exasol_ci_setup.template.render import Template, render

set_runtime("exasol_ci_setup.programs.runtime")

_PLACES = {
    "Account": "aws.session",
    "Asset": "constructs",
    "Build": "programs.actions.build",
    "BuildkitBuilder": "constructs",
    "CiBuild": "constructs",
    "Cluster": "constructs",
    "Construct": "constructs",
    "Container": "constructs",
    "ContainerBuilder": "constructs",
    "Egress": "constructs",
    "Finding": "core.errors.details",
    "GitHubRepo": "constructs",
    "HangarScope": "constructs",
    "Ingress": "constructs",
    "Instance": "constructs",
    "LocalDirectory": "constructs",
    "Options": "stacks.deploy",
    "Outcome": "stacks.deploy",
    "Plan": "stacks.model",
    "PortMappings": "constructs",
    "Registry": "constructs",
    "ReleaseBuild": "constructs",
    "Request": "stacks.model",
    "Result": "stacks.deploy",
    "Scope": "constructs",
    "ScopedConstruct": "constructs",
    "SecurityGroup": "constructs",
    "Service": "constructs",
    "SetupError": "core.errors",
    "SourceCredentials": "constructs",
    "Synced": "constructs.runtime",
    "Template": "template.render",
    "connect": "aws.session",
    "deploy": "stacks.deploy",
    "render": "template.render",
}

# Modules of `platform` that are exported here.
_NAMESPACES = ("asset", "registry", "secret", "space", "storage")

__all__ = [
    "Account",
    "Asset",
    "Build",
    "BuildkitBuilder",
    "CiBuild",
    "Cluster",
    "Construct",
    "Container",
    "ContainerBuilder",
    "Egress",
    "Finding",
    "GitHubRepo",
    "HangarScope",
    "Ingress",
    "Instance",
    "LocalDirectory",
    "Options",
    "Outcome",
    "Plan",
    "PortMappings",
    "Registry",
    "ReleaseBuild",
    "Request",
    "Result",
    "Scope",
    "ScopedConstruct",
    "SecurityGroup",
    "Service",
    "SetupError",
    "SourceCredentials",
    "Synced",
    "Template",
    "__version__",
    "asset",
    "connect",
    "deploy",
    "registry",
    "render",
    "secret",
    "space",
    "storage",
]


def __getattr__(name: str) -> object:
    if name in _NAMESPACES:
        return import_module(f"{__name__}.platform.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
