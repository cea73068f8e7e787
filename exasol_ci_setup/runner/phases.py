"""In which order phases run, and which are left out after a failure: pure, given a way to run one command.

Between phases CodeBuild moves as drawn in https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html: a failed install
or pre_build ends the build; after build, failed or not, come post_build and the artifacts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.runner.buildspec import Buildspec, Phase

_GOES_ON_AFTER: Final = frozenset({"build"})  # post_build follows, unless on-failure says otherwise


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a phase; `number` is its place among all commands of the buildspec, from 0."""

    number: int
    phase: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The command because of which a phase failed, and its exit status."""

    command: Command
    status: int


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """How a phase ended; `failure` is its first failed command."""

    name: str
    status: Literal["SUCCEEDED", "FAILED"]
    failure: Failure | None = None


class Observer(Protocol):
    """Is told what happens, as it happens."""

    def phase_begins(self, name: str) -> None:
        """Take note that a phase begins."""

    def command_begins(self, command: Command) -> None:
        """Take note of the command that is about to run."""

    def phase_ends(self, result: PhaseResult) -> None:
        """Take note of how a phase ended."""


def commands(spec: Buildspec) -> Iterator[Command]:
    """Yield every command of a buildspec, those of `finally` too, numbered in their order."""
    number = 0
    for phase in spec.phases:
        for text in (*phase.commands, *phase.finally_commands):
            yield Command(number, phase.name, text)
            number += 1


def run(spec: Buildspec, execute: Callable[[Command, bool], int], observer: Observer) -> tuple[PhaseResult, ...]:
    """Run the phases and return how each ended that was begun.

    `execute` runs one command and returns its exit status; it is told whether all went well so far.
    """
    numbered = commands(spec)
    results: list[PhaseResult] = []
    succeeding = True
    for phase in spec.phases:
        own = [next(numbered) for _ in (*phase.commands, *phase.finally_commands)]
        observer.phase_begins(phase.name)
        result = _run_phase(phase, own, execute, observer, succeeding=succeeding)
        observer.phase_ends(result)
        results.append(result)
        if result.failure:
            succeeding = False
            if not _goes_on(phase):
                break
    return tuple(results)


def has_built(spec: Buildspec, results: tuple[PhaseResult, ...]) -> bool:
    """Return whether the run came as far as the build phase, after which CodeBuild always attempts to keep the artifacts."""
    last = spec.phases[len(results) - 1]
    return not results[-1].failure or last.name not in {"install", "pre_build"} or _goes_on(last)


def _goes_on(phase: Phase) -> bool:
    return phase.on_failure == "CONTINUE" or (not phase.on_failure and phase.name in _GOES_ON_AFTER)


def _run_phase(
    phase: Phase, own: list[Command], execute: Callable[[Command, bool], int], observer: Observer, *, succeeding: bool
) -> PhaseResult:
    failure: Failure | None = None
    ordinary = len(phase.commands)
    for block in (own[:ordinary], own[ordinary:]):
        for command in block:
            observer.command_begins(command)
            status = execute(command, succeeding and failure is None)
            if status:
                failure = failure or Failure(command, status)
                break
    return PhaseResult(phase.name, "FAILED" if failure else "SUCCEEDED", failure)
