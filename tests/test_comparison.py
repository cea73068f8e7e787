"""Each request in docs/comparison.md has a test, or a reason why it has none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "comparison.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    table = PAGE.read_text(encoding="utf-8").partition("## Requests of users of other tools")[2]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: re.sub(r"[^\w#-]+", " ", row[0])[:60].strip())
def test_every_request_has_existing_test_or_reason(row):
    wish, does, shown = row
    assert "https://github.com/" in wish
    assert does
    found = _TEST.findall(shown)
    assert found or shown.startswith("none: ")
    for file, name in found:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_comparison_has_requests():
    assert len(rows()) >= 20
