"""A program run without acting: what it declares, before anything is deployed."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from exasol_ci_setup.errors import InputError, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.program import Program
    from exasol_ci_setup.resolve import Declared


def collect_only() -> AbstractContextManager[None]:
    """Refuse whatever a program does outside of hangar_run, for the time of a command that runs it."""
    from exasol_ci_setup.resolve.verbs import collect_only as refusing

    return refusing()


def dry_run(file: Path, intend: Callable[[str], None], *, names_only: bool = False) -> tuple[Program, Declared]:
    """Load the program and run it without acting: what it prints is not shown, outputs are placeholders.

    `intend` is called with each action that the program would take. With `names_only` no template is rendered, and constructs may use
    placeholders. Raises InputError if a construct uses one otherwise.
    """
    from exasol_ci_setup import program as programs
    from exasol_ci_setup.actions import Runtime, use_runtime
    from exasol_ci_setup.clock import SystemClock
    from exasol_ci_setup.constructs.placeholders import readable

    # What a program does while it is imported would be done once, and not again when it is run.
    with collect_only(), use_runtime(Runtime(_not_connected, SystemClock(), _refuse)):
        program = programs.load(file)
    declared = _declared(program, lambda action: intend(readable(action)), names_only=names_only)
    if not names_only:
        for construct in declared.constructs.values():
            _require_values(construct)
    return program, declared


def require_same_declarations(program: Program, declared: Declared) -> None:
    """Run the program without acting once more, with other placeholders. Raises InputError unless it declares the same as before."""
    with contextlib.redirect_stderr(io.StringIO()):
        again = _declared(program, lambda _action: None)
    for name in dict.fromkeys([*declared.constructs, *again.constructs]):
        require_same(name, declared.constructs.get(name), again.constructs.get(name))


def require_same(name: str, before: ScopedConstruct | None, after: ScopedConstruct | None) -> None:
    """Raise InputError unless a program declared the same for the stack called `name` in two runs; None is what it did not declare."""
    if before is None or after is None or _declaration(before) != _declaration(after):
        how = "only in one of two runs" if before is None or after is None else "differently in two runs"
        raise InputError(
            f"the program declares stack {name} {how}",
            hint="declare the same in each run: use no time, no random value, and no part of an output that is not known yet",
        )


def _declaration(construct: ScopedConstruct) -> tuple[object, ...]:
    from exasol_ci_setup import templates
    from exasol_ci_setup.constructs.placeholders import readable

    given = {name: readable(value) for name, value in construct.static_parameters.items()}
    inputs = {name: (source.stack_name, output) for name, (source, output) in construct.parameter_sources.items()}
    return templates.render(construct), given, inputs, construct.tags


def _require_values(construct: ScopedConstruct) -> None:
    """Raise InputError if a placeholder is in what is deployed for `construct`, except for the tags of images that are built."""
    from exasol_ci_setup import templates
    from exasol_ci_setup.resolve.deployment import require_values

    tags = [builder.image_tag for builder in construct.builders]
    given = {name: value for name, value in construct.static_parameters.items() if value not in tags}
    require_values(construct, templates.render(construct), given)


def _declared(program: Program, intend: Callable[[str], None], *, names_only: bool = False) -> Declared:
    from exasol_ci_setup.actions import Runtime, use_runtime
    from exasol_ci_setup.clock import SystemClock
    from exasol_ci_setup.constructs.placeholders import in_run, readable
    from exasol_ci_setup.resolve import Declared, images, running_with
    from exasol_ci_setup.resolve.deployment import AnyOutput, placeholders

    heard: list[ScopedConstruct] = []

    def note(construct: ScopedConstruct) -> None:
        for each in Declared([construct]).constructs.values():
            each.set_outputs(AnyOutput(each) if names_only else placeholders(each))
            images.set_placeholders(each)
        heard.append(construct)

    stage = Runtime(_not_connected, SystemClock(), intend)
    with (
        running_with(note, acting=False),
        use_runtime(stage),
        in_run(refused=not names_only),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            program.run()
        except SetupError as error:
            error.message = readable(error.message)
            raise
        return Declared(heard)


def _refuse(action: str) -> None:
    raise InputError(f"{action}: but the program is only being imported", hint="move it into hangar_run")


def _not_connected(scope: Scope) -> Account:
    raise AssertionError(f"an action asks for the account of scope {scope.name}, and none is to be taken")
