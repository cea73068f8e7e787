"""`graph` and `timeline`: pictures of what is declared, and of what happened."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.options import STACK
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.errors import InputError, TemplateRejected

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.pictures.canvas import Picture
    from exasol_ci_setup.pictures.graph import GraphPart

_WIDEST: Final = 120


@click.command("graph")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it to this file, an .svg or .png.  [default: SVG to stdout]",
)
@common_options
def graph(session: Session, file: Path, target: Path | None) -> None:
    """Draw the resources of a template or program.

    FILE is a CloudFormation template (YAML or JSON), or a program as `up` takes it, whose stacks are drawn with what they take from each other.
    An arrow leads from what refers to what it refers to. AWS is not asked.
    """
    from exasol_ci_setup.pictures.graph import picture

    _require(target, (".svg", ".png"))
    parts = _of_program(file) if file.suffix == ".py" else _of_template(file)
    _write(session, picture(parts, title=f"The resources of {file.name}"), target)


@click.command("timeline")
@click.argument("name", type=STACK, metavar="STACK")
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it to this file, an .html, .svg or .png.  [default: text to stdout]",
)
@common_options
def timeline(session: Session, name: str, target: Path | None) -> None:
    """Show the last operation on a stack as bars in time.

    The resources of STACK that the operation had to wait for, one after the other, are marked: to make it shorter, one of these has to be
    made shorter.
    """
    from exasol_ci_setup.cli import records, show
    from exasol_ci_setup.pictures import timeline as chart
    from exasol_ci_setup.stacks import plan, state
    from exasol_ci_setup.stacks.events import of_last_operation

    _require(target, (".html", ".svg", ".png"))
    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    events = of_last_operation(cfn, stack.id)
    if not events:
        raise InputError(f"stack {stack.name} has no events that AWS still knows")
    shown = chart.timeline(events, plan.processed_template(cfn, stack.id))
    session.output.record(shown)
    if target is not None and target.suffix.lower() == ".html":
        _save(session, target, chart.html(shown).encode())
    elif target is not None:
        _write(session, chart.picture(shown), target)
    else:
        width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
        lines = chart.text(shown, width=width, unicode=session.output.unicode)
        session.output.data("\n".join(map(show.clean, lines)))
    session.output.record(records.result("shown", stack_name=stack.name, changed=False))


def _require(target: Path | None, suffixes: tuple[str, ...]) -> None:
    if target is not None and target.suffix.lower() not in suffixes:
        raise InputError(f"--to {target} is no kind of picture", hint=f"let its name end with {', '.join(suffixes)}")


def _of_template(file: Path) -> list[GraphPart]:
    from exasol_ci_setup import templates
    from exasol_ci_setup.pictures.graph import GraphPart

    try:
        body = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return [GraphPart(file.name, templates.parse(body))]
    except TemplateRejected as error:
        raise InputError(f"{file}: {error}", hint="give a CloudFormation template, in YAML or JSON") from error


def _of_program(file: Path) -> list[GraphPart]:
    from exasol_ci_setup import templates
    from exasol_ci_setup.cli.dry_run import collect_only, dry_run
    from exasol_ci_setup.pictures.graph import GraphPart

    with collect_only():
        _, declared = dry_run(file, lambda _action: None)
    return [
        GraphPart(
            name,
            templates.parse(templates.render(construct).body),
            tuple(each.stack_name for each in construct.dependencies),
        )
        for name, construct in declared.constructs.items()
    ]


def _write(session: Session, drawn: Picture, target: Path | None) -> None:
    from exasol_ci_setup.pictures.canvas import png, svg

    if target is None:
        text = svg(drawn)
        session.output.data(text.rstrip("\n"))
        session.output.record({"type": "picture", "svg": text})
    else:
        _save(session, target, png(drawn) if target.suffix.lower() == ".png" else svg(drawn).encode())


def _save(session: Session, target: Path, content: bytes) -> None:
    from exasol_ci_setup.whole_file import write_whole

    try:
        write_whole(target, content)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    session.output.say(f"wrote {target}")
