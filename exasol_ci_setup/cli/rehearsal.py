"""A program heard without acting: what it declares, before anything becomes of it."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.program import Program
    from exasol_ci_setup.resolve import Declared


def only_when_run() -> AbstractContextManager[None]:
    """Refuse whatever a program does outside of hangar_run, for the time of a command that runs it."""
    from exasol_ci_setup.resolve.verbs import only_when_run as refusing

    return refusing()


def rehearsed(file: Path, intend: Callable[[str], None], *, names_only: bool = False) -> tuple[Program, Declared]:
    """Load the program and run it without acting: what it prints is not shown, outputs are placeholders.

    `intend` hears of each action that the program would take. With `names_only` no template is rendered.
    """
    from exasol_ci_setup import program as programs
    from exasol_ci_setup.actions import Stage, taking_place_on
    from exasol_ci_setup.clock import SystemClock
    from exasol_ci_setup.resolve import Declared, images, running_with
    from exasol_ci_setup.resolve.deployment import AnyOutput, placeholders

    # What a program does while it is imported would be done once, and not again when it is run.
    with only_when_run(), taking_place_on(Stage(_not_connected, SystemClock(), _refuse)):
        program = programs.load(file)
    heard: list[ScopedConstruct] = []

    def note(construct: ScopedConstruct) -> None:
        for each in Declared([construct]).constructs.values():
            each.set_outputs(AnyOutput(each) if names_only else placeholders(each))
            images.set_placeholders(each)
        heard.append(construct)

    stage = Stage(_not_connected, SystemClock(), intend)
    with running_with(note, acting=False), taking_place_on(stage), contextlib.redirect_stdout(io.StringIO()):
        program.run()
    return program, Declared(heard)


def _refuse(action: str) -> None:
    raise InputError(f"{action}: but the program is only being imported", hint="move it into hangar_run")


def _not_connected(scope: Scope) -> Account:
    raise AssertionError(f"an action asks for the account of scope {scope.name}, and none is to be taken")
