"""The public names of the library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import exasol_ci_setup
from exasol_ci_setup import constructs

PACKAGES = [exasol_ci_setup, constructs]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_public_names_have_values(package):
    assert {getattr(package, name) for name in package.__all__} >= {package.CiBuild, package.Scope}
    # Programs that were written for another library use this name.
    assert package.HangarScope is package.Scope


def test_platform_names_are_modules():
    for name in ("asset", "registry", "secret", "space", "storage"):
        assert getattr(exasol_ci_setup, name).__name__ == f"exasol_ci_setup.platform.{name}"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_find_same_names(package):
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]

    seen = [str(alias.asname) for node in checking.body if isinstance(node, ast.ImportFrom) for alias in node.names]

    assert sorted(seen) == sorted({*package.__all__} - {"__version__"})


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_dir_lists_public_names(package):
    assert dir(package) == sorted(package.__all__)


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
