"""Durations and counts as text."""

from __future__ import annotations

import pytest

from exasol_ci_setup.core.text import counted, duration, nearest, suggestion


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (-3, "0 s"),
    ],
)
def test_elapsed_time_counts_whole_seconds(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (0.34, "0.3 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (185, "3 min 5 s")],
)
def test_exact_duration_is_rounded(seconds, expected):
    assert duration(seconds, exact=True) == expected


def test_count_selects_singular_and_plural():
    assert [counted(n, "stack") for n in (0, 1, 2)] == ["0 stacks", "1 stack", "2 stacks"]


@pytest.mark.parametrize(
    ("name", "expected"), [("Retenton", "Retention"), ("retention", "Retention"), ("kind", "Kind"), ("x", "")]
)
def test_nearest_name_ignores_case(name, expected):
    assert nearest(name, ["Kind", "Retention"]) == expected


def test_suggestion_names_nearest_or_all():
    assert suggestion("kinf", ["Kind"], "kinds: Kind") == "; did you mean Kind?"
    assert suggestion("x", ["Kind"], "kinds: Kind") == "; kinds: Kind"
    assert suggestion("x", ["Kind"]) == ""
