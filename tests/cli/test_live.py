"""The view of an operation in progress: records, plain lines and a live table in a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest

from exasol_ci_setup.cli.output import Output
from exasol_ci_setup.cli.render.live import EventView
from exasol_ci_setup.core.stacks import Event, Hook

START = datetime(2025, 1, 1, 21, 3, tzinfo=timezone.utc)


class Clock:
    """Seconds that advance only by the test."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


def event(
    logical_id="CodeBuild", status="CREATE_IN_PROGRESS", *, after=0, reason="", stack="Slc", physical="", kind="T"
):
    at = START + timedelta(seconds=after)
    return Event(f"{logical_id}{status}{after}", f"arn:{stack}", stack, logical_id, physical, kind, status, reason, at)


def stack_event(status="CREATE_IN_PROGRESS", *, after=0):
    return event("Slc", status, after=after, physical="arn:Slc", kind="AWS::CloudFormation::Stack")


@pytest.fixture
def clock():
    return Clock()


def test_no_terminal_prints_line_per_event(capsys, clock):
    with EventView(Output(), "Slc", clock=clock) as view:
        view.event(stack_event())
        view.event(event(status="CREATE_FAILED", after=5, reason="no \x1b[31mpermission"))
    streams = capsys.readouterr()
    assert streams.out == ""
    assert [line.split() for line in streams.err.splitlines()] == [
        ["21:03:00", "CREATE_IN_PROGRESS", "Slc", "AWS::CloudFormation::Stack"],
        ["21:03:05", "CREATE_FAILED", "CodeBuild", "T", "no", "\\x1b[31mpermission"],
    ]


def test_heartbeat_names_running_resources(capsys, clock):
    with EventView(Output(), "Slc", clock=clock) as view:
        for logical_id in ("CodeBuild", "CodeBuildRole", "Bucket"):
            view.event(event(logical_id))
        view.event(event("Bucket", "CREATE_COMPLETE"))
        view.event(stack_event())
        capsys.readouterr()
        for _ in range(90):
            clock.seconds += 1
            view.progress()
    assert capsys.readouterr().err.splitlines() == [
        "still CREATE_IN_PROGRESS after 30 s: CodeBuild, CodeBuildRole",
        "still CREATE_IN_PROGRESS after 1 min: CodeBuild, CodeBuildRole",
        "still CREATE_IN_PROGRESS after 1 min 30 s: CodeBuild, CodeBuildRole",
    ]


@pytest.mark.parametrize("step", [1, 7, 11, 15, 29])
def test_heartbeat_comes_within_30_seconds(capsys, clock, step):
    said = [clock.seconds]
    with EventView(Output(), "Slc", clock=clock) as view:
        for _ in range(150):
            clock.seconds += step
            view.progress()
            if capsys.readouterr().err:
                said.append(clock.seconds)
    assert len(said) > 3
    assert max(later - earlier for earlier, later in pairwise(said)) <= 30


def test_event_delays_heartbeat(capsys, clock):
    with EventView(Output(), "Slc", clock=clock) as view:
        for _ in range(3):
            clock.seconds += 14
            view.progress()
            view.event(event())
    assert "still" not in capsys.readouterr().err


def test_note_is_printed_once_and_delays_heartbeat(capsys, clock):
    with EventView(Output(), "Slc", clock=clock) as view:
        for message in ("AWS did not answer", "AWS did not answer", "it answers again \x1b[31m"):
            view.note(message)
            clock.seconds += 14
            view.progress()
    assert capsys.readouterr().err.splitlines() == [
        "AWS did not answer",
        "still waiting after 28 s",
        "it answers again \\x1b[31m",
    ]


def test_view_without_events_shows_waiting(capsys, clock):
    with EventView(Output(), "Slc", clock=clock) as view:
        clock.seconds += 40
        view.progress()
    assert capsys.readouterr().err == "still waiting after 40 s\n"


def test_elapsed_time_counts_from_start_of_operation(capsys, clock):
    with EventView(Output(), "Slc", clock=clock) as view:
        view.event(stack_event())
        view.event(event(after=300))
        capsys.readouterr()
        clock.seconds += 30
        view.progress()
    assert capsys.readouterr().err == "still CREATE_IN_PROGRESS after 5 min 30 s: CodeBuild\n"


def test_json_events_are_records_on_stdout(capsys, clock):
    with EventView(Output("json"), "Slc", clock=clock) as view:
        view.event(event())
        clock.seconds += 60
        view.progress()
    streams = capsys.readouterr()
    (line,) = streams.out.splitlines()
    assert json.loads(line)["logical_id"] == "CodeBuild"
    assert streams.err.startswith("still waiting after 1 min")


HOOK = Hook("Example::Rules::Hook", "HOOK_COMPLETE_FAILED", "not encrypted", "PRE_PROVISION", "WARN", "7")


def test_json_event_has_hook_and_warning_on_stderr(capsys, clock):
    with EventView(Output("json"), "Slc", clock=clock) as view:
        view.event(replace(event("Bucket"), hook=HOOK))
        view.event(replace(event("Bucket"), hook=replace(HOOK, failure_mode="FAIL")))
    streams = capsys.readouterr()
    assert json.loads(streams.out.splitlines()[0])["hook"] == {
        "name": "Example::Rules::Hook",
        "status": "HOOK_COMPLETE_FAILED",
        "reason": "not encrypted",
        "point": "PRE_PROVISION",
        "failure_mode": "WARN",
        "id": "7",
    }
    assert streams.err == "Bucket: warning: hook Example::Rules::Hook (PRE_PROVISION) failed: not encrypted\n"


def test_no_terminal_does_not_import_rich():
    code = (
        "import sys; from exasol_ci_setup.cli.output import Output; from exasol_ci_setup.cli.render.live import EventView\n"
        "with EventView(Output(), 'Slc') as view: view.progress()\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


SCRIPT = """
import sys
from datetime import datetime, timedelta, timezone
from exasol_ci_setup.cli.render.live import EventView
from exasol_ci_setup.cli.output import Output
from dataclasses import replace
from exasol_ci_setup.core.stacks import Event, Hook

now = 0.0
def event(name, status, after=0, reason="", stack="Slc", physical="", kind="AWS::X::Y"):
    at = datetime(2025, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=after)
    return Event("1", "arn:" + stack, stack, name, physical, kind, status, reason, at)

out = Output()
with EventView(out, "Slc", clock=lambda: now) as view:
    view.event(event("Slc", "CREATE_IN_PROGRESS", physical="arn:Slc", kind="AWS::CloudFormation::Stack"))
    view.event(event("Nested", "CREATE_IN_PROGRESS", physical="arn:Inner", kind="AWS::CloudFormation::Stack"))
    view.event(event("Last", "CREATE_IN_PROGRESS"))
    view.event(event("Queue", "CREATE_IN_PROGRESS", stack="Inner"))
    view.event(event("Queue", "CREATE_FAILED", 9, "red \\x1b[41m tape", stack="Inner"))
    view.event(event("Queue", "DELETE_IN_PROGRESS", 10, stack="Inner"))
    view.event(event("Done", "CREATE_COMPLETE", 10))
    if "replaced" in sys.argv:
        view.event(event("Last", "UPDATE_COMPLETE", 10, physical="new"))
        for status in ("DELETE_IN_PROGRESS", "DELETE_FAILED"):
            view.event(event("Last", status, 11, "in use" if status == "DELETE_FAILED" else "", physical="old"))
    if "hooks" in sys.argv:
        for mode in ("WARN", "FAIL"):
            hook = Hook("A::B::C", "HOOK_COMPLETE_FAILED", "because", "PRE_PROVISION", mode)
            view.event(replace(event("Last", "CREATE_IN_PROGRESS"), hook=hook))
    out.warn("between")
    now = 40.0
    if "fail" in sys.argv:
        raise KeyboardInterrupt
print("DATA")
"""


def in_terminal(*arguments, **environment):
    """Run the script with a terminal as stderr, 100 columns wide; return what it wrote there, stdout, and the exit code."""
    ours, theirs = pty.openpty()
    settings = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", "PYTHONIOENCODING": "utf-8", **environment}
    kept = {key: value for key, value in os.environ.items() if key not in {"CI", "NO_COLOR", "TERM"}}
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            stderr=theirs,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**kept, **settings},
        )
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # Linux signals the end of a terminal by this error
                break
            if not chunk:
                break
            written += chunk
        out, _ = process.communicate()
    finally:
        os.close(ours)
    return written.decode(), out.decode(), process.returncode


def last_picture(written):
    """Return the final lines without style: all lines after the last erased line."""
    after = written.rpartition("\x1b[2K")[2]
    return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).strip("\r") for line in after.split("\n")]


def test_terminal_shows_row_per_resource_with_nested_below():
    written, out, code = in_terminal()
    rows = [line.split() for line in last_picture(written) if line.strip()]
    assert rows == [
        ["Slc", "…", "CREATE_IN_PROGRESS", "50", "s"],
        ["Nested", "AWS::CloudFormation::Stack", "…", "CREATE_IN_PROGRESS", "50", "s"],
        ["Queue", "AWS::X::Y", "…", "DELETE_IN_PROGRESS", "40", "s"],
        ["Last", "AWS::X::Y", "…", "CREATE_IN_PROGRESS", "50", "s"],
        ["Done", "AWS::X::Y", "✓", "CREATE_COMPLETE", "0", "s"],
        ["Queue:", "red", "\\x1b[41m", "tape"],
    ]
    assert (out, code) == ("DATA\n", 0)
    assert "\x1b[41m" not in written


def test_replaced_resource_keeps_status_of_new_one():
    written, _, _ = in_terminal("replaced")
    rows = [line.split() for line in last_picture(written) if line.strip()]
    assert ["Last", "AWS::X::Y", "✓", "UPDATE_COMPLETE", "10", "s"] in rows
    assert ["Last:", "in", "use"] in rows


def test_narrow_terminal_omits_types():
    written, _, _ = in_terminal(COLUMNS="40")
    rows = [line.rstrip() for line in last_picture(written) if line.strip()]
    assert rows[1] == "  Nested   … CREATE_IN_PROGRESS  50 s"
    assert "AWS::" not in "".join(rows)
    assert rows[-1] == "  Queue: red \\x1b[41m tape"


def test_last_frame_shows_whole_table_on_short_screen():
    written, _, _ = in_terminal(LINES="4")
    names = [line.split()[0] for line in last_picture(written) if line.strip()]
    assert names == ["Slc", "Nested", "Queue", "Last", "Done", "Queue:"]


def test_warning_is_above_table():
    written, _, _ = in_terminal()
    assert written.count("between") == 1
    assert written.index("between") < written.rindex("Queue")


def test_hook_warning_is_above_table_and_failure_below():
    written, _, _ = in_terminal("hooks", COLUMNS="140")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    assert plain.count("Last: warning: hook A::B::C (PRE_PROVISION) failed: because") == 1
    assert "  Last: hook A::B::C (PRE_PROVISION) failed: because" in map(str.rstrip, last_picture(written))


@pytest.mark.parametrize("arguments", [(), ("fail",)])
def test_cursor_is_restored_after_exception(arguments):
    written, _, code = in_terminal(*arguments)
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert (code == 0) is (not arguments)


def test_no_color_keeps_table_without_colors():
    written, _, _ = in_terminal(NO_COLOR="1")
    assert "\x1b[?25l" in written
    assert not re.search(r"\x1b\[(?:[0-9;]*;)?3[0-7]m", written)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}])
def test_dumb_terminal_gets_plain_lines(environment):
    written, _, _ = in_terminal(**environment)
    assert "\x1b" not in written
    assert len(written.splitlines()) == 8
