"""Where templates come from: a construct, a plain file, a Jinja file with variables, or a text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from exasol_ci_setup.constructs.stack import Stack
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template import jinja
from exasol_ci_setup.template.input_files import STANDARD_INPUT, label, read_text
from exasol_ci_setup.template.render import Template, parse_json, render
from exasol_ci_setup.template.yaml import UnreadableYamlError, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.constructs.base import Construct

SUFFIXES: Final = (".yaml", ".yml", ".json", ".template")
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
_STACK_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """Where a template comes from.

    `render` returns its text, or raises InputError with the file and the line. `folder` is the folder to which local paths in the template are
    relative; None if it has none. `is_jinja`: it is rendered with variables.
    """

    render: Callable[[], Template]
    folder: Path | None = None
    is_jinja: bool = False


def _text(name: str, body: str, folder: Path) -> TemplateSource:
    return TemplateSource(lambda: Template(name, body), folder)


def _file(path: Path) -> TemplateSource:
    return TemplateSource(lambda: Template(str(path), read_text(path)), path.parent)


def _jinja(path: Path, variables: Mapping[str, Any], template_dir: Path | None = None) -> TemplateSource:
    return TemplateSource(
        lambda: jinja.render_file(path, variables, template_dir=template_dir), path.parent, is_jinja=True
    )


def construct_source(construct: Construct) -> TemplateSource:
    """Return the source of the template of a construct: of this package, or a file, mapping or text of the user.

    Raises InputError for variables without Jinja, and for a mapping that is not a template.
    """
    if not isinstance(construct, Stack):
        if construct.template_folder is None:
            return TemplateSource(lambda: render(construct))
        path = construct.template_folder / construct.template
        return _jinja(path, {"construct": construct}) if path.name.endswith(jinja.SUFFIX) else _file(path)
    name = f"the template of Stack {construct.stack_name!r}"
    if isinstance(construct.source, dict):
        try:
            return _text(name, json.dumps(construct.source, indent=2) + "\n", construct.folder)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{name} is not plain data: {error}") from None
    if construct.body is not None:
        return _text(name, construct.body, construct.folder)
    return open_source(construct.folder / Path(construct.source or "").expanduser(), construct.variables)


def open_source(
    file: str | Path,
    variables: Mapping[str, Any] | None = None,
    *,
    template_dir: Path | None = None,
    stdin: IO[bytes] | None = None,
) -> TemplateSource:
    """Return the source of a file that the user names: Jinja if the name ends in ``.j2``, standard input for ``-``, else plain.

    Raises InputError if `variables` are given for a file without Jinja, and if standard input cannot be read.
    """
    if str(file).endswith(jinja.SUFFIX):
        return _jinja(Path(file), variables or {}, template_dir)
    if variables or template_dir:
        raise InputError(
            f"{label(file)} takes no variables: only files whose names end in {jinja.SUFFIX} are rendered with Jinja",
            hint=f"rename it to {Path(file).name}{jinja.SUFFIX}" if str(file) != STANDARD_INPUT else "",
        )
    if str(file) == STANDARD_INPUT:
        return _text(label(file), read_text(file, stdin=stdin), Path())
    return _file(Path(file))


@dataclass(frozen=True, slots=True)
class LoadedTemplate:
    """A template with its text, its parsed form, and the folder to which its local paths are relative, or None."""

    template: Template
    parsed: dict[str, Any]
    folder: Path | None = None


def load_template(source: TemplateSource) -> LoadedTemplate:
    """Render and parse a template of any origin. Raises InputError with the file and the line."""
    template = source.render()
    return LoadedTemplate(template, _parse(template, rendered=source.is_jinja), source.folder)


def default_stack_name(file: str | Path) -> str:
    """Return the name of the stack for a template file: the name of the file without its endings.

    Raises InputError if that is not a valid name of a stack, and for standard input.
    """
    name = Path(file).name.removesuffix(jinja.SUFFIX)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    if str(file) == STANDARD_INPUT or not _STACK_NAME.fullmatch(name):
        raise InputError(f"{label(file)} gives no name for the stack", hint="set it with `--stack-name NAME`")
    return name


def parse_own(template: Template) -> dict[str, Any]:
    """Parse a template of the user in the form of `render.parse`, strictly.

    Raises InputError with the name and the line if it cannot be read, and if it has no resources.
    """
    return _parse(template, rendered=False)


def _parse(template: Template, *, rendered: bool) -> dict[str, Any]:
    try:
        parsed = parse_json(template.body)
        parsed = load(template.body) if parsed is None else parsed
    except UnreadableYamlError as error:
        place = f" in line {error.line} of the rendered text" if rendered and error.line else ""
        line = f":{error.line}" if error.line and not rendered else ""
        hint = (
            "`--print-template` shows the rendered text; a variable is written as a quoted value: "
            "write {{ name ~ '-suffix' }}, not {{ name }}-suffix"
            if rendered
            else ""
        )
        raise InputError(f"{template.name}{line} cannot be read{place}: {error.reason}", hint=hint) from None
    if not isinstance(parsed, dict):
        raise InputError(f"{template.name} is not a template: it is not a mapping with Resources")
    resources = parsed.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise InputError(f"{template.name} is not a template: it has no Resources")
    return parsed
