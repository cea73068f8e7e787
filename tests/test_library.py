"""The public names of the library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import exasol_ci_setup

PUBLIC = [
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
    "asset",
    "connect",
    "deploy",
    "registry",
    "render",
    "secret",
    "space",
    "storage",
]
# Modules with verbs.
NAMESPACES = {"asset", "registry", "secret", "space", "storage"}


def test_public_names_are_listed_and_exist():
    assert sorted(exasol_ci_setup.__all__) == sorted(["__version__", *PUBLIC])
    for name in PUBLIC:
        if name in NAMESPACES:
            assert getattr(exasol_ci_setup, name).__name__ == f"exasol_ci_setup.platform.{name}"
            continue
        # Programs that were written for another library call it so.
        assert getattr(exasol_ci_setup, name).__name__ == {"HangarScope": "Scope"}.get(name, name)


def test_type_checkers_find_same_names():
    tree = ast.parse(Path(exasol_ci_setup.__file__).read_text(encoding="utf-8"))
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]

    seen = [alias.name for node in checking.body if isinstance(node, ast.ImportFrom) for alias in node.names]

    assert sorted(seen) == PUBLIC


def test_unknown_name_is_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = exasol_ci_setup.nothing


def test_package_imports_no_heavy_module():
    check = (
        "import sys, exasol_ci_setup; print([m for m in ('boto3', 'pydantic', 'click', 'jinja2') if m in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def test_docstring_example_runs():
    code = exasol_ci_setup.__doc__.split("::\n", 1)[1].split("\n\nNames", 1)[0]
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(line.removeprefix("    ") for line in code.splitlines())],
        capture_output=True,
        text=True,
        check=True,
    )

    assert 'Name: "SlcCodeBuild"' in ran.stdout
