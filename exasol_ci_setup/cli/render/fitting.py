"""Fit text into the width of a terminal: wrapped lines, and tables whose reasons are lines below them."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Group
    from rich.text import Text

GAP: Final = 2
"""Columns between two cells."""

_LEAST: Final = 30  # columns of wrapped text beside its label
_LEAST_CELL: Final = 16  # columns of a wrapped cell, enough for a date with its time
_SHORTEST_NAME: Final = 8
# A command in backquotes stays in one piece, so that it can be copied.
_WORD: Final = re.compile(r"(\s*)([^\s`]*`[^`]*`\S*|\S+)")


def wrapped(line: str, width: int) -> list[str]:
    """Return a line, which may have styles of click, as lines of at most `width` characters, broken at spaces.

    Further lines are indented to the text after a label. A word or a command in backquotes that is longer than the width is not broken.
    """
    if _length(line) <= width:
        return [line]
    indent = " " * _indent(click.unstyle(line), width)
    lines, current = [], ""
    for gap, word in _WORD.findall(line):
        if current.strip() and _length(current) + len(gap) + _length(word) > width:
            lines.append(current.rstrip())
            current = indent + word
        else:
            current += gap + word
    # The space after a question.
    return [*lines, current + line[len(line.rstrip()) :]]


def _length(text: str) -> int:
    return len(click.unstyle(text))


def _indent(line: str, width: int) -> int:
    """Return the indentation of further lines: that of the text after a label or in the last column, if it is wide enough for each word."""
    lead = len(line) - len(line.lstrip())
    ends = [found.end() for found in re.finditer(r"(?<=\S) {2,}(?=\S)", line)]
    if not ends:
        return lead + 2 if lead else 0
    least = lead + 2 * GAP
    # A word that is too long for the least indentation is not broken either way.
    longest = max((len(word) for _, word in _WORD.findall(line[ends[-1] :]) if len(word) <= width - least), default=0)
    needed = max(_LEAST, longest)
    return next((end for end in reversed(ends) if width - end >= needed and end < width // 2), least)


def aligned(rows: Sequence[Sequence[str]], width: int | None) -> list[list[str]]:
    """Return the lines of each row, with aligned columns.

    If they are wider than the terminal, cells are broken at spaces. If that is not enough, the first column, such as an ID to copy, is on
    a line of its own. A word is never broken. All rows have the same number of cells.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is None or len(widths) == 1 or _total(widths) <= width:
        return [_cells(row, widths) for row in rows]
    narrow = _narrowed(rows, widths, width, last=_LEAST)
    if _total(narrow) <= width:
        return [_cells(row, narrow) for row in rows]
    rest = [row[1:] for row in rows]
    narrow = _narrowed(rest, widths[1:], width - GAP, last=_LEAST_CELL)
    return [
        [first[0], *(f"{' ' * GAP}{line}" for line in _cells(row, narrow))]
        for first, row in zip(rows, rest, strict=True)
    ]


def _narrowed(rows: Sequence[Sequence[str]], widths: Sequence[int], width: int, *, last: int) -> list[int]:
    """Return the widths of columns whose cells are broken at spaces, the widest ones first, even if that is not enough.

    A word in the last column may exceed its `last` columns: the terminal continues it on the next line, so that it can be copied.
    """
    longest = [
        max(len(word) for cell in column for word in (cell.split() or [""])) for column in zip(*rows, strict=True)
    ]
    longest[-1] = min(longest[-1], last)
    least = [min(each, max(word, _LEAST_CELL)) for each, word in zip(widths, longest, strict=True)]
    narrow = list(widths)
    for _ in range(min(_total(widths) - width, sum(widths) - sum(least))):
        widest = max((each for each in range(len(narrow)) if narrow[each] > least[each]), key=narrow.__getitem__)
        narrow[widest] -= 1
    return narrow


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    parts = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    gap = " " * GAP
    return [
        gap.join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip_longest(*parts, fillvalue="")
    ]


def table(
    rows: Sequence[Sequence[Text]],
    reasons: Iterable[tuple[str, str]],
    *,
    width: int | None,
    optional: int | None = None,
    right: int | None = None,
) -> Group:
    """Return a table, and below it a line over the whole width for each reason with its name.

    The column `optional` is omitted if the table is wider than the terminal; the first column is then shortened. The column `right`
    is aligned to the right. All rows have the same number of cells.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    columns = list(zip(*rows, strict=True))
    widths = [max(cell.cell_len for cell in column) for column in columns]
    shown = list(range(len(columns)))
    if width is not None and optional is not None and _total(widths) > width:
        shown.remove(optional)
    if width is not None and (excess := _total([widths[each] for each in shown]) - width) > 0:
        for cell in columns[0]:
            cell.truncate(max(widths[0] - excess, _SHORTEST_NAME), overflow="ellipsis")
    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, GAP, 0, 0))
    for each in shown:
        drawn.add_column(no_wrap=True, overflow="ellipsis", justify="right" if each == right else "left")
    for row in rows:
        drawn.add_row(*(row[each] for each in shown))
    lines = [Text(f"{name}: ").append(reason, style="red") for name, reason in reasons if reason]
    return Group(drawn, *(Padding(line, (0, 0, 0, GAP)) for line in lines))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
