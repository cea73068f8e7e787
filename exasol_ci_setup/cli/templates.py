"""The options of commands for a template of the user's own, and the prompt for missing parameters."""

from __future__ import annotations

import getpass
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.options import STACK_NAME, require_tags
from exasol_ci_setup.cli.session import together
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Stack
    from exasol_ci_setup.stacks.request import Request
    from exasol_ci_setup.stacks.user_template import TemplateStack
    from exasol_ci_setup.template.parameter_files import ParameterFile
    from exasol_ci_setup.template.parameters import ParameterDeclaration
    from exasol_ci_setup.template.render import Template

TEMPLATE: Final = "template"
"""The name of a template of the user's own among the kinds of stacks in commands."""
DESCRIPTION: Final = "your own template"

_STANDARD_INPUT: Final = "-"
variable_options: Final = together(
    click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        help="Variable of a .j2 file, as text; may be repeated.",
    ),
    click.option(
        "--vars-file",
        "variable_files",
        multiple=True,
        metavar="FILE",
        help="YAML or JSON file with variables of a .j2 file; may be repeated, later files win.",
    ),
    click.option(
        "--template-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder of the files that a .j2 file includes.  [default: that of FILE]",
    ),
)
"""The options of the variables of a template file."""

template_options: Final = together(
    click.argument("file", metavar="FILE"),
    click.option(
        "--stack-name", type=STACK_NAME, metavar="NAME", help="Name of the stack.  [default: the name of FILE]"
    ),
    variable_options,
    click.option(
        "--parameter",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="Parameter; @STACK.OUTPUT is the output of a stack, and @@ a literal @. May be repeated.  [default: unchanged, or the "
        "template's]",
    ),
    click.option(
        "--parameters-file",
        "parameter_files",
        multiple=True,
        metavar="FILE",
        help="YAML or JSON file with parameters: a mapping, the list of the AWS CLI, or a template configuration of CodePipeline; - is "
        "stdin. May be repeated, later files win.",
    ),
)
"""FILE, and the options of its variables, its stack and its parameters."""

_FIELDS: Final = (
    *("file", "stack_name", "variables", "variable_files", "template_dir", "parameters", "parameter_files"),
)


def template_of(values: dict[str, Any], *, fallback_name: str = "") -> tuple[TemplateStack, dict[str, Any]]:
    """Read the template that the options describe; return it and the other values. Raises InputError.

    `fallback_name` is the name of the stack if the options and the name of the file give none.
    """
    from exasol_ci_setup.stacks.user_template import TemplateInput, open_template
    from exasol_ci_setup.template.parameters import parse_parameter

    read = [values["file"], *values["parameter_files"], *values["variable_files"]]
    if read.count(_STANDARD_INPUT) > 1:
        raise InputError("standard input can be read once only", hint="name a file in place of one of the -")
    files = [_parameter_file(each) for each in values["parameter_files"]]
    stack = open_template(
        TemplateInput(
            values["file"],
            values["stack_name"] or "",
            fallback_name,
            read_variables(values["variables"], values["variable_files"]),
            values["template_dir"],
            files,
            dict(map(parse_parameter, values["parameters"])),
        )
    )
    return stack, {name: value for name, value in values.items() if name not in _FIELDS}


def rendered(values: dict[str, Any]) -> Template:
    """Return the text of the template that the options describe, also if it cannot be parsed. Raises InputError."""
    from exasol_ci_setup.template.source import open_source

    variables = read_variables(values["variables"], values["variable_files"])
    return open_source(values["file"], variables, template_dir=values["template_dir"]).render()


def _parameter_file(name: str) -> ParameterFile:
    """Read a parameter file, and check its tags and its stack policy. Raises InputError."""
    from exasol_ci_setup.stacks.settings import policy_of
    from exasol_ci_setup.template import parameter_files

    file = parameter_files.read(name)
    require_tags(file.tags, of=name)
    if not file.stack_policy:
        return file
    return replace(file, stack_policy=policy_of(file.stack_policy.encode(), name=name))


def read_variables(given: tuple[str, ...], files: tuple[str, ...]) -> dict[str, Any]:
    """Return the variables of the options; `given` win over `files`. Raises InputError."""
    from exasol_ci_setup.template import jinja

    found: dict[str, Any] = {}
    for file in files:
        found.update(jinja.read_variables(file))
    found.update(map(jinja.parse_variable, given))
    return found


def request_of(session: Session, stack: TemplateStack, *, bucket: str | None = None) -> tuple[Request, Stack | None]:
    """Return the request for the stack, and the stack now. Prompts for missing parameters in a terminal. Raises InputError."""
    from exasol_ci_setup.stacks import state
    from exasol_ci_setup.stacks.user_template import build_request, choose_parameters

    account, output = session.account, session.output
    current = state.find(account.client("cloudformation"), stack.name)
    ask = None if not output.can_ask else lambda declared: _ask(output, declared)
    choice = choose_parameters(stack, account, current, ask=ask)
    return build_request(stack, account, choice, bucket=bucket), current


def _ask(output: Output, declared: ParameterDeclaration) -> str | None:
    """Return a valid value for a parameter, or None at the end of input."""
    if declared.description:
        output.say(f"{declared.name}: {declared.description}")
    if declared.allowed_values:
        output.say(f"  one of {', '.join(declared.allowed_values)}")
    while True:
        value = _line(output, f"parameter {declared.name} ({declared.type})", hidden=declared.no_echo)
        if value is None:
            return None
        rule = declared.problem(value)
        if not rule:
            return value
        output.say(f"not valid: {rule}")


def _line(output: Output, question: str, *, hidden: bool) -> str | None:
    try:
        return getpass.getpass(f"{question}, hidden: ") if hidden else output.ask(question)
    except EOFError:
        return None
