"""What each module states about itself. The directions of imports are contracts in pyproject.toml, which `make lint` checks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "exasol_ci_setup"
MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_module_docstring_states_purpose(module):
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))

    assert docstring
    assert len(docstring.splitlines()[0]) > 20


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


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_function_has_at_most_80_lines(module):
    functions = [
        node
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 80] == []
