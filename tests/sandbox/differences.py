"""The tables of docs/sandbox.md that list differences from AWS, and the tests of their rows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


class Differences:
    """The differences in the section of the page with this heading."""

    def __init__(self, heading: str) -> None:
        self._heading = heading
        self.tested: set[str] = set()

    def test(self, on_aws: str) -> Callable[[Any], Any]:
        """Mark the test of a row, by its first column. The test fails when the difference disappears."""
        self.tested.add(on_aws)
        return lambda test: test

    def documented(self) -> set[str]:
        """Return the first column of the table."""
        section = PAGE.read_text(encoding="utf-8").partition(f"\n{self._heading}\n")[2]
        section = re.split(r"^#{2,3} ", section, maxsplit=1, flags=re.MULTILINE)[0]
        table = section.partition("| on AWS |")[2]
        return {each.strip() for each in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)}
