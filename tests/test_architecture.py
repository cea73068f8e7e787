"""The page about the architecture names packages, files and make targets that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "exasol_ci_setup"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# The name of a file, or a pattern for several; NAME is a name that the reader chooses.
_FILE = re.compile(r"`([\w/.*-]+\.(?:py|j2))`")


def exists(name: str) -> bool:
    if "/" in name:
        return any(next(folder.glob(name), None) for folder in (PACKAGE, ROOT))
    return any(next((ROOT / folder).rglob(name), None) for folder in (PACKAGE, "templates", "tests"))


def test_named_files_exist():
    names = {name for name in _FILE.findall(TEXT) if "NAME" not in name}

    assert len(names) > 40
    assert [name for name in sorted(names) if not exists(name)] == []


def test_layer_table_equals_contract_of_imports():
    # Python 3.10 has none.
    settings = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = [
        {each.strip() for each in layer.split("|")}
        for layer in settings["tool"]["importlinter"]["contracts"][0]["layers"]
    ]
    rows: dict[str, list[str]] = {}
    for layer, packages in re.findall(r"^\| (\d+|none) \| (.+?) \|", TEXT, flags=re.MULTILINE):
        rows.setdefault(layer, []).extend(re.findall(r"`([\w/]+)`", packages))

    assert rows.pop("none") == ["sandbox"]
    assert list(rows) == [str(number) for number in reversed(range(len(layers)))]
    assert [{name.partition("/")[0] for name in names} for names in rows.values()] == layers
    assert [each for names in rows.values() for each in names if not (PACKAGE / each / "__init__.py").is_file()] == []


def test_root_has_only_known_files():
    files = {each.name for each in ROOT.iterdir() if each.is_file() and not each.name.startswith(".")}

    assert files <= {
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "action.yml",
        "pyproject.toml",
        "release-flow.png",
    }


def test_named_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {word for words in re.findall(r"`make ([a-z -]+)`", TEXT) for word in words.split()}

    assert named
    assert named <= targets
