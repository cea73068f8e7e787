"""Gantt chart of an operation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.stacks import Event
from exasol_ci_setup.pictures.characters import printable
from exasol_ci_setup.pictures.timeline import html, text, timeline

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


def test_bar_in_progress_lasts_until_last_event():
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
def test_text_keeps_width_and_marks_critical_path(unicode):
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


def test_operation_without_duration_has_text_and_page():
    shown = timeline([CREATION[0]], TEMPLATE)

    assert "Shop: CREATE_IN_PROGRESS after 0 s" in html(shown)
    assert text(shown, width=80, unicode=True)[0] == "Shop: CREATE_IN_PROGRESS after 0 s"


class Structure(HTMLParser):
    """Tags with the names of their attributes, and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}",))

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        self.tags.append((f"!{data}",))


@given(
    st.lists(
        st.text(min_size=1) | st.sampled_from(["</title><script>", '"><b x="', "<!--", "&lt;"]), min_size=3, max_size=3
    )
)
def test_html_structure_is_independent_of_names(names):
    def page(name: str, reason: str, stack: str) -> Structure:
        changed = [replace(each, stack_name=stack) for each in FAILURE]
        changed = [replace(each, logical_id=name) if each.logical_id == "Project" else each for each in changed]
        return Structure(html(timeline([replace(each, reason=reason) for each in changed], TEMPLATE)))

    shown = page(*names)

    assert shown.tags == page("Other", "a reason", "Name").tags
    assert printable(names[0]) in shown.texts
    assert printable(names[1]) in shown.texts
    assert any(printable(names[2]) in text for text in shown.texts)


def test_html_is_self_contained_and_supports_dark_screens():
    page = html(timeline(FAILURE, TEMPLATE))

    assert page.startswith("<!doctype html>")
    assert "http" not in page
    assert not {"script", "link", "img"} & {tag for tag, *_ in Structure(page).tags}
    assert "prefers-color-scheme:dark" in page
    assert page.count('class="bar failed"') == 1
    assert page.count('class="bar critical"') == 2
