"""Pieces of GitHub-flavored Markdown. No text of a user can change the structure, become a link, or mention a user.

All such text is code: GitHub ignores mentions, references of issues and formulas in it. See https://github.github.com/gfm/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli.render import show
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Cells of tables split at |, which a backslash escapes, but not after another backslash. Spaces at the ends would be stripped.
_NO_SPAN: Final = re.compile(r"[|]|^ | $|^$")
_MARKUP: Final = re.compile(r"[^\w /,=-]|_", re.ASCII)
# GitHub finds addresses in text after it has decoded entities. A comment ends the text.
_PARTS_OF_LINKS: Final = frozenset("@:.")
INDENT: Final = "  "
_BACKTICKS: Final = re.compile(r"`+")
_OF_HEADINGS: Final = (
    0.5  # largest fraction of the space that headings have, if the details of all sections are too long
)
_LINE, _PART, _SECTION = "more line", "more table", "more section"
_SHORTEST_FENCE: Final = 3
_MOST_NAMES: Final = 5  # names that a line lists


def code(text: str) -> str:
    """Return `text` as code on one line, for paragraphs, headings, lists and cells."""
    line = show.clean(text)
    if _NO_SPAN.search(line):
        return html_code(text)
    ticks, space = "`" * (_longest_backticks(line) + 1), " " * ("`" in {line[0], line[-1]})
    return f"{ticks}{space}{line}{space}{ticks}"


def html_code(text: str) -> str:
    """Return `text` as code on one line, for HTML and Markdown."""
    return f"<code>{_MARKUP.sub(_entity, show.clean(text))}</code>"


def _longest_backticks(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def _entity(match: re.Match[str]) -> str:
    letter = match[0]
    if not letter.isascii():
        return letter
    return f"&#{ord(letter)};" + "<!-- -->" * (letter in _PARTS_OF_LINKS)


def size(text: str) -> int:
    """Return the size of a text in bytes, which is at least the number of its characters."""
    return len(text.encode("utf-8", "backslashreplace"))


@dataclass(frozen=True, slots=True)
class Part:
    """A table, a list or a block of code: `lines` that can be cut, between `head` and `tail`."""

    head: tuple[str, ...]
    lines: tuple[str, ...]
    tail: tuple[str, ...] = ()

    def text(self, limit: int) -> str:
        """Return the part with at most `limit` bytes, empty if not even its first line has space. Says how many lines are missing."""
        whole = self._of(self.lines)
        if size(whole) <= limit:
            return whole
        left = limit - size(self._of(())) - size(_missing(len(self.lines), _LINE))
        kept = 0
        for line in self.lines:
            left -= size(line) + 1
            if left < 0:
                break
            kept += 1
        return f"{self._of(self.lines[:kept])}{_missing(len(self.lines) - kept, _LINE)}" if kept else ""

    def _of(self, lines: Iterable[str]) -> str:
        return "\n".join((*self.head, *lines, *self.tail, "")) + "\n"


def _missing(count: int, noun: str, *, before: str = "") -> str:
    return f"_{before}{counted(count, noun)} not shown: GitHub limits the length of a comment._\n\n" if count else ""


def _title(title: str) -> tuple[str, ...]:
    return (f"**{title}**", "") if title else ()


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Part:
    """Return a table. All cells are Markdown."""
    head = (*_title(title), _row(header), _row(["---"] * len(header)))
    return Part(head, tuple(map(_row, rows)))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def bullets(title: str, items: Iterable[str]) -> Part:
    """Return a list. All items are Markdown; those that begin with INDENT belong to an item before."""
    lines = (f"{INDENT * item.startswith(INDENT)}- {item.removeprefix(INDENT)}" for item in items)
    return Part(_title(title), tuple(lines))


def paragraphs(title: str, lines: Iterable[str]) -> Part:
    """Return lines of text as paragraphs of code, which GitHub wraps, unlike a block of code."""
    return Part(_title(title)[:1], tuple(f"\n{code(line.strip())}" for line in lines if line.strip()))


def fence(text: str, language: str) -> Part:
    """Return a text of several lines as a block of code."""
    lines = tuple(show.clean(line) for line in text.rstrip("\n").split("\n"))
    ticks = "`" * max(_SHORTEST_FENCE, _longest_backticks("\n".join(lines)) + 1)
    return Part((f"{ticks}{language}",), lines, (ticks,))


def listed(names: Sequence[str]) -> str:
    """Return names as code, with commas; of many names the first ones."""
    more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return ", ".join([*map(code, names[:_MOST_NAMES]), *more])


@dataclass(frozen=True, slots=True)
class Section:
    """A heading that is always visible, unless it is empty, and parts that are folded below `summary`.

    The heading is Markdown, the summary HTML.
    """

    heading: str
    summary: str
    parts: tuple[Part, ...]

    @property
    def head(self) -> str:
        """The heading as Markdown; may be empty."""
        return f"### {self.heading}\n\n" if self.heading else ""

    def text(self, limit: int) -> str:
        """Return the section with at most `limit` bytes, or only its heading. Says how many parts are missing."""
        start, end = f"{self.head}<details>\n<summary>{self.summary}</summary>\n\n", "</details>\n\n"
        left = limit - size(start) - size(end)
        if self.parts and sum(size(part.text(limit)) for part in self.parts) > left:
            left -= size(_missing(len(self.parts), _PART))
        texts = []
        for part in self.parts:
            texts.append(part.text(left))
            left -= size(texts[-1])
        if not any(texts):
            return self.head
        return start + "".join(texts) + _missing(texts.count(""), _PART) + end


def fit(top: str, sections: Sequence[Section], limit: int) -> str:
    """Return `top` and the sections with at most `limit` bytes, if `top` is shorter.

    The first sections have details, and the next ones their heading. The last lines say how many others have none.
    """
    whole = top + "".join(each.text(limit) for each in sections)
    if size(whole) <= limit:
        return whole
    left = limit - size(top) - size(_missing(len(sections), _SECTION)) - size(_missing_details(len(sections)))
    shown = list(sections)
    while shown and sum(size(each.head) for each in shown) > left * _OF_HEADINGS:
        shown.pop()
    left -= sum(size(each.head) for each in shown)
    texts = []
    for each in shown:
        left += size(each.head)
        texts.append(each.text(left))
        left -= size(texts[-1])
    without = sum(text == each.head and bool(each.parts) for text, each in zip(texts, shown, strict=True))
    return top + "".join(texts) + _missing_details(without) + _missing(len(sections) - len(shown), _SECTION)


def _missing_details(count: int) -> str:
    return _missing(count, "section", before="details of ")
