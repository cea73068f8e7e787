"""What each module states about itself. The directions of imports are contracts in pyproject.toml, which `make lint` checks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "exasol_ci_setup"


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """All modules of the package by their path in it."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_docstrings_of_modules_state_purpose(modules):
    first_lines = {name: (ast.get_docstring(module) or "").partition("\n")[0] for name, module in modules.items()}

    assert "cli/main.py" in first_lines
    assert [name for name, line in first_lines.items() if len(line) <= 20] == []


def test_contract_covers_every_package():
    # Python 3.10 has none.
    settings = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers, only_cli, _ = settings["tool"]["importlinter"]["contracts"]
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}

    assert {each.strip() for layer in layers["layers"] for each in layer.split("|")} == packages - {"sandbox"}
    assert {each.removeprefix("exasol_ci_setup.") for each in only_cli["source_modules"]} == packages - {
        "cli",
        "sandbox",
    }


def test_top_level_has_at_most_18_packages_and_modules():
    found = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]

    assert len([path for path in found if path.stem not in {"__init__", "__main__"}]) <= 18


def test_functions_have_at_most_80_lines(modules):
    functions = [
        (name, node)
        for name, module in modules.items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert functions
    assert [(name, node.name) for name, node in functions if (node.end_lineno or 0) - node.lineno >= 80] == []
