"""Gantt chart of an operation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from exasol_ci_setup.pictures.timeline import duration, html, picture, text, timeline
from exasol_ci_setup.stacks.model import Event

BEGIN = datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)
ID = "arn:aws:cloudformation:eu-central-1:123456789012:stack/Shop/1"
# Bucket and Role start in parallel; Project needs both; Policy needs only Bucket.
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Role": {"Type": "AWS::IAM::Role"},
        "Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Bucket"}}},
        "Project": {"Type": "AWS::CodeBuild::Project", "DependsOn": ["Bucket", "Role"]},
    }
}


def event(seconds, name, status, reason=""):
    whole = name == "Shop"
    return Event(
        id=f"{seconds}-{name}-{status}",
        stack_id=ID,
        stack_name="Shop",
        logical_id=name,
        physical_id=ID if whole else name.lower(),
        type="AWS::CloudFormation::Stack" if whole else TEMPLATE["Resources"][name]["Type"],
        status=status,
        reason=reason,
        at=BEGIN + timedelta(seconds=seconds),
    )


CREATION = [
    event(0, "Shop", "CREATE_IN_PROGRESS"),
    event(1, "Bucket", "CREATE_IN_PROGRESS"),
    event(1, "Role", "CREATE_IN_PROGRESS"),
    event(2, "Role", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
    event(5, "Bucket", "CREATE_COMPLETE"),
    event(5, "Policy", "CREATE_IN_PROGRESS"),
    event(9, "Policy", "CREATE_COMPLETE"),
    event(20, "Role", "CREATE_COMPLETE"),
    event(21, "Project", "CREATE_IN_PROGRESS"),
    event(30, "Project", "CREATE_COMPLETE"),
    event(31, "Shop", "CREATE_COMPLETE"),
]
FAILURE = [
    *CREATION[:9],
    event(25, "Project", "CREATE_FAILED", "no access to GitHub"),
    event(25, "Shop", "ROLLBACK_IN_PROGRESS"),
    event(26, "Role", "DELETE_IN_PROGRESS"),
    event(28, "Role", "DELETE_COMPLETE"),
    event(29, "Shop", "ROLLBACK_COMPLETE"),
]


def test_resource_has_bar_from_first_to_last_event():
    shown = timeline(CREATION, TEMPLATE)

    assert [(bar.logical_id, bar.begin, bar.end) for bar in shown.bars] == [
        ("Bucket", 1, 5),
        ("Role", 1, 20),
        ("Policy", 5, 9),
        ("Project", 21, 30),
    ]
    assert (shown.stack_name, shown.status, shown.duration) == ("Shop", "CREATE_COMPLETE", 31)


def test_critical_path_ends_with_last_bar():
    shown = timeline(CREATION, TEMPLATE)

    assert [bar.logical_id for bar in shown.bars if bar.is_critical] == ["Role", "Project"]


def test_critical_path_of_equal_times_follows_order():
    done = [
        event(0, name, status)
        for name in ("Bucket", "Policy", "Role", "Project")
        for status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
    ]

    shown = timeline(done, TEMPLATE)

    assert [bar.logical_id for bar in shown.bars if bar.is_critical] == ["Role", "Project"]


def test_failure_and_rollback_have_own_bars():
    shown = timeline(FAILURE, TEMPLATE)

    assert [(bar.logical_id, bar.status) for bar in shown.bars][-2:] == [
        ("Project", "CREATE_FAILED"),
        ("Role", "DELETE_COMPLETE"),
    ]
    # The role was deleted after the project had failed, and the project depends on the role.
    assert [(bar.logical_id, bar.begin) for bar in shown.bars if bar.is_critical] == [
        ("Role", 1),
        ("Project", 21),
        ("Role", 26),
    ]


def test_unfinished_bar_lasts_until_last_event():
    shown = timeline(CREATION[:7], TEMPLATE)

    assert [(bar.logical_id, bar.end, bar.status) for bar in shown.bars if bar.logical_id == "Role"] == [
        ("Role", 9, "CREATE_IN_PROGRESS")
    ]
    assert shown.status == "CREATE_IN_PROGRESS"


def test_events_of_nested_stacks_are_ignored():
    other = event(3, "Bucket", "CREATE_IN_PROGRESS")
    nested = Event(**{**{name: getattr(other, name) for name in Event.__slots__}, "stack_id": "nested"})

    assert timeline([CREATION[0], nested, *CREATION[1:]], TEMPLATE) == timeline(CREATION, TEMPLATE)


@pytest.mark.parametrize("unicode", [True, False])
def test_text_fits_width_and_marks_critical_path(unicode):
    lines = text(timeline(CREATION, TEMPLATE), width=80, unicode=unicode)

    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "Shop: CREATE_COMPLETE after 31 s"
    assert [line[0] for line in lines[1:5]] == [" ", "*", " ", "*"]
    assert ("█" in "".join(lines)) is unicode


def test_text_ends_with_reason_of_failure():
    lines = text(timeline(FAILURE, TEMPLATE), width=80, unicode=True)

    assert "! Project CREATE_FAILED: no access to GitHub" in lines


@pytest.mark.parametrize("unicode", [True, False])
def test_long_names_are_cut_in_narrow_terminal(unicode):
    name = "Bucket" + "x" * 60
    events = [replace(each, logical_id=name) if each.logical_id == "Bucket" else each for each in CREATION]

    lines = text(timeline(events, TEMPLATE), width=40, unicode=unicode)

    assert max(len(line) for line in lines) <= 40
    assert any(line.startswith("  Bucketx") for line in lines)


def test_failed_bar_on_critical_path_is_marked_failed():
    shown = timeline(FAILURE, TEMPLATE)
    lines = text(shown, width=80, unicode=True)

    assert any(bar.is_critical and bar.has_failed for bar in shown.bars)
    for bar, line in zip(shown.bars, lines[1:], strict=False):
        assert line[0] == ("!" if bar.has_failed else "*" if bar.is_critical else " ")


def test_operation_without_duration_has_picture():
    shown = timeline([CREATION[0]], TEMPLATE)

    assert picture(shown).height > 0
    assert text(shown, width=80, unicode=True)[0] == "Shop: CREATE_IN_PROGRESS after 0 s"


def test_html_is_self_contained_and_escaped():
    events = [*CREATION[:9], event(25, "Project", "CREATE_FAILED", "<script>alert(1)</script>")]

    page = html(timeline(events, TEMPLATE))

    assert page.startswith("<!doctype html>")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.34, "0.3 s"), (9.96, "10 s"), (59.4, "59 s"), (60, "1 min"), (185, "3 min 5 s"), (3600, "60 min")],
)
def test_timeline_duration_as_text(seconds, words):
    assert duration(seconds) == words
