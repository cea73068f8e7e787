"""Markdown as GitHub renders it: elements, text inside of code, and text outside of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import cmarkgfm
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Callable

# GitHub ignores mentions, references and formulas inside of these.
_CODE = {"code", "pre"}


@dataclass
class Page(HTMLParser):
    """What a page shows. `tags` are all elements in their order, `code` the text of each element of code."""

    tags: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    outside: str = ""
    cells: list[list[str]] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(f"{tag}{''.join(f' {name}={value}' for name, value in attrs)}")
        self._open.append(tag)
        if tag == "code":
            self.code.append("")
        elif tag == "tr":
            self.cells.append([])
        elif tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if _CODE & set(self._open):
            self.code[-1] += data
        else:
            self.outside += data
        if {"td", "th"} & set(self._open):
            self.cells[-1][-1] += data


def _markdown_it(text: str) -> str:
    return str(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


def _cmark_gfm(text: str) -> str:
    # GitHub's own parser.
    html: str = cmarkgfm.github_flavored_markdown_to_html(text, options=cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE)
    return html


PARSERS: dict[str, Callable[[str], str]] = {"markdown-it": _markdown_it, "cmark-gfm": _cmark_gfm}


def page(text: str, parser: str = "markdown-it") -> Page:
    """Return what GitHub shows for a Markdown text."""
    shown = Page()
    shown.feed(PARSERS[parser](text))
    shown.close()
    return shown
