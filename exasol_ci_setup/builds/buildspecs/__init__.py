"""Generate buildspec files from the flavors of a repository: the builds of a batch and the commands of each build."""

from __future__ import annotations

from exasol_ci_setup.builds.buildspecs.files import GeneratedFile, compare, from_root, write
from exasol_ci_setup.builds.buildspecs.flavors import BuildGroup, build_groups, find_flavors, identifier
from exasol_ci_setup.builds.buildspecs.output import BATCH_FILE, BUILD_FILE
from exasol_ci_setup.builds.buildspecs.package import PACKAGE, VERSIONS, excluding_file
from exasol_ci_setup.builds.buildspecs.render import (
    DEFAULT_PYTHON_VERSION,
    Options,
    render,
)
from exasol_ci_setup.core.build_settings import DEFAULT_DOCKER_SECRET

__all__ = [
    "BATCH_FILE",
    "BUILD_FILE",
    "DEFAULT_DOCKER_SECRET",
    "DEFAULT_PYTHON_VERSION",
    "PACKAGE",
    "VERSIONS",
    "BuildGroup",
    "GeneratedFile",
    "Options",
    "build_groups",
    "compare",
    "excluding_file",
    "find_flavors",
    "from_root",
    "identifier",
    "render",
    "write",
]
