"""Render a user's Jinja file as a template: in Jinja's sandbox, with strict names, and includes below one folder only."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import jinja2
import jinja2.meta
import jinja2.sandbox

from exasol_ci_setup.constructs.unresolved import guarded
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import suggestion
from exasol_ci_setup.template.input_files import label, parse_data, read_text
from exasol_ci_setup.template.limits import LARGEST_TEMPLATE
from exasol_ci_setup.template.render import Template, finalize, literal, logical_id, secret_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

SUFFIX: Final = ".j2"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The result of `random` differs in each run. The rest produce HTML.
_LONGEST_SIMPLE_KEY: Final = 1024
_EXCLUDED_FILTERS: Final = ("random", "e", "escape", "forceescape", "safe", "urlize", "xmlattr")


def parse_variable(text: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``. Raises InputError for another form."""
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise InputError(f"{text!a} is not a variable: write NAME=VALUE", hint="a name has letters, digits and _")
    return name, value


def read_variables(file: str | Path) -> dict[str, Any]:
    """Return the variables of a YAML or JSON file, which is a mapping. Raises InputError with the file and the line."""
    values = parse_data(label(file), read_text(file))
    if values is None:
        return {}
    wrong = [key for key in values if not _NAME.fullmatch(key)] if isinstance(values, dict) else []
    if wrong or not isinstance(values, dict):
        why = f"{wrong[0]!a} is not the name of a variable" if wrong else "it is not a mapping of names to values"
        raise InputError(f"{label(file)} has no variables: {why}")
    return values


def render_file(path: Path, variables: Mapping[str, Any], *, template_dir: Path | None = None) -> Template:
    """Render the Jinja file at `path`.

    An interpolated text becomes a quoted scalar, a list or mapping one in braces with quoted texts, so no value changes the structure.
    `template_dir` is the folder of includes, by default that of the file, which must be below it.

    Raises InputError with the file and the line: a syntax error, an unknown variable, an include from elsewhere, an invalid value, or a
    result that is too large.
    """
    base = (template_dir or path.parent).resolve()
    if not base.is_dir():
        raise InputError(f"{base} is not a folder")
    loader = _FolderLoader(base, path)
    environment = _environment(loader)
    try:
        body = _generate(environment.get_template(loader.main), variables)
    except jinja2.TemplateSyntaxError as error:
        shown = loader.shown(error.filename) or str(path)
        raise InputError(f"{shown}:{error.lineno}: {error.message}") from None
    except jinja2.UndefinedError as error:
        raise _unknown(error, loader, environment, variables) from None
    except jinja2.TemplateNotFound as error:
        why = f"{error.name} does not exist in {base}" if error.name else "the name of the included file is empty"
        raise InputError(f"{loader.place(error.__traceback__)}: {why}") from None
    except Exception as error:  # noqa: BLE001 - an expression of the file can fail in any way, such as a division by zero
        why = error.message if isinstance(error, InputError) else str(error) or type(error).__name__
        hint = error.hint if isinstance(error, InputError) else ""
        raise InputError(f"{loader.place(error.__traceback__)}: {why}", hint=hint) from None
    return Template(name=str(path).removesuffix(SUFFIX), body=body)


def _generate(template: jinja2.Template, variables: Mapping[str, Any]) -> str:
    """Return the rendered text. Raises InputError once it is larger than a template may be."""
    parts, size = [], 0
    for part in template.generate(guarded(dict(variables))):
        parts.append(part)
        size += len(part.encode("utf-8", "surrogatepass"))
        if size > LARGEST_TEMPLATE:
            raise InputError(f"the result is larger than {LARGEST_TEMPLATE:,} bytes")
    return "".join(parts)


class _FolderLoader(jinja2.BaseLoader):
    """Loads files below one folder; a symbolic link does not lead out of it."""

    def __init__(self, base: Path, main: Path) -> None:
        self._base = base
        self._shown: dict[str, str] = {}
        resolved = main.resolve()
        if base not in resolved.parents:
            raise InputError(f"{main} is not below the folder of templates {base}")
        self.main = resolved.relative_to(base).as_posix()
        self._main = main

    def get_source(self, _environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return the text and the file name of a template. Raises TemplateNotFound for a file elsewhere."""
        found = (self._base / template).resolve() if "\0" not in template else self._base
        if self._base not in found.parents or not (found.is_file() or template == self.main):
            raise jinja2.TemplateNotFound(template)
        self._shown[str(found)] = str(self._main) if template == self.main else str(self._main.parent / template)
        return read_text(found if template != self.main else self._main), str(found), lambda: True

    @property
    def files(self) -> Iterable[str]:
        """The names of the files that were loaded."""
        return self._shown

    def shown(self, filename: str | None) -> str:
        """Return the name of a loaded file for messages; empty for other files."""
        return self._shown.get(filename or "", "")

    def place(self, traceback: TracebackType | None) -> str:
        """Return the file and line of the last step in a loaded file."""
        found = str(self._main)
        while traceback is not None:
            name = self.shown(traceback.tb_frame.f_code.co_filename)
            if name:
                found = f"{name}:{traceback.tb_lineno}"
            traceback = traceback.tb_next
        return found


def _environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        loader=loader,
        # The output is YAML, not HTML: `_finalize` escapes every value for it.
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in _EXCLUDED_FILTERS:
        environment.filters.pop(name, None)
    environment.globals.pop("lipsum", None)
    environment.globals["secret_reference"] = secret_reference
    environment.filters["logical_id"] = logical_id
    environment.filters["literal"] = literal
    environment.filters["tojson"] = _json
    return environment


def _finalize(value: object) -> str:
    """Return `value` as YAML in one line: a scalar, or a list or mapping of such values."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(str(key))}: {_finalize(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_finalize, value)) + "]"
    return finalize(value)


def _key(name: str) -> str:
    # A key without a question mark has at most 1,024 characters: https://yaml.org/spec/1.1/#id904332.
    text = finalize(name)
    return text if len(text) <= _LONGEST_SIMPLE_KEY else f"? {text} "


def _json(value: object, indent: int | None = None) -> str:
    # Jinja's own filter escapes for HTML.
    return json.dumps(value, indent=indent)


def _unknown(
    error: jinja2.UndefinedError, loader: _FolderLoader, environment: jinja2.Environment, variables: Mapping[str, Any]
) -> InputError:
    """Return the error for an unknown name, with the other unknown variables of the loaded files."""
    first = f"{loader.place(error.__traceback__)}: {error.message}"
    problems: dict[str, str] = {}
    unset = []
    for file in list(loader.files):
        tree = environment.parse(read_text(file))
        for name in sorted(jinja2.meta.find_undeclared_variables(tree) - variables.keys() - environment.globals.keys()):
            line = next((node.lineno for node in tree.find_all(jinja2.nodes.Name) if node.name == name), 0)
            problem = f"{loader.shown(file)}:{line}: {name!r} is undefined"
            # Those with a default, and those of a part that is not used, may be undefined.
            if problem == first or not _may_be_missing(tree, name):
                problems[problem] = suggestion(name, variables)
                unset += [] if problems[problem] else [name]
    problems = {first: "", **problems}
    hint = f"set it with `--var {unset[0]}=VALUE`" if unset else ""
    lines = [f"{problem}{near}" for problem, near in problems.items()]
    return InputError.of(lines, f"{len(lines)} names are unknown", hint=hint)


def _may_be_missing(tree: jinja2.nodes.Template, name: str) -> bool:
    tests = [node.node for node in tree.find_all(jinja2.nodes.Test) if node.name in {"defined", "undefined"}]
    defaults = [node.node for node in tree.find_all(jinja2.nodes.Filter) if node.name in {"default", "d"}]
    return any(isinstance(node, jinja2.nodes.Name) and node.name == name for node in (*tests, *defaults))
