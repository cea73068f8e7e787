"""JSON records, which are the only output on stdout with --output json."""

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

from exasol_ci_setup.cli.output import Output
from exasol_ci_setup.cli.render import records
from exasol_ci_setup.core.errors import DeployFailedError, InputError, TemplateRejectedError
from exasol_ci_setup.core.errors.details import Diagnosis, Finding
from exasol_ci_setup.core.stacks import ABSENT, Change, Event, Plan, PropertyChange, Setting, Stack

SCHEMA = "exasol-ci-setup/2"
DIAGNOSIS = Diagnosis("Slc", "ROLLBACK_COMPLETE", "Bucket", reason="taken")

EVENT = Event("1", "arn", "Slc", "R", "", "AWS::S3::Bucket", "X", "", datetime(2025, 1, 1, tzinfo=timezone.utc))


@dataclass(frozen=True)
class HealthProblem:
    code: str


def test_plan_record_has_old_and_new_values():
    change = Change("Modify", "R", "T", properties=(PropertyChange("A", ABSENT, {"b": 1}),))
    found = records.record(Plan("Slc", "UPDATE", changes=(change,), settings=(Setting("tags.a", "1", ABSENT),)))
    assert (found["type"], found["schema"]) == ("plan", SCHEMA)
    assert found["changes"][0]["properties"] == [{"path": "A", "after": {"b": 1}, "recreates": ""}]
    assert found["settings"] == [{"name": "tags.a", "before": "1"}]


def test_time_is_utc_with_z():
    at = datetime(2025, 1, 1, 2, 0, 0, 5000, tzinfo=timezone(timedelta(hours=2)))
    event = Event("1", "arn", "Slc", "R", "", "T", "CREATE_COMPLETE", "", at)
    assert records.record(event)["at"] == "2025-01-01T00:00:00.005000Z"
    assert records.plain(datetime(2025, 1, 1)) == "2025-01-01T00:00:00Z"  # noqa: DTZ001  the case


@pytest.mark.parametrize(
    ("value", "kind"),
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
def test_every_record_has_type_and_schema(value, kind):
    found = records.record(value)
    assert (found["type"], found["schema"]) == (kind, SCHEMA)


def test_resource_type_does_not_replace_record_type():
    assert records.record(EVENT)["resource_type"] == "AWS::S3::Bucket"
    plan = Plan("Slc", "CREATE", changes=(Change("Add", "R", "AWS::S3::Bucket"),))
    assert records.record(plan)["changes"][0]["resource_type"] == "AWS::S3::Bucket"


def test_outputs_record_names_stack():
    assert records.outputs("Slc", {"Name": "x"}) == {
        "type": "outputs",
        "schema": SCHEMA,
        "stack_name": "Slc",
        "outputs": {"Name": "x"},
    }


def test_error_record_has_codes_and_details():
    error = DeployFailedError("Slc failed", hint="look", stack_name="Slc", diagnosis=DIAGNOSIS)
    found = records.record(error)
    assert {key: found[key] for key in ("code", "message", "hint", "exit_code", "stack_name")} == {
        "code": "deploy-failed",
        "message": "Slc failed",
        "hint": "look",
        "exit_code": 1,
        "stack_name": "Slc",
    }
    assert found["diagnosis"]["reason"] == "taken"


def test_lint_error_record_has_findings():
    found = records.record(TemplateRejectedError("no", findings=[Finding("E1", "error", "m", "p", 1)]))
    assert found["findings"][0]["rule"] == "E1"


def test_unsupported_value_raises_type_error():
    with pytest.raises(TypeError, match="no JSON record for list"):
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
def test_property_values_are_strict_json(before, after):
    plan = Plan(
        "Slc", "UPDATE", changes=(Change("Modify", "R", "T", properties=(PropertyChange("A", before, after),)),)
    )
    line = json.dumps(records.record(plan), allow_nan=False)
    assert "\n" not in line
    assert json.loads(line)["changes"][0]["logical_id"] == "R"


def test_date_and_set_are_supported():
    assert records.plain({"d": date(2012, 10, 17), "s": {"b", "a"}}) == {"d": "2012-10-17", "s": ["a", "b"]}


def test_decimal_is_number():
    assert records.plain({"amount": Decimal("0.10")}) == {"amount": 0.1}


def test_json_format_prints_only_records_to_stdout(capsys):
    output = Output("json")
    output.say("words")
    output.warn("careful")
    output.data("Name  x")
    output.record(records.outputs("Slc", {"Name": "x"}))
    output.error(InputError("bad: why", hint="do this"))
    streams = capsys.readouterr()
    assert [json.loads(line)["type"] for line in streams.out.splitlines()] == ["outputs", "error"]
    assert streams.err == "words\nwarning: careful\nerror: bad: why\n\nhint: do this\n"


def test_text_format_prints_data_without_records(capsys):
    output = Output("text")
    output.data("Name  x")
    output.record(records.result("done"))
    assert capsys.readouterr().out == "Name  x\n"


def test_deploy_error_shows_hint_and_aws_reason_last(capsys):
    Output().error(DeployFailedError("Slc failed", hint="look", diagnosis=DIAGNOSIS))
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


def test_multiline_error_keeps_lines_and_escapes_controls(capsys):
    Output().error(InputError("a\nb\x1b[31m"))
    assert capsys.readouterr().err == "error: a\nb\\x1b[31m\n"


def test_no_terminal_means_no_color_table_or_prompt(capsys):
    output = Output()
    assert (output.color, output.live, output.can_ask) == (False, False, False)
    output.say("\x1b[31mred\x1b[0m")
    assert capsys.readouterr().err == "red\n"


def test_unencodable_letter_is_escaped():
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
def test_prompt_accepts_only_yes_on_stderr(capsys, monkeypatch, typed, answer):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert Output().confirm("Deploy?") is answer
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("Deploy? [y/N]: ")
