"""The flavors of the public repository, as tests use them."""

from __future__ import annotations

from pathlib import Path

FLAVORS = [
    line
    for line in (Path(__file__).parent / "flavors.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
