"""The text of `--help`: words with hyphens, such as paths and options, are not broken at the end of a line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

# Click breaks lines after a hyphen, and not after this character.
_UNBROKEN: Final = "\N{NON-BREAKING HYPHEN}"


class HelpFormatter(click.HelpFormatter):
    """Click's formatter, which breaks a word with a hyphen only if it is longer than a line."""

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(_with_whole_words(text, self.width - self.current_indent))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of names and descriptions."""
        found = list(rows)
        names = min(max((len(name) for name, _ in found), default=0), col_max)
        # As in click: two columns remain empty.
        width = self.width - names - col_spacing - 2
        super().write_dl([(name, _with_whole_words(text, width)) for name, text in found], col_max, col_spacing)

    def getvalue(self) -> str:
        """Return the written text."""
        return super().getvalue().replace(_UNBROKEN, "-")


def _with_whole_words(text: str, width: int) -> str:
    def keep(word: re.Match[str]) -> str:
        return word[0].replace("-", _UNBROKEN) if len(word[0]) <= width else word[0]

    return re.sub(r"\S+", keep, text)
