"""Run the phases of a build in CodeBuild's order, and skip phases after a failure.

The transitions are those of https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html. A failed install or
pre_build ends the build. After build, even if it failed, post_build runs and artifacts are saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.builds.runner.buildspec import Buildspec, Phase
    from exasol_ci_setup.core.reporter import Reporter

_CONTINUES_AFTER: Final = frozenset({"build"})  # post_build follows, unless on-failure is ABORT


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """The start of a phase."""

    name: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a phase; `number` is its index among all commands of the buildspec."""

    number: int
    phase: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The command that failed a phase, and its exit status."""

    command: Command
    status: int


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """The result of a phase; `failure` is its first failed command."""

    name: str
    status: Literal["SUCCEEDED", "FAILED"]
    failure: Failure | None = None


def commands(spec: Buildspec) -> Iterator[Command]:
    """Yield and number every command of a buildspec, also those of `finally`, in order."""
    number = 0
    for phase in spec.phases:
        for text in (*phase.commands, *phase.finally_commands):
            yield Command(number, phase.name, text)
            number += 1


def run(spec: Buildspec, execute: Callable[[Command, bool], int], reporter: Reporter) -> tuple[PhaseResult, ...]:
    """Run the phases and return the result of each phase that began.

    The reporter receives the events `PhaseStarted`, `Command` before the command runs, and `PhaseResult`.
    `execute` runs one command and returns its exit status. Its second argument is whether the build has succeeded so far.
    """
    numbered = commands(spec)
    results: list[PhaseResult] = []
    succeeding = True
    for phase in spec.phases:
        own = [next(numbered) for _ in (*phase.commands, *phase.finally_commands)]
        reporter.event(PhaseStarted(phase.name))
        result = _run_phase(phase, own, execute, reporter, succeeding=succeeding)
        reporter.event(result)
        results.append(result)
        if result.failure:
            succeeding = False
            if not _continues_after(phase):
                break
    return tuple(results)


def has_built(spec: Buildspec, results: tuple[PhaseResult, ...]) -> bool:
    """Return whether the run reached the build phase. After it, CodeBuild always tries to save artifacts."""
    last = spec.phases[len(results) - 1]
    return not results[-1].failure or last.name not in {"install", "pre_build"} or _continues_after(last)


def _continues_after(phase: Phase) -> bool:
    return phase.on_failure == "CONTINUE" or (not phase.on_failure and phase.name in _CONTINUES_AFTER)


def _run_phase(
    phase: Phase,
    own: list[Command],
    execute: Callable[[Command, bool], int],
    reporter: Reporter,
    *,
    succeeding: bool,
) -> PhaseResult:
    failure: Failure | None = None
    ordinary = len(phase.commands)
    for block in (own[:ordinary], own[ordinary:]):
        for command in block:
            reporter.event(command)
            status = execute(command, succeeding and failure is None)
            if status:
                failure = failure or Failure(command, status)
                break
    return PhaseResult(phase.name, "FAILED" if failure else "SUCCEEDED", failure)
