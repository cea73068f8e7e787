"""The commands that messages name exist, with the options that they have there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import exasol_ci_setup
from exasol_ci_setup.cli.main import PROGRAM
from tests import hints

PACKAGE = Path(exasol_ci_setup.__file__).parent
_UNKNOWN = "\ufffc"


def texts(tree: ast.AST) -> list[str]:
    """Return the texts in a module; expressions in them become a character that no command has."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append(
                "".join(str(part.value) if isinstance(part, ast.Constant) else _UNKNOWN for part in node.values)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def commands() -> list[str]:
    """Return the commands of this program in backquotes in all messages, without those whose name is an expression."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            found.update(re.findall(rf"`({PROGRAM} [^`]+)`", text))
    return sorted(each for each in found if _UNKNOWN not in each.split()[1])


def test_commands_in_messages_exist_with_their_options():
    found = commands()

    assert len(found) > 50
    assert [problem for line in found for problem in hints.command_problems(line.replace(_UNKNOWN, "x"))] == []


def test_unknown_options_and_commands_in_hints_are_found():
    for hint in (
        "add --nosuch",
        f"run `{PROGRAM} nosuch`",
        f"run `{PROGRAM} delete x --nosuch`",
        f"run `{PROGRAM} list 'x`",
    ):
        assert hints.problems(["delete-fleet", "f.yaml"], f"error: x\n\nhint: {hint}\n")
    for hint in ("add --empty", f"run `{PROGRAM} deploy-fleet f.yaml --prune`", "run its deploy command with --tag"):
        assert hints.problems(["delete-fleet", "f.yaml"], f"error: x\n\nhint: {hint}\n") == []
