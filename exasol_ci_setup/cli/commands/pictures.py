"""Commands `graph` and `timeline`: diagrams of resources and of operations."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.dry_run import collect_only, dry_run
from exasol_ci_setup.cli.options import STACK
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.templates import TEMPLATE, read_variables, variable_options
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.pictures.graph import GraphPart

_MAX_WIDTH: Final = 120  # characters
_GRAPH_SUFFIXES: Final = {
    "mermaid": (".mmd", ".mermaid"),
    "markdown": (".md",),
    "dot": (".dot", ".gv"),
    "svg": (".svg",),
    "png": (".png",),
}
_TIMELINE_SUFFIXES: Final = {"html": (".html", ".htm")}
# Pixels per inch: twice the resolution of a usual screen for files of pixels.
_SVG_DPI: Final = 72
_PNG_DPI: Final = 192


@click.command("graph")
@click.argument("words", nargs=-1, required=True, metavar="[template] FILE")
@variable_options
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the diagram to this .mmd, .md, .dot, .svg or .png file.  [default: text to stdout]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(_GRAPH_SUFFIXES)),
    help="Format of the diagram.  [default: by the suffix of --to, or mermaid]",
)
@common_options
def graph(
    session: Session,
    words: tuple[str, ...],
    target: Path | None,
    kind: str | None,
    **variables: Any,
) -> None:
    """Draw the resources of a template or program.

    FILE is a CloudFormation template (YAML, JSON, or - for stdin; with Jinja if its name ends in .j2) or a program for `up`. Of a program, all stacks are drawn, with the outputs that they use.
    An arrow points from a resource to the resource that it refers to. The command does not call AWS.

    The diagram is text in the language Mermaid or DOT, or a picture in SVG or PNG. Pictures need the program `dot` of Graphviz.
    """
    if len(words) == len(("template", "FILE")) and words[0] == TEMPLATE:
        words = words[1:]
    if len(words) > 1:
        raise InputError("graph takes one file", hint="`exasol-ci-setup graph FILE`")
    file = Path(words[0])
    if kind is None:
        kind = "mermaid" if target is None else _format_of(target, _GRAPH_SUFFIXES)
    if kind == "png" and target is None:
        raise InputError("a PNG is not text for the terminal", hint="name a file, for example `--to graph.png`")
    parts = _program_parts(file) if file.suffix == ".py" else _template_parts(words[0], variables)
    content = _drawn(parts, kind, title=f"The resources of {file.name}")
    if target is None:
        session.output.data(content.decode().rstrip("\n"))
        session.output.record({"type": "picture", "format": kind, "text": content.decode()})
    else:
        _save(session, target, content)


def _drawn(parts: list[GraphPart], kind: str, *, title: str) -> bytes:
    from exasol_ci_setup.pictures.graph import dot, mermaid
    from exasol_ci_setup.pictures.graphviz import draw

    if kind == "mermaid":
        return mermaid(parts).encode()
    if kind == "markdown":
        return f"```mermaid\n{mermaid(parts)}```\n".encode()
    text = dot(parts, title=title)
    if kind == "dot":
        return text.encode()
    return draw(text, kind, dpi=_PNG_DPI if kind == "png" else _SVG_DPI)


@click.command("timeline")
@click.argument("name", type=STACK, metavar="STACK")
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the chart to this .html file.  [default: text to stdout]",
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

    if target is not None:
        if target.suffix.lower() in {".svg", ".png"}:
            raise InputError(
                f"--to {target}: `timeline` no longer writes SVG and PNG",
                hint=f"use `--to {target.with_suffix('.html')}`",
            )
        _format_of(target, _TIMELINE_SUFFIXES)
    cfn = session.account.client("cloudformation")
    stack = state.get(cfn, name)
    events = of_last_operation(cfn, stack.id)
    if not events:
        raise InputError(f"stack {stack.name} has no events: AWS keeps them for 90 days")
    shown = chart.timeline(events, plan.processed_template(cfn, stack.id))
    session.output.record(shown)
    if target is not None:
        _save(session, target, chart.html(shown).encode())
    else:
        width = min(shutil.get_terminal_size((_MAX_WIDTH, 24)).columns, _MAX_WIDTH)
        lines = chart.text(shown, width=width, unicode=session.output.unicode)
        session.output.data("\n".join(map(show.clean, lines)))
    session.output.record(records.result("shown", stack_name=stack.name, changed=False))


def _format_of(target: Path, suffixes: Mapping[str, Sequence[str]]) -> str:
    """Return the format that the suffix of a file names. Raises InputError for other suffixes."""
    for kind, own in suffixes.items():
        if target.suffix.lower() in own:
            return kind
    known = [suffix for own in suffixes.values() for suffix in own]
    listed = " or ".join([", ".join(known[:-1]), known[-1]]) if len(known) > 1 else known[0]
    raise InputError(f"--to {target} has no known file type", hint=f"use a name that ends with {listed}")


def _template_parts(file: str, variables: Mapping[str, Any]) -> list[GraphPart]:
    from exasol_ci_setup.pictures.graph import GraphPart
    from exasol_ci_setup.template.source import load_template, open_source

    values = read_variables(variables["variables"], variables["variable_files"])
    try:
        loaded = load_template(open_source(file, values, template_dir=variables["template_dir"]))
    except InputError as error:
        error.hint = error.hint or "pass a CloudFormation template in YAML or JSON"
        raise
    return [GraphPart(Path(file).name, loaded.parsed)]


def _program_parts(file: Path) -> list[GraphPart]:
    from exasol_ci_setup.pictures.graph import GraphPart
    from exasol_ci_setup.programs.templates import template_of

    with collect_only():
        _, declared = dry_run(file, lambda _action: None)
    return [
        GraphPart(
            name,
            template_of(construct).parsed,
            tuple(each.stack_name for each in construct.dependencies),
        )
        for name, construct in declared.constructs.items()
    ]


def _save(session: Session, target: Path, content: bytes) -> None:
    from exasol_ci_setup.core.files import write_whole

    try:
        write_whole(target, content)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    session.output.say(f"wrote {target}")
