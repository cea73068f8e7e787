"""Lines that are wrapped for a terminal, and colors that are readable on light and on dark."""

from __future__ import annotations

import re
from io import StringIO

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from exasol_ci_setup.cli import terminal
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.cli.render.fitting import aligned, table, wrapped


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("short", ["short"]),
        ("hint: one two three four five six", ["hint: one two three four", "five six"]),
        ("  + role A may write in bucket B", ["  + role A may write in", "    bucket B"]),
        ("run `exasol-ci-setup diagnose Shop` then", ["run", "`exasol-ci-setup diagnose Shop`", "then"]),
        ("arn:aws:iam::123456789012:role/Shop is in use", ["arn:aws:iam::123456789012:role/Shop", "is in use"]),
        ("Deploy all of the 25 stacks? [y/N]: ", ["Deploy all of the 25", "stacks? [y/N]: "]),
    ],
)
def test_line_breaks_at_spaces_only(line, expected):
    assert wrapped(line, 24) == expected


def test_text_after_label_is_aligned():
    line = "  fix            choose another name, since names of buckets are global"

    assert wrapped(line, 50) == [
        "  fix            choose another name, since names",
        "                 of buckets are global",
    ]


def test_long_word_has_line_of_its_own_below_label():
    line = "- ExecutionRole  AWS::IAM::Role  jobs-workers-ExecutionRole-4CBDEA7A39E10"

    assert wrapped(line, 50) == ["- ExecutionRole  AWS::IAM::Role", "    jobs-workers-ExecutionRole-4CBDEA7A39E10"]


def test_text_beside_wide_label_uses_whole_width():
    line = "ci      SLCSourceCredentials  failed      no access to the secret"

    assert wrapped(line, 50) == ["ci      SLCSourceCredentials  failed      no", "        access to the secret"]


def test_name_is_shortened_before_status_and_time():
    cells = [[Text(each) for each in ("AnExtremelyLongName", "AWS::S3::Bucket", "CREATE_COMPLETE", "3 s")]]
    console = Console(width=40, record=True, file=StringIO())

    console.print(table(cells, [("Name", "denied")], width=40, optional=1, right=3))

    assert [line.rstrip() for line in console.export_text().splitlines()] == [
        "AnExtremelyLongNa…  CREATE_COMPLETE  3 s",
        "  Name: denied",
    ]


def test_styles_have_no_width():
    assert wrapped(click.style("one two", fg="red"), 7) == [click.style("one two", fg="red")]


@given(st.text(st.sampled_from("ab `  "), max_size=60), st.integers(8, 40))
def test_no_word_is_lost_or_broken(text, width):
    assert " ".join(wrapped(text, width)).split() == text.split()


@pytest.mark.parametrize("name", terminal.COLORS)
@pytest.mark.parametrize("page", [0.0, 1.0], ids=["dark", "light"])
def test_color_is_readable_on_light_and_dark(name, page):
    # The formula: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio
    number = terminal.COLORS[name]
    levels = (0, 95, 135, 175, 215, 255)
    gray = 8 + 10 * (number - 232)
    red, green, blue = (gray,) * 3 if number >= 232 else (levels[(number - 16) // each % 6] for each in (36, 6, 1))
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4
        for each in (red / 255, green / 255, blue / 255)
    ]
    light, dark = sorted((0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2], page), reverse=True)

    assert (light + 0.05) / (dark + 0.05) >= 3.9


def test_colors_are_replaced_only_in_terminal_with_256_colors(monkeypatch):
    styled = click.style("x", fg="yellow", bold=True)
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert re.fullmatch(r"\x1b\[38;5;130m\x1b\[1mx\x1b\[0m", terminal.readable(styled))
    monkeypatch.setenv("TERM", "linux")
    assert terminal.readable(styled) == styled


HEADER = ("BATCH", "STATUS", "STARTED (UTC)", "BRANCH")
BATCH = ("ShopCodeBuild:d205d135", "SUCCEEDED", "2026-11-29 15:28", "refs/heads/main of the shop")


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (
            None,
            [
                "BATCH                   STATUS     STARTED (UTC)     BRANCH",
                "ShopCodeBuild:d205d135  SUCCEEDED  2026-11-29 15:28  refs/heads/main of the shop",
            ],
        ),
        (
            64,
            [
                "BATCH",
                "  STATUS     STARTED (UTC)     BRANCH",
                "ShopCodeBuild:d205d135",
                "  SUCCEEDED  2026-11-29 15:28  refs/heads/main of the shop",
            ],
        ),
        (
            50,
            [
                "BATCH",
                "  STATUS     STARTED (UTC)     BRANCH",
                "ShopCodeBuild:d205d135",
                "  SUCCEEDED  2026-11-29 15:28  refs/heads/main of",
                "                               the shop",
            ],
        ),
    ],
)
def test_table_stays_within_terminal(width, expected):
    lines = show.table(HEADER, [BATCH], width=width)

    assert [click.unstyle(line) for line in lines] == expected


def test_widest_cells_of_table_break_first():
    rows = [("log", "writing and listing objects", "per 1,000 requests"), ("bucket", "reading", "per GB")]

    assert aligned(rows, 46) == [
        ["log     writing and         per 1,000 requests", "        listing objects"],
        ["bucket  reading             per GB"],
    ]


@given(st.lists(st.lists(st.text("ab ", max_size=40), min_size=3, max_size=3), min_size=1), st.integers(1, 200))
def test_table_keeps_each_word(rows, width):
    lines = [" ".join(lines) for lines in aligned(rows, width)]

    assert [sorted(line.split()) for line in lines] == [sorted(" ".join(row).split()) for row in rows]
