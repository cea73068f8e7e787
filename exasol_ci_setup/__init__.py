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

from typing import TYPE_CHECKING

from exasol_ci_setup.core.lazy import lazy_names
from exasol_ci_setup.core.version import __version__
from exasol_ci_setup.core.wiring import set_runtime

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context as Context
    from exasol_ci_setup.aws.session import Account as Account
    from exasol_ci_setup.aws.session import connect as connect
    from exasol_ci_setup.builds.logs import LogLine as LogLine
    from exasol_ci_setup.builds.model import Batch as Batch
    from exasol_ci_setup.constructs import Asset as Asset
    from exasol_ci_setup.constructs import BuildkitBuilder as BuildkitBuilder
    from exasol_ci_setup.constructs import CiBuild as CiBuild
    from exasol_ci_setup.constructs import Cluster as Cluster
    from exasol_ci_setup.constructs import Construct as Construct
    from exasol_ci_setup.constructs import Container as Container
    from exasol_ci_setup.constructs import ContainerBuilder as ContainerBuilder
    from exasol_ci_setup.constructs import ContainerHealthCheck as ContainerHealthCheck
    from exasol_ci_setup.constructs import Egress as Egress
    from exasol_ci_setup.constructs import GitHubRepo as GitHubRepo
    from exasol_ci_setup.constructs import HangarScope as HangarScope
    from exasol_ci_setup.constructs import HealthCheck as HealthCheck
    from exasol_ci_setup.constructs import Ingress as Ingress
    from exasol_ci_setup.constructs import Instance as Instance
    from exasol_ci_setup.constructs import InstanceVolume as InstanceVolume
    from exasol_ci_setup.constructs import LoadBalancer as LoadBalancer
    from exasol_ci_setup.constructs import LocalDirectory as LocalDirectory
    from exasol_ci_setup.constructs import PolicyStatement as PolicyStatement
    from exasol_ci_setup.constructs import PortMappings as PortMappings
    from exasol_ci_setup.constructs import Registry as Registry
    from exasol_ci_setup.constructs import ReleaseBuild as ReleaseBuild
    from exasol_ci_setup.constructs import Scaling as Scaling
    from exasol_ci_setup.constructs import Scope as Scope
    from exasol_ci_setup.constructs import ScopedConstruct as ScopedConstruct
    from exasol_ci_setup.constructs import SecurityGroup as SecurityGroup
    from exasol_ci_setup.constructs import Service as Service
    from exasol_ci_setup.constructs import Sidecar as Sidecar
    from exasol_ci_setup.constructs import SourceCredentials as SourceCredentials
    from exasol_ci_setup.constructs import Space as Space
    from exasol_ci_setup.constructs import Stack as Stack
    from exasol_ci_setup.constructs import Volume as Volume
    from exasol_ci_setup.constructs import Workspace as Workspace
    from exasol_ci_setup.constructs.runtime import CommandResult as CommandResult
    from exasol_ci_setup.constructs.runtime import OpenPlan as OpenPlan
    from exasol_ci_setup.constructs.runtime import Synced as Synced
    from exasol_ci_setup.core import errors as errors
    from exasol_ci_setup.core.costs import Cost as Cost
    from exasol_ci_setup.core.errors import SetupError as SetupError
    from exasol_ci_setup.core.errors.details import Diagnosis as Diagnosis
    from exasol_ci_setup.core.errors.details import Finding as Finding
    from exasol_ci_setup.core.reporter import NullReporter as NullReporter
    from exasol_ci_setup.core.reporter import Reporter as Reporter
    from exasol_ci_setup.core.stacks import Broadening as Broadening
    from exasol_ci_setup.core.stacks import Change as Change
    from exasol_ci_setup.core.stacks import Drift as Drift
    from exasol_ci_setup.core.stacks import Event as Event
    from exasol_ci_setup.core.stacks import Options as Options
    from exasol_ci_setup.core.stacks import Outcome as Outcome
    from exasol_ci_setup.core.stacks import Plan as Plan
    from exasol_ci_setup.core.stacks import Result as Result
    from exasol_ci_setup.core.stacks import StackSettings as StackSettings
    from exasol_ci_setup.platform import asset as asset
    from exasol_ci_setup.platform import registry as registry
    from exasol_ci_setup.platform import secret as secret
    from exasol_ci_setup.platform import space as space
    from exasol_ci_setup.platform import storage as storage
    from exasol_ci_setup.programs.actions.build import Build as Build
    from exasol_ci_setup.stacks.batches import follow_batch as follow_batch
    from exasol_ci_setup.stacks.batches import list_batches as list_batches
    from exasol_ci_setup.stacks.batches import read_log as read_log
    from exasol_ci_setup.stacks.batches import start_ci_build as start_ci_build
    from exasol_ci_setup.stacks.deploy import deploy as deploy
    from exasol_ci_setup.stacks.request import Request as Request
    from exasol_ci_setup.stacks.request import request_of as request_of
    from exasol_ci_setup.template.context import default_context as default_context
    from exasol_ci_setup.template.lint import Linter as Linter
    from exasol_ci_setup.template.render import Template as Template
    from exasol_ci_setup.template.render import render as render

set_runtime("exasol_ci_setup.programs.runtime")

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "aws.context": ("Context",),
        "aws.session": ("Account", "connect"),
        "builds.logs": ("LogLine",),
        "builds.model": ("Batch",),
        "constructs": (
            "Asset",
            "BuildkitBuilder",
            "CiBuild",
            "Cluster",
            "Construct",
            "Container",
            "ContainerBuilder",
            "ContainerHealthCheck",
            "Egress",
            "GitHubRepo",
            "HangarScope",
            "HealthCheck",
            "Ingress",
            "Instance",
            "InstanceVolume",
            "LoadBalancer",
            "LocalDirectory",
            "PolicyStatement",
            "PortMappings",
            "Registry",
            "ReleaseBuild",
            "Scaling",
            "Scope",
            "ScopedConstruct",
            "SecurityGroup",
            "Service",
            "Sidecar",
            "SourceCredentials",
            "Space",
            "Stack",
            "Volume",
            "Workspace",
        ),
        "constructs.runtime": ("CommandResult", "OpenPlan", "Synced"),
        "core": ("errors",),
        "core.costs": ("Cost",),
        "core.errors": ("SetupError",),
        "core.errors.details": ("Diagnosis", "Finding"),
        "core.reporter": ("NullReporter", "Reporter"),
        "core.stacks": (
            "Broadening",
            "Change",
            "Drift",
            "Event",
            "Options",
            "Outcome",
            "Plan",
            "Result",
            "StackSettings",
        ),
        "platform": ("asset", "registry", "secret", "space", "storage"),
        "programs.actions.build": ("Build",),
        "stacks.batches": ("follow_batch", "list_batches", "read_log", "start_ci_build"),
        "stacks.deploy": ("deploy",),
        "stacks.request": ("Request", "request_of"),
        "template.context": ("default_context",),
        "template.lint": ("Linter",),
        "template.render": ("Template", "render"),
    },
)
__all__ += ["__version__"]
