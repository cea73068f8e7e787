"""Dry run of a program: collect what it declares before anything is deployed."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import TYPE_CHECKING

from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import InputError, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.programs import Declared
    from exasol_ci_setup.programs.load import Program


def collect_only() -> AbstractContextManager[None]:
    """Reject constructs and actions of a program outside of hangar_run while a command runs the program.

    Otherwise a thread that the program leaves running would deploy between two runs.
    """
    from exasol_ci_setup.programs.actions import Runtime, use_runtime

    return use_runtime(
        Runtime(_fail_connect, SystemClock(), _reject_action, resolve=_reject_construct, is_dry_run=True)
    )


def dry_run(file: Path, report: Callable[[str], None], *, names_only: bool = False) -> tuple[Program, Declared]:
    """Load the program and run it without effect: hide what it prints, use placeholders as outputs. At import it prints on stderr.

    `report` is called with each action that the program would take. With `names_only`, no template is rendered. Otherwise raises
    InputError if a construct uses the result of an action, or an output where it must be known.
    """
    from exasol_ci_setup.constructs.placeholders import readable
    from exasol_ci_setup.programs import load as programs
    from exasol_ci_setup.programs.templates import require_valid

    # Actions at import would take effect once, and not again when the program runs. stdout is for the results of the command.
    with collect_only(), contextlib.redirect_stdout(sys.stderr):
        program = programs.load(file)
    declared = _collect(program, lambda action: report(readable(action)), names_only=names_only)
    if not names_only:
        for construct in declared.constructs.values():
            # Again, because a program may have changed a mapping in a construct after its deploy().
            require_valid(construct)
    return program, declared


def require_same_declarations(program: Program, declared: Declared) -> None:
    """Repeat the dry run with other placeholders. Raises InputError if it declares something else."""
    with contextlib.redirect_stderr(io.StringIO()):
        again = _collect(program, lambda _action: None)
    for name in dict.fromkeys([*declared.constructs, *again.constructs]):
        require_same(name, declared.constructs.get(name), again.constructs.get(name))


def require_same(name: str, before: Construct | None, after: Construct | None) -> None:
    """Raise InputError unless two runs of a program declared stack `name` equally; None if it was not declared."""
    if before is None or after is None or _declaration(before) != _declaration(after):
        how = "only in one of two runs" if before is None or after is None else "differently in two runs"
        raise InputError(
            f"the program declares stack {name} {how}",
            hint="declare the same in each run: do not use times, random values, or parts of outputs that are not known yet",
        )


def _declaration(construct: Construct) -> tuple[object, ...]:
    from exasol_ci_setup.constructs.placeholders import readable
    from exasol_ci_setup.programs.templates import template_of

    given = {name: readable(value) for name, value in construct.static_parameters.items()}
    inputs = {name: (source.stack_name, output) for name, (source, output) in construct.parameter_sources.items()}
    tags = {name: readable(value) for name, value in construct.tags.items()}
    found = template_of(construct)
    outputs = {name: (each.construct.stack_name, each.output) for name, each in found.outputs.items()}
    network = str(construct.configured_network) if construct.network_parameters else ""
    return found.template, outputs, given, inputs, readable(network), tags


def _collect(program: Program, report: Callable[[str], None], *, names_only: bool = False) -> Declared:
    from exasol_ci_setup.constructs.output_values import outputs_in
    from exasol_ci_setup.constructs.placeholders import in_run, readable, require_current
    from exasol_ci_setup.constructs.unresolved import guarded
    from exasol_ci_setup.programs import Declared, images
    from exasol_ci_setup.programs.actions import Runtime, use_runtime
    from exasol_ci_setup.programs.templates import AnyOutput, placeholders, require_valid

    collected: list[Construct] = []
    used: list[Construct] = []

    def outputs_of(construct: Construct) -> Mapping[str, str]:
        used.append(construct)
        require_current(outputs_in(construct), f"{construct.kind} {construct.label!r}")
        images.set_placeholders(construct)
        if names_only:
            construct.set_outputs(AnyOutput(construct))
        else:
            # Here the error has the line of the program.
            require_valid(construct)
            construct.set_outputs(guarded(placeholders(construct)))
        return construct.outputs

    def collect(construct: Construct) -> None:
        for each in Declared([construct]).constructs.values():
            outputs_of(each)
        collected.append(construct)

    runtime = Runtime(_fail_connect, SystemClock(), report, resolve=collect, is_dry_run=True, outputs=outputs_of)
    with (
        use_runtime(runtime),
        in_run(refused=not names_only) as run,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            program.run(run)
        except SetupError as error:
            error.message = readable(error.message)
            raise
        declared = Declared(collected, builds=runtime.recorded.builds)
        for each in used:
            if each.stack_name not in declared.constructs:
                raise InputError(
                    f"an output of {each.kind} {each.label!r} is used, but the construct is not deployed",
                    hint="call its deploy() or resolve(), or use the output in a construct that is deployed",
                )
        return declared


def _reject_construct(_construct: Construct) -> None:
    raise InputError(
        "a construct was resolved outside of hangar_run",
        hint="resolve constructs in hangar_run, and join threads there",
    )


def _reject_action(action: str) -> None:
    raise InputError(f"cannot run at import: {action}", hint="move it into hangar_run")


def _fail_connect(scope: Scope) -> Account:
    raise AssertionError(f"a dry run needs no account, but scope {scope.name} was requested")
