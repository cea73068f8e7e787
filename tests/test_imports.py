"""The one direction in which rooms import each other, as docs/architecture.md tells it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "exasol_ci_setup"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What a room may import of the others; it may always import itself, `errors`, `clock`, `commands`, `origin`, `version` and `whole_file`.
BASE = {"errors", "clock", "commands", "origin", "tags", "version", "whole_file"}
ALLOWED = {
    "errors": set(),
    "clock": set(),
    "commands": set(),
    "origin": set(),
    "version": set(),
    "tags": set(),
    "whole_file": set(),
    "policies": {"stacks"},
    "constructs": set(),
    "actions": {"aws", "builds", "constructs", "fetch", "github", "resolve", "ssh"},
    "templates": {"constructs", "template_yaml"},
    "template_yaml": set(),
    "lint": {"lint_cache", "templates"},
    "lint_cache": set(),
    "aws": {"aws_errors", "aws_retries"},
    "aws_retries": {"aws_errors"},
    # Only for the names of profiles, when one is not there.
    "aws_errors": {"aws", "aws_configuration"},
    "aws_configuration": set(),
    "secretsmanager": {"aws"},
    "network": {"aws", "constructs"},
    "review": {"policies", "stacks", "templates"},
    "stacks": {"aws", "templates", "constructs", "review", "policies"},
    "costs": {"aws", "stacks"},
    "once": set(),
    "pace": {"aws_errors"},
    # Only when a construct has refused its arguments.
    "program": {"constructs"},
    "roles": {"aws", "aws_retries"},
    # An image that a service runs is a part of what is deployed, so it is made by the deployment.
    "resolve": {
        "actions",
        "aws",
        "roles",
        "once",
        "pace",
        "network",
        "stacks",
        "templates",
        "constructs",
        "lint",
        "review",
    },
    "fleets": {"aws", "constructs", "resolve", "stacks", "templates"},
    "ssh": {"constructs"},
    "health": {"aws", "constructs", "templates", "lint", "secretsmanager"},
    "config": set(),
    "buildspecs": {"templates", "constructs", "config"},
    "fetch": set(),
    "github": {"fetch"},
    "builds": {"aws", "stacks", "secretsmanager", "config", "github"},
    "runner": {"builds", "buildspecs"},
    "pictures": {"stacks"},
    "platform": {
        "aws",
        "constructs",
        "network",
        "resolve",
        "review",
        "roles",
        "stacks",
        "templates",
        "secretsmanager",
        "workflows",
    },
    "workflows": {"templates", "constructs", "buildspecs"},
    "sandbox": set(),
    "containers": {"actions", "templates"},
}


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> set[str]:
    """The rooms that a module imports when it runs; what only a type checker sees does not count."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = node.module.removeprefix("exasol_ci_setup")
            names = [f"exasol_ci_setup.{alias.name}" for alias in node.names] if not inside else [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("exasol_ci_setup.")}
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_imports_only_the_rooms_below_its_own(module):
    own = room(module)
    used = imports(module) - BASE - {own}

    if own in {"cli", "__main__"}:
        return
    assert "cli" not in used
    if own != "__init__":
        assert "sandbox" not in used
        assert used <= ALLOWED[own], f"{own} imports {sorted(used - ALLOWED[own])}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_says_what_it_is_for_and_fits_on_a_few_screens(module):
    text = module.read_text(encoding="utf-8")
    says = ast.get_docstring(ast.parse(text))

    assert says
    assert len(says.splitlines()[0]) > 20
    assert text.count("\n") <= 400
