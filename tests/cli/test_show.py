"""Text of plans, events, diagnoses and tables, without control characters."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.cli.render import show
from exasol_ci_setup.core.errors.details import Diagnosis, Finding
from exasol_ci_setup.core.stacks import ABSENT, Broadening, Change, Event, Hook, Plan, PropertyChange, Setting, Stack

AT = datetime(2025, 3, 1, 21, 3, 4, tzinfo=timezone.utc)


# The only sequences that the module's colors produce; the malicious ones below are not among them.
OWN_STYLE = re.compile(r"\x1b\[(?:0|1|2|3[1-7]|90)m")


def unstyled(line):
    return OWN_STYLE.sub("", line)


def plain(lines):
    return [unstyled(line) for line in lines]


def planned(*changes, kind="UPDATE", **more):
    return plain(show.plan(Plan("Slc", kind, change_set_id="arn", changes=changes, **more)))


def modified(*properties, **more):
    return planned(Change("Modify", "CodeBuild", "AWS::CodeBuild::Project", properties=properties, **more))


def test_plan_of_new_stack_lists_and_counts_resources():
    assert planned(
        Change("Add", "ArtifactsBucket", "AWS::S3::Bucket"), Change("Add", "Role", "AWS::IAM::Role"), kind="CREATE"
    ) == [
        "Plan for stack Slc (new)",
        "",
        "+ ArtifactsBucket  AWS::S3::Bucket",
        "+ Role             AWS::IAM::Role",
        "",
        "2 to add, 0 to change, 0 to remove",
    ]


def test_changed_property_shows_old_and_new_value():
    assert modified(PropertyChange("Source.Location", "https://a", "https://b"))[2:4] == [
        "~ CodeBuild  AWS::CodeBuild::Project",
        '    Source.Location: "https://a" → "https://b"',
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (PropertyChange("A", ABSENT, 1), "A: (none) → 1"),
        (PropertyChange("A", None, ABSENT), "A: null → (none)"),
        (PropertyChange("A", {"b": [1, True]}, "x"), 'A: {"b":[1,true]} → "x"'),
        (PropertyChange("A", "x\ny", {"Fn::GetAtt": ["B", "Arn"]}), 'A: "x\\ny" → ${B.Arn}'),
        (PropertyChange("A"), "A"),
        (PropertyChange("A", 1, 2, "Always"), "A: 1 → 2  (forces replacement)"),
        (PropertyChange("A", 1, 2, "Conditionally"), "A: 1 → 2  (may force replacement)"),
        (PropertyChange("A", 1, 2, "Never"), "A: 1 → 2"),
    ],
)
def test_values_are_compact_text_with_replacement(change, expected):
    assert modified(change)[3] == f"    {expected}"


def test_long_values_show_differing_part():
    line = modified(PropertyChange("A", "x" * 300 + "old" + "y" * 300, "x" * 300 + "new" + "y" * 300))[3]
    assert "xxxold" in line
    assert "xxxnew" in line
    assert len(line) < 200
    assert line.count("…") == 4


def test_prefix_of_long_value_shows_difference():
    line = modified(PropertyChange("A", ["x" * 300], ["x" * 300, "more"]))[3]
    assert "more" in line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change("Remove", "R", "T", policy_action="Delete"), "- R  T"),
        (Change("Remove", "R", "T", policy_action="Retain"), "- R  T  (the resource is kept)"),
        (Change("Modify", "R", "T", replacement="True"), "± R  T  (replacement)"),
        (
            Change("Modify", "R", "T", replacement="True", policy_action="ReplaceAndDelete"),
            "± R  T  (replacement, the old one is deleted)",
        ),
        (Change("Modify", "R", "T", replacement="Conditional"), "± R  T  (replacement possible)"),
        (Change("Import", "R", "T"), "= R  T  (imported into the stack)"),
        (Change("Dynamic", "R", "T"), "? R  T  (known only during the change)"),
        (Change("SyncWithActual", "R", "T"), "~ R  T  (drift reverted)"),
        (Change("Brandnew", "R", "T"), "? R  T  (Brandnew)"),
    ],
)
def test_every_action_has_symbol_and_remark(change, expected):
    assert planned(change)[2] == expected


def test_change_without_property_shows_causes():
    assert modified(causes=("parameter Url",))[3] == "    because of parameter Url"


def test_summary_counts_replacements_and_imports():
    changes = (
        Change("Modify", "A", "T", replacement="True"),
        Change("Modify", "B", "T", replacement="Conditional"),
        Change("Modify", "C", "T", replacement="False"),
        Change("Import", "D", "T"),
        Change("Remove", "E", "T"),
    )
    assert planned(*changes)[-1] == ("0 to add, 1 to change, 1 to remove, 1 to replace, 1 may be replaced, 1 to import")


def test_settings_have_own_block():
    settings = (Setting("tags.a", ABSENT, "1"), Setting("tags.b", "2", ABSENT), Setting("tags.c", "3", "4"))
    assert planned(settings=settings) == [
        "Plan for stack Slc (update)",
        "",
        "Settings:",
        '  + tags.a: "1"',
        '  - tags.b: "2"',
        '  ~ tags.c: "3" → "4"',
        "",
        "0 to add, 0 to change, 0 to remove, 3 settings",
    ]


NEW_SETTINGS = (
    Setting("parameters.Url", ABSENT, "https://a"),
    Setting("outputs.ProjectName", ABSENT, "x"),
    Setting("tags.outputs.a", ABSENT, "1"),
    Setting("termination-protection", before=False, after=True),
)


def test_new_stack_omits_parameters_and_outputs():
    assert planned(kind="CREATE", settings=NEW_SETTINGS)[2:] == [
        "Settings:",
        '  + tags.outputs.a: "1"',
        "  ~ termination-protection: false → true",
        "",
        "0 to add, 0 to change, 0 to remove, 2 settings",
    ]


def test_new_stack_without_settings_has_no_block():
    assert planned(kind="CREATE", settings=NEW_SETTINGS[:2]) == [
        "Plan for stack Slc (new)",
        "",
        "0 to add, 0 to change, 0 to remove",
    ]


def test_update_lists_new_parameters_and_outputs():
    assert planned(settings=NEW_SETTINGS[:2])[2:] == [
        "Settings:",
        '  + parameters.Url: "https://a"',
        '  + outputs.ProjectName: "x"',
        "",
        "0 to add, 0 to change, 0 to remove, 2 settings",
    ]


def test_broader_access_is_highlighted():
    broadenings = (Broadening("iam-trust", "R", "role R can be assumed by everyone", public=True),)
    assert planned(broadenings=broadenings)[2:4] == [
        "Access that is broadened:",
        "  ! role R can be assumed by everyone (public)",
    ]


def test_new_stack_marks_only_public_access():
    broadenings = (
        Broadening("iam-allow", "R", "role R may do everything on every resource", public=True),
        Broadening("iam-allow", "R", "role R may a:b on c"),
    )
    assert planned(kind="CREATE", broadenings=broadenings)[2:5] == [
        "Access that is granted:",
        "  ! role R may do everything on every resource (public)",
        "  + role R may a:b on c",
    ]


def test_notes_are_shown():
    assert "  validation: WARN x" in planned(notes=("validation: WARN x",))


def test_empty_plan_has_label_no_changes():
    assert plain(show.plan(Plan("Slc", "UPDATE")))[0] == "Plan for stack Slc (no changes)"


def test_plan_without_unicode_is_ascii():
    change = Change("Modify", "R", "T", replacement="True", properties=(PropertyChange("A", "ä", "x" * 300),))
    text = "\n".join(show.plan(Plan("Slc", "UPDATE", "", "arn", (change,)), unicode=False))
    assert text.isascii()
    assert "+- R" in text
    assert " -> " in unstyled(text)


def event(status="CREATE_COMPLETE", reason="", stack="Slc"):
    return Event("1", f"arn:{stack}", stack, "CodeBuild", "", "AWS::CodeBuild::Project", status, reason, AT)


def test_event_is_one_line_with_time_first():
    assert unstyled(show.event(event(reason="because"))) == (
        "21:03:04  CREATE_COMPLETE       CodeBuild             AWS::CodeBuild::Project  because"
    )


def test_event_of_nested_resource_names_stack():
    line = unstyled(show.event(event(stack="Slc-Nested-1"), root="Slc"))
    assert "Slc-Nested-1/CodeBuild" in line


def test_event_of_nested_stack_names_it_once():
    own = Event(
        "1", "arn:x", "Slc-Nested-1", "Slc-Nested-1", "arn:x", "AWS::CloudFormation::Stack", "CREATE_COMPLETE", "", AT
    )
    line = unstyled(show.event(own, root="Slc"))
    assert line == "21:03:04  CREATE_COMPLETE       Slc-Nested-1          AWS::CloudFormation::Stack"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("FAIL", "hook Example::Rules::Hook (PRE_PROVISION) failed: not \\x1b[31mencrypted"),
        ("WARN", "warning: hook Example::Rules::Hook (PRE_PROVISION) failed: not \\x1b[31mencrypted"),
    ],
)
def test_event_of_hook_shows_result(mode, said):
    hook = Hook("Example::Rules::Hook", "HOOK_COMPLETE_FAILED", "not \x1b[31mencrypted", "PRE_PROVISION", mode)
    line = unstyled(show.event(replace(event("CREATE_IN_PROGRESS"), hook=hook)))
    assert line == f"21:03:04  CREATE_IN_PROGRESS    CodeBuild             AWS::CodeBuild::Project  {said}"


def test_diagnosis_shows_failure_fix_and_reason():
    block = plain(
        show.diagnosis(
            Diagnosis(
                "Slc",
                "ROLLBACK_COMPLETE",
                "Bucket",
                "name",
                "AWS::S3::Bucket",
                "CREATE_FAILED",
                "it is taken",
                ("rename it",),
            )
        )
    )
    assert block == [
        "Why stack Slc ended in ROLLBACK_COMPLETE:",
        "  first failure  Bucket AWS::S3::Bucket",
        "  status         CREATE_FAILED",
        "  physical id    name",
        "  fix            rename it",
        "  reason         it is taken",
    ]


def test_diagnosis_without_reason_reports_none():
    assert plain(show.diagnosis(Diagnosis("Slc", "ROLLBACK_COMPLETE")))[-1] == "  reason         AWS gave no reason"


def test_finding_names_template_rule_and_line():
    finding = Finding("W3005", "warning", "Obsolete DependsOn", "Resources.A", 12)
    assert unstyled(show.finding(finding, name="ci_build")) == "ci_build warning W3005 line 12: Obsolete DependsOn"


def test_stacks_are_aligned_columns():
    stacks = [Stack("Slc", "arn", "CREATE_COMPLETE", created=AT), Stack("Longer", "arn", "X", description="what it is")]
    assert plain(show.stacks(stacks)) == [
        "STACK   STATUS           CHANGED (UTC)     DESCRIPTION",
        "Slc     CREATE_COMPLETE  2025-03-01 21:03",
        "Longer  X                                  what it is",
    ]


def test_no_stacks_prints_header():
    assert plain(show.stacks([])) == ["STACK  STATUS  CHANGED (UTC)  DESCRIPTION"]


def test_status_omits_empty_details():
    lines = plain(show.status(Stack("Slc", "arn", "CREATE_COMPLETE", outputs={"Name": "x"}, created=AT)))
    assert lines == [
        "Slc",
        "  status       CREATE_COMPLETE",
        "  created      2025-03-01 21:03:04 UTC",
        "  protected    no",
        "  outputs",
        "    Name  x",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("a\x9bb\x7f", "a\\x9bb\\x7f"),
        ("a\u202eb\u200b", "a\\u202eb\\u200b"),
        ("\ud800", "\\ud800"),
        ("grün → ok", "grün → ok"),
    ],
)
def test_control_characters_are_escaped(text, expected):
    assert show.clean(text) == expected


HOSTILE = st.text(max_size=20) | st.sampled_from(["\x1b[45m", "\x1b]0;t\x07", "\r", "\n", "\x9b1A", "\u202e", "\x08"])
VALUES = st.recursive(
    HOSTILE | st.integers() | st.none() | st.floats() | st.just(ABSENT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=6,
)
PLANS = st.builds(
    Plan,
    HOSTILE,
    st.sampled_from(["CREATE", "UPDATE"]) | HOSTILE,
    HOSTILE,
    HOSTILE,
    changes=st.lists(
        st.builds(
            Change,
            HOSTILE | st.sampled_from(["Add", "Modify", "Remove"]),
            HOSTILE,
            HOSTILE,
            replacement=HOSTILE,
            properties=st.lists(st.builds(PropertyChange, HOSTILE, VALUES, VALUES, HOSTILE), max_size=2).map(tuple),
            causes=st.lists(HOSTILE, max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    settings=st.lists(st.builds(Setting, HOSTILE, VALUES, VALUES), max_size=2).map(tuple),
    broadenings=st.lists(st.builds(Broadening, HOSTILE, HOSTILE, HOSTILE), max_size=2).map(tuple),
    notes=st.lists(HOSTILE, max_size=2).map(tuple),
)
# Hypothesis needs them without a time zone.
YEARS = (datetime(1900, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001
EVENTS = st.builds(Event, *[HOSTILE] * 8, at=st.datetimes(*YEARS))
TABLES = st.dictionaries(HOSTILE, HOSTILE, max_size=3)
STACKS = st.builds(Stack, *[HOSTILE] * 5, parameters=TABLES, tags=TABLES, outputs=TABLES, role_arn=HOSTILE)
DIAGNOSES = st.builds(Diagnosis, *[HOSTILE] * 7, hints=st.lists(HOSTILE, max_size=2).map(tuple))


@given(PLANS, EVENTS, STACKS, DIAGNOSES, st.booleans())
def test_output_has_no_control_characters(plan, event, stack, diagnosis, unicode):
    finding = Finding(plan.kind, "error", plan.stack_name, plan.kind, 1)
    lines = [
        *show.plan(plan, unicode=unicode),
        *show.diagnosis(diagnosis),
        *show.stacks([stack]),
        *show.status(stack),
        *show.pairs(stack.tags),
        show.event(event, root="Slc"),
        show.finding(finding),
    ]
    for line in lines:
        shown = unstyled(line)
        assert shown == show.clean(shown)


def test_times_are_shown_in_utc():
    tokyo = timezone(timedelta(hours=9))
    moment = datetime(2026, 11, 21, 8, 15, tzinfo=tokyo)
    stack = Stack("Slc", "id", "CREATE_COMPLETE", created=moment)

    assert "2026-11-20 23:15" in show.stacks([stack])[1]
    assert any("2026-11-20 23:15:00 UTC" in line for line in show.status(stack))
