"""Commands `graph` and `timeline`: diagrams of resources and of operations."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.options import STACK
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError, TemplateRejectedError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.pictures.canvas import Picture
    from exasol_ci_setup.pictures.graph import GraphPart

_MAX_WIDTH: Final = 120  # characters


@click.command("graph")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the diagram to this .svg or .png file.  [default: SVG to stdout]",
)
@common_options
def graph(session: Session, file: Path, target: Path | None) -> None:
    """Draw the resources of a template or program.

    FILE is a CloudFormation template (YAML or JSON) or a program for `up`. Of a program, all stacks are drawn, with the outputs that they use.
    An arrow points from a resource to the resource that it refers to. The command does not call AWS.
    """
    from exasol_ci_setup.pictures.graph import picture

    _require(target, (".svg", ".png"))
    parts = _program_parts(file) if file.suffix == ".py" else _template_parts(file)
    _write(session, picture(parts, title=f"The resources of {file.name}"), target)


@click.command("timeline")
@click.argument("name", type=STACK, metavar="STACK")
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the chart to this .html, .svg or .png file.  [default: text to stdout]",
)
@common_options
def timeline(session: Session, name: str, target: Path | None) -> None:
    """Show the last operation on a stack as a Gantt chart.

    The critical path is marked: the resources of STACK that determined how long the operation took.
    """
    from exasol_ci_setup.cli.render import records, show
    from exasol_ci_setup.pictures import timeline as chart
    from exasol_ci_setup.stacks import plan, state
    from exasol_ci_setup.stacks.events import of_last_operation

    _require(target, (".html", ".svg", ".png"))
    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    events = of_last_operation(cfn, stack.id)
    if not events:
        raise InputError(f"stack {stack.name} has no events: AWS keeps them for 90 days")
    shown = chart.timeline(events, plan.processed_template(cfn, stack.id))
    session.output.record(shown)
    if target is not None and target.suffix.lower() == ".html":
        _save(session, target, chart.html(shown).encode())
    elif target is not None:
        _write(session, chart.picture(shown), target)
    else:
        width = min(shutil.get_terminal_size((_MAX_WIDTH, 24)).columns, _MAX_WIDTH)
        lines = chart.text(shown, width=width, unicode=session.output.unicode)
        session.output.data("\n".join(map(show.clean, lines)))
    session.output.record(records.result("shown", stack_name=stack.name, changed=False))


def _require(target: Path | None, suffixes: tuple[str, ...]) -> None:
    if target is not None and target.suffix.lower() not in suffixes:
        raise InputError(
            f"--to {target} has no known file type", hint=f"use a name that ends with {' or '.join(suffixes)}"
        )


def _template_parts(file: Path) -> list[GraphPart]:
    from exasol_ci_setup.pictures.graph import GraphPart
    from exasol_ci_setup.template.render import parse

    try:
        body = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return [GraphPart(file.name, parse(body))]
    except TemplateRejectedError as error:
        raise InputError(f"{file}: {error}", hint="pass a CloudFormation template in YAML or JSON") from error


def _program_parts(file: Path) -> list[GraphPart]:
    from exasol_ci_setup.cli.dry_run import collect_only, dry_run
    from exasol_ci_setup.pictures.graph import GraphPart
    from exasol_ci_setup.template.render import parse, render

    with collect_only():
        _, declared = dry_run(file, lambda _action: None)
    return [
        GraphPart(
            name,
            parse(render(construct).body),
            tuple(each.stack_name for each in construct.dependencies),
        )
        for name, construct in declared.constructs.items()
    ]


def _write(session: Session, drawing: Picture, target: Path | None) -> None:
    from exasol_ci_setup.pictures.canvas import png, svg

    if target is None:
        text = svg(drawing)
        session.output.data(text.rstrip("\n"))
        session.output.record({"type": "picture", "svg": text})
    else:
        _save(session, target, png(drawing) if target.suffix.lower() == ".png" else svg(drawing).encode())


def _save(session: Session, target: Path, content: bytes) -> None:
    from exasol_ci_setup.core.files import write_whole

    try:
        write_whole(target, content)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    session.output.say(f"wrote {target}")
