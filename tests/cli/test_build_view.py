"""The view of a batch: plain lines, and a live table in a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.builds.model import Batch, Build
from exasol_ci_setup.cli.output import Output
from exasol_ci_setup.cli.render import build_view
from exasol_ci_setup.cli.render.build_view import BuildView
from exasol_ci_setup.core.errors.details import Failure

START = datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)


class Clock:
    """Seconds that advance only by the test."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def batch(*builds, after=0):
    made = [
        Build(group, f"P:{group}" if status != "PENDING" else "", status, phase, started=START)
        for group, status, phase in builds
    ]
    return Batch("P:u", "P", "IN_PROGRESS", started=START, builds=tuple(made), as_of=START + timedelta(seconds=after))


def test_changed_builds_are_lines(capsys, clock):
    with BuildView(Output(), clock=clock) as view:
        view.event(batch(("one", "IN_PROGRESS", "BUILD"), ("two", "PENDING", "")))
        view.event(batch(("one", "IN_PROGRESS", "BUILD"), ("two", "IN_PROGRESS", "QUEUED"), after=75))

    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        ["0", "s", "IN_PROGRESS", "one", "BUILD"],
        ["0", "s", "PENDING", "two"],
        ["1", "min", "15", "s", "IN_PROGRESS", "two", "QUEUED"],
    ]


def test_heartbeat_names_running_builds(capsys, clock):
    with BuildView(Output(), clock=clock) as view:
        view.event(batch(*((f"b{number}", "IN_PROGRESS", "BUILD") for number in range(7)), ("done", "SUCCEEDED", "")))
        capsys.readouterr()
        for _ in range(5):
            clock.seconds += 15
            view.progress()

    assert capsys.readouterr().err.splitlines() == [
        "still IN_PROGRESS after 30 s: b0 (BUILD), b1 (BUILD), b2 (BUILD), b3 (BUILD), b4 (BUILD), 2 more",
        "still IN_PROGRESS after 1 min: b0 (BUILD), b1 (BUILD), b2 (BUILD), b3 (BUILD), b4 (BUILD), 2 more",
    ]


def test_unknown_batch_prints_heartbeat(capsys, clock):
    with BuildView(Output(), clock=clock) as view:
        for _ in range(3):
            clock.seconds += 15
            view.progress()

    assert capsys.readouterr().err == "still waiting after 30 s\n"


def test_repeated_note_is_printed_once(capsys, clock):
    with BuildView(Output(), clock=clock) as view:
        for _ in range(3):
            view.note("no \x1b[2J answer")

    assert capsys.readouterr().err == "no \\x1b[2J answer\n"


@given(st.text())
def test_log_text_has_no_control_sequences(text):
    # Two kinds of spaces remain, although Python does not list them as printable.
    shown = build_view.log_text(text).replace("\u00a0", " ").replace("\u3000", " ")

    assert shown.isprintable() or not shown


def test_single_failure_shows_log_and_several_show_names():
    first = Failure("one", "P:1", "FAILED", "BUILD", "why", ("last line",))
    second = Failure("two", "P:2", "STOPPED")

    assert [line for line in build_view.failures([first]) if "did not succeed" in line] == []
    several = "\n".join(build_view.failures([first, second]))
    assert "  | last line" in several
    assert "one failed in phase BUILD: why" in several
    assert "two was stopped" in several


def test_list_of_batches_shows_utc():
    started = START.astimezone(timezone(timedelta(hours=5, minutes=30)))

    lines = build_view.batches([Batch("P:u", "P", "FAILED", started=started)])

    assert "2026-05-04 03:00" in lines[1]


def test_batch_without_time_of_aws_uses_local_clock(capsys, clock):
    with BuildView(Output(), clock=clock) as view:
        view.event(replace(batch(("one", "IN_PROGRESS", "BUILD")), as_of=None))

    assert "IN_PROGRESS" in capsys.readouterr().err


TERMINAL = """
import sys
from datetime import datetime, timezone
from exasol_ci_setup.builds.model import Batch, Build
from exasol_ci_setup.cli.render.build_view import BuildView
from exasol_ci_setup.cli.output import Output
start = datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)
output = Output()
with BuildView(output) as view:
    for status in ("IN_PROGRESS", "FAILED"):
        builds = [Build(f"build_{n}", f"P:{n}", status, "BUILD", started=start) for n in range(int(sys.argv[1]))]
        view.event(Batch("P:u", "P", status, started=start, builds=tuple(builds), as_of=start))
    output.say("a remark")
print("data")
"""


def terminal(count, **environment):
    """What a terminal of 24 lines gets to see, and stdout."""
    ours, theirs = pty.openpty()
    base = {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINAL, str(count)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        stdin=theirs,
        env={**base, "TERM": "xterm", "COLUMNS": "100", "LINES": "24", **environment},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    stdout, _ = process.communicate(timeout=60)
    return seen.decode(), stdout.decode()


def test_terminal_shows_one_row_per_build_below_notes():
    seen, stdout = terminal(3)

    final = seen[seen.rindex("\x1b[2K") :]
    assert stdout == "data\n"
    assert seen.index("a remark") < seen.rindex("\x1b[2K")
    assert re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", final).count("✗ FAILED") == 4
    assert "build_0" in final


def test_last_frame_shows_all_builds_on_short_screen():
    seen, _ = terminal(60)

    final = seen[seen.rindex("a remark") :]
    assert all(f"build_{number} " in final for number in range(60))


def test_no_color_table_has_no_colors():
    seen, _ = terminal(2, NO_COLOR="1")

    assert "\x1b[3" not in seen
    assert "✗ FAILED" in seen
