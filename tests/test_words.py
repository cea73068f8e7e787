"""The words of the glossary: each term has a plain replacement."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORDS = {
    "mend": "fix",
    "anew": "again",
    "whoever": "the caller, the client",
    "in vain": "failed, without effect",
    "for ever": "without limit",
    "else than": "other than",
    "looks on": "follows",
    "goes on with": "continues",
    "hears of": "is notified of",
    "take back": "delete, revert",
    "taken back": "deleted, reverted",
    "behaviour": "behavior",
    "colour": "color",
    "under way": "in progress",
}
FILES = sorted(path for path in (ROOT / "exasol_ci_setup").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_uses_words_of_glossary(path):
    text = path.read_text(encoding="utf-8").replace("_", " ")
    found = [word for word in WORDS if re.search(rf"\b{word}\b", text, re.IGNORECASE)]

    assert found == [], {word: f"write: {WORDS[word]}" for word in found}
