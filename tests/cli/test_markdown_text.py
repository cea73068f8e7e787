"""Pieces of Markdown: no text changes their structure, and all of them keep a limit of size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.cli.render import markdown_text as markdown
from exasol_ci_setup.cli.render import show
from tests.github import PARSERS, page

HOSTILE = [
    "a|b",
    "a\\|b",
    "a\\",
    "\\",
    "`",
    "``` |",
    "a ``b`` c",
    "\n\n```\n## heading",
    "~~~",
    "~~gone~~",
    "<script>alert(1)</script>",
    "</code></summary></details><img src=x onerror=alert(1)>",
    "<!--",
    "-->",
    "@octocat",
    "`@octocat`|@org/team",
    "#1 GH-1 owner/name#1",
    "https://evil.example/?a=b&c",
    "`https://evil.example",
    "`www.evil.example",
    "`a.b@evil.example|mailto:a@evil.example",
    "[x](https://evil.example) ![x](y)",
    "`[^1] [x]: y",
    "$a$ $`b`$ $$c$$",
    "&lt;b&gt; &#64;x &amp;",
    "*a* _b_ __c__ `*a*`",
    ":rocket: `:rocket:",
    "\r\n\t\x1b[31m\x00\u2028\u202e",
    " a ",
    " ",
    "---",
    "| --- |",
    "::error::x",
]
parsers = pytest.mark.parametrize("parser", PARSERS)
texts = st.one_of(
    st.sampled_from(HOSTILE),
    # Plans cut values of more than 300 characters, with a note, and show a control character in six.
    st.text(max_size=20),
    st.lists(st.sampled_from([*"`|\\<>@:.$&*_[]()~#- \nab"]), max_size=12).map("".join),
)


def document(first: str, second: str) -> str:
    parts = [
        markdown.table(
            "Table", ("a", "b"), [(markdown.code(first), markdown.code(second)), (markdown.code(second), "")]
        ),
        markdown.bullets("List", [markdown.code(first), f"{markdown.INDENT}{markdown.code(second)} end"]),
        markdown.paragraphs("Text", [f"x{first}", f"x{second}"]),
        markdown.fence(f"{first}\n{second}", "diff"),
    ]
    section = markdown.Section(f"{markdown.code(first)}: one", f"two {markdown.html_code(second)}", tuple(parts))
    return markdown.fit(f"## {markdown.code(first)} three\n\n", [section, section], 10**6)


@parsers
@given(texts, texts)
def test_no_text_changes_structure_or_is_outside_of_code(parser, first, second):
    shown, harmless = page(document(first, second), parser), page(document("x", "x"), parser)

    assert shown.tags == harmless.tags
    assert shown.outside == harmless.outside


@parsers
@given(texts)
def test_every_text_is_shown_as_in_terminal(parser, text):
    cell = markdown.table("", ("a", "b"), [(markdown.code(text), "end")])

    assert page(cell.text(10**6), parser).cells[1] == [show.clean(text), "end"]
    assert page(f"<p>{markdown.html_code(text)}</p>\n\nend", parser).code == [show.clean(text)]
    assert page(markdown.fence(text, "text").text(10**6), parser).code == [
        "\n".join(map(show.clean, text.rstrip("\n").split("\n"))) + "\n"
    ]


def test_plain_text_is_readable_without_rendering():
    assert markdown.code('"https://github.com/o/r" ${A.B}') == '`"https://github.com/o/r" ${A.B}`'


@given(st.lists(st.text(max_size=40), min_size=1, max_size=8), st.integers(0, 600))
def test_part_and_section_keep_limit(lines, limit):
    part = markdown.bullets("Title", map(markdown.code, lines))
    section = markdown.Section("name", "summary", (part, part))

    assert markdown.size(part.text(limit)) <= limit
    assert markdown.size(section.text(limit)) <= max(limit, markdown.size(section.head))


def sections(*lengths):
    parts = [(markdown.bullets("Title", ["x" * 20] * length),) for length in lengths]
    return [markdown.Section(f"stack {number}", "summary", each) for number, each in enumerate(parts)]


@given(st.lists(st.integers(1, 30), max_size=12), st.integers(300, 3000))
def test_document_keeps_limit(lengths, limit):
    assert markdown.size(markdown.fit("## top\n\n", sections(*lengths), limit)) <= limit


def test_document_with_enough_space_is_complete():
    whole = markdown.fit("top\n", sections(1, 2, 3), 10**6)

    assert "not shown" not in whole
    assert markdown.fit("top\n", sections(1, 2, 3), markdown.size(whole)) == whole


def test_long_document_says_what_is_missing():
    cut = markdown.fit("", sections(*[9] * 90), 2000)
    headings, details = cut.count("### "), cut.count("<details>")

    assert 0 < details < headings < 90
    assert f"_details of {headings - details} sections not shown" in cut
    assert f"_{90 - headings} more sections not shown" in cut


def test_cut_part_counts_missing_lines():
    cut = markdown.bullets("Title", ["x" * 10] * 20).text(200)

    assert f"_{20 - cut.count('- x')} more lines not shown" in cut


def test_cut_section_counts_missing_parts():
    parts = tuple(markdown.bullets(name, ["x" * 90]) for name in "abc")

    assert "_2 more tables not shown" in markdown.Section("stack", "summary", parts).text(250)
