"""Which commands run after which failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from exasol_ci_setup.runner import phases
from exasol_ci_setup.runner.buildspec import Buildspec, Document

ALL = """
version: 0.2
phases:
  install: {commands: [i1, i2], finally: [i3]}
  pre_build: {commands: [p1]}
  build: {commands: [b1, b2], finally: [b3, b4]}
  post_build: {commands: [o1]}
"""


class Silent:
    def phase_begins(self, name):
        pass

    def command_begins(self, command):
        pass

    def phase_ends(self, result):
        pass


def ran(text: str, *failing: str) -> tuple[str, Buildspec, tuple[phases.PhaseResult, ...]]:
    """The commands that ran, those that were told of a failure before them with a !."""
    spec = Document(Path("b.yaml"), text).buildspec()
    told: list[str] = []

    def execute(command: phases.Command, fine: bool) -> int:
        told.append(command.text if fine else f"{command.text}!")
        return 3 if command.text in failing else 0

    results = phases.run(spec, execute, Silent())
    return " ".join(told), spec, results


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
def test_after_a_failure_codebuilds_order_holds(failing, commands, built):
    told, spec, results = ran(ALL, *failing)

    assert told == commands
    assert phases.has_built(spec, results) is built
    assert any(result.failure for result in results) is bool(failing)


@pytest.mark.parametrize(
    ("phase", "says", "failing", "commands", "built"),
    [
        ("pre_build", "CONTINUE", "p1", "i1 i2 i3 p1 b1! b2! b3! b4! o1!", True),
        ("build", "ABORT", "b2", "i1 i2 i3 p1 b1 b2 b3! b4!", True),
        ("build", "CONTINUE", "b2", "i1 i2 i3 p1 b1 b2 b3! b4! o1!", True),
        ("install", "RETRY", "i1", "i1 i3!", False),
    ],
)
def test_on_failure_overrules_the_order(phase, says, failing, commands, built):
    told, spec, results = ran(ALL.replace(f"  {phase}: {{", f"  {phase}: {{on-failure: {says}, ", 1), failing)

    assert told == commands
    assert phases.has_built(spec, results) is built
    assert any(result.failure for result in results)


def test_the_first_failed_command_is_the_phases_failure():
    _, _, results = ran(ALL, "b2", "b3")

    failure = next(result.failure for result in results if result.failure)
    assert (failure.command.text, failure.command.phase, failure.status) == ("b2", "build", 3)


def test_commands_are_numbered_through_all_phases():
    spec = Document(Path("b.yaml"), ALL).buildspec()

    assert [(command.number, command.text) for command in phases.commands(spec)][-2:] == [(7, "b4"), (8, "o1")]
