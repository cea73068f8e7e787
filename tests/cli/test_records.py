"""The machine form, and that stdout holds nothing else when it is asked for."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.cli import records
from exasol_ci_setup.cli.output import Output
from exasol_ci_setup.errors import DeployFailed, InputError, TemplateRejected
from exasol_ci_setup.lint import Finding
from exasol_ci_setup.stacks.model import (
    ABSENT,
    Change,
    Diagnosis,
    Event,
    Plan,
    PropertyChange,
    Setting,
    Stack,
)

SCHEMA = "exasol-ci-setup/1"
DIAGNOSIS = Diagnosis("Slc", "ROLLBACK_COMPLETE", "Bucket", reason="taken")

EVENT = Event("1", "arn", "Slc", "R", "", "AWS::S3::Bucket", "X", "", datetime(2025, 1, 1, tzinfo=timezone.utc))


@dataclass(frozen=True)
class HealthProblem:
    code: str


def test_a_plan_names_changes_with_what_was_and_what_becomes():
    change = Change("Modify", "R", "T", properties=(PropertyChange("A", ABSENT, {"b": 1}),))
    found = records.record(Plan("Slc", "UPDATE", changes=(change,), settings=(Setting("tags.a", "1", ABSENT),)))
    assert (found["type"], found["schema"]) == ("plan", SCHEMA)
    assert found["changes"][0]["properties"] == [{"path": "A", "after": {"b": 1}, "recreates": ""}]
    assert found["settings"] == [{"name": "tags.a", "before": "1"}]


def test_a_time_is_in_utc_and_ends_in_z():
    at = datetime(2025, 1, 1, 2, 0, 0, 5000, tzinfo=timezone(timedelta(hours=2)))
    event = Event("1", "arn", "Slc", "R", "", "T", "CREATE_COMPLETE", "", at)
    assert records.record(event)["at"] == "2025-01-01T00:00:00.005000Z"
    assert records.plain(datetime(2025, 1, 1)) == "2025-01-01T00:00:00Z"  # noqa: DTZ001  the case


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        (Finding("E1", "error", "m", "p", 1), "finding"),
        (Stack("Slc", "arn", "X"), "stack"),
        (DIAGNOSIS, "diagnosis"),
        (EVENT, "event"),
        (HealthProblem("E-CI-01"), "health-problem"),
        (InputError("bad"), "error"),
        (records.outputs("Slc", {"Name": "x"}), "outputs"),
        (records.result("done", stack_name="Slc"), "result"),
    ],
)
def test_everything_that_is_shown_has_a_type_and_the_schema(thing, kind):
    found = records.record(thing)
    assert (found["type"], found["schema"]) == (kind, SCHEMA)


def test_the_type_of_a_resource_does_not_hide_the_type_of_the_record():
    assert records.record(EVENT)["resource_type"] == "AWS::S3::Bucket"
    plan = Plan("Slc", "CREATE", changes=(Change("Add", "R", "AWS::S3::Bucket"),))
    assert records.record(plan)["changes"][0]["resource_type"] == "AWS::S3::Bucket"


def test_outputs_carry_their_stack():
    assert records.outputs("Slc", {"Name": "x"}) == {
        "type": "outputs",
        "schema": SCHEMA,
        "stack_name": "Slc",
        "outputs": {"Name": "x"},
    }


def test_an_error_tells_its_code_its_exit_code_and_what_belongs_to_it():
    error = DeployFailed("Slc failed", hint="look", stack_name="Slc", diagnosis=DIAGNOSIS)
    found = records.record(error)
    assert {key: found[key] for key in ("code", "message", "hint", "exit_code", "stack_name")} == {
        "code": "deploy-failed",
        "message": "Slc failed",
        "hint": "look",
        "exit_code": 1,
        "stack_name": "Slc",
    }
    assert found["diagnosis"]["reason"] == "taken"


def test_an_error_of_the_linter_carries_the_findings():
    found = records.record(TemplateRejected("no", findings=[Finding("E1", "error", "m", "p", 1)]))
    assert found["findings"][0]["rule"] == "E1"


def test_a_thing_without_a_machine_form_is_refused():
    with pytest.raises(TypeError, match="no machine form for list"):
        records.record([])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.just(timezone.utc))
    | st.just(ABSENT)
    | st.just(DIAGNOSIS),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
)


@given(VALUES, VALUES)
def test_every_value_of_a_property_can_be_written_as_strict_json(before, after):
    plan = Plan(
        "Slc", "UPDATE", changes=(Change("Modify", "R", "T", properties=(PropertyChange("A", before, after),)),)
    )
    line = json.dumps(records.record(plan), allow_nan=False)
    assert "\n" not in line
    assert json.loads(line)["changes"][0]["logical_id"] == "R"


def test_a_date_and_a_set_have_a_form_too():
    assert records.plain({"d": date(2012, 10, 17), "s": {"b", "a"}}) == {"d": "2012-10-17", "s": ["a", "b"]}


def test_an_amount_of_money_is_a_number():
    assert records.plain({"amount": Decimal("0.10")}) == {"amount": 0.1}


def test_in_json_format_stdout_has_one_object_a_line_and_nothing_else(capsys):
    output = Output("json")
    output.say("words")
    output.warn("careful")
    output.data("Name  x")
    output.record(records.outputs("Slc", {"Name": "x"}))
    output.error(InputError("bad: why", hint="do this"))
    streams = capsys.readouterr()
    assert [json.loads(line)["type"] for line in streams.out.splitlines()] == ["outputs", "error"]
    assert streams.err == "words\nwarning: careful\nerror: bad: why\n\nhint: do this\n"


def test_in_text_format_data_goes_to_stdout_and_there_are_no_records(capsys):
    output = Output("text")
    output.data("Name  x")
    output.record(records.result("done"))
    assert capsys.readouterr().out == "Name  x\n"


def test_an_error_of_a_deployment_shows_the_hint_and_has_awss_reason_as_the_last_word(capsys):
    Output().error(DeployFailed("Slc failed", hint="look", diagnosis=DIAGNOSIS))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "error: Slc failed",
        "",
        "hint: look",
        "",
        "Why stack Slc ended in ROLLBACK_COMPLETE:",
        "  first failure  Bucket",
        "  reason         taken",
    ]


def test_an_error_with_several_lines_keeps_them_and_nothing_that_a_terminal_would_obey(capsys):
    Output().error(InputError("a\nb\x1b[31m"))
    assert capsys.readouterr().err == "error: a\nb\\x1b[31m\n"


def test_without_a_terminal_there_is_no_color_no_live_view_and_no_question(capsys):
    output = Output()
    assert (output.color, output.live, output.can_ask) == (False, False, False)
    output.say("\x1b[31mred\x1b[0m")
    assert capsys.readouterr().err == "red\n"


def test_a_letter_that_the_streams_encoding_lacks_is_written_as_an_escape():
    code = "from exasol_ci_setup.cli.output import Output; o = Output(); o.say('→'); o.data('→'); print(o.unicode)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("\\u2192\nFalse\n", "\\u2192\n")


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("yellow\n", False), ("", False)],
)
def test_only_yes_is_yes_and_the_question_goes_to_stderr(capsys, monkeypatch, typed, answer):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert Output().confirm("Go on?") is answer
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("Go on? [y/N]: ")
