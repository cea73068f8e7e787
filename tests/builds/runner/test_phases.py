"""Tests of which commands run after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from exasol_ci_setup.builds.runner import phases
from exasol_ci_setup.builds.runner.buildspec import Buildspec, Document
from exasol_ci_setup.core.reporter import NullReporter
from tests.reporters import RecordingReporter

ALL = """
version: 0.2
phases:
  install: {commands: [i1, i2], finally: [i3]}
  pre_build: {commands: [p1]}
  build: {commands: [b1, b2], finally: [b3, b4]}
  post_build: {commands: [o1]}
"""


def run_phases(text: str, *failing: str) -> tuple[str, Buildspec, tuple[phases.PhaseResult, ...]]:
    """Run the phases and return the executed commands; ``!`` marks those that ran after a failure."""
    spec = Document(Path("b.yaml"), text).buildspec()
    executed: list[str] = []

    def execute(command: phases.Command, succeeding: bool) -> int:
        executed.append(command.text if succeeding else f"{command.text}!")
        return 3 if command.text in failing else 0

    results = phases.run(spec, execute, NullReporter())
    return " ".join(executed), spec, results


@pytest.mark.parametrize(
    ("failing", "commands", "built"),
    [
        ((), "i1 i2 i3 p1 b1 b2 b3 b4 o1", True),
        (("i1",), "i1 i3!", False),
        (("i3",), "i1 i2 i3", False),
        (("p1",), "i1 i2 i3 p1", False),
        (("b1",), "i1 i2 i3 p1 b1 b3! b4! o1!", True),
        (("b1", "b3"), "i1 i2 i3 p1 b1 b3! o1!", True),
        (("o1",), "i1 i2 i3 p1 b1 b2 b3 b4 o1", True),
    ],
)
def test_failure_skips_same_commands_as_codebuild(failing, commands, built):
    executed, spec, results = run_phases(ALL, *failing)

    assert executed == commands
    assert phases.has_built(spec, results) is built
    assert any(result.failure for result in results) is bool(failing)


@pytest.mark.parametrize(
    ("phase", "on_failure", "failing", "commands", "built"),
    [
        ("pre_build", "CONTINUE", "p1", "i1 i2 i3 p1 b1! b2! b3! b4! o1!", True),
        ("build", "ABORT", "b2", "i1 i2 i3 p1 b1 b2 b3! b4!", True),
        ("build", "CONTINUE", "b2", "i1 i2 i3 p1 b1 b2 b3! b4! o1!", True),
        ("install", "RETRY", "i1", "i1 i3!", False),
    ],
)
def test_on_failure_overrides_default(phase, on_failure, failing, commands, built):
    executed, spec, results = run_phases(
        ALL.replace(f"  {phase}: {{", f"  {phase}: {{on-failure: {on_failure}, ", 1), failing
    )

    assert executed == commands
    assert phases.has_built(spec, results) is built
    assert any(result.failure for result in results)


def test_first_failed_command_is_failure_of_phase():
    _, _, results = run_phases(ALL, "b2", "b3")

    failure = next(result.failure for result in results if result.failure)
    assert (failure.command.text, failure.command.phase, failure.status) == ("b2", "build", 3)


def test_command_numbers_continue_through_phases():
    spec = Document(Path("b.yaml"), ALL).buildspec()

    assert [(command.number, command.text) for command in phases.commands(spec)][-2:] == [(7, "b4"), (8, "o1")]


def test_reporter_receives_phases_and_commands_in_order():
    spec = Document(Path("b.yaml"), ALL).buildspec()
    reporter = RecordingReporter()

    results = phases.run(spec, lambda command, _succeeding: int(command.text == "p1"), reporter)

    install = [phases.Command(number, "install", text) for number, text in enumerate(("i1", "i2", "i3"))]
    assert reporter.events == [
        *(phases.PhaseStarted("install"), *install, results[0]),
        *(phases.PhaseStarted("pre_build"), phases.Command(3, "pre_build", "p1"), results[1]),
    ]
    assert [result.status for result in results] == ["SUCCEEDED", "FAILED"]
