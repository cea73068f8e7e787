"""Read the file of a fleet into its model, with errors that name the line, the place in the file and the rule."""

from __future__ import annotations

import difflib
import types
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from exasol_ci_setup.constructs.base import quote_value, rule_of
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.files import read_error
from exasol_ci_setup.fleets.fleet import Fleet
from exasol_ci_setup.fleets.model import FleetFile
from exasol_ci_setup.template.input_files import StackOutput, stack_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

_HINT: Final = "for the schema of the file: `exasol-ci-setup deploy-fleet --schema`"
_KEY: Final = "[key]"
_MOST_PROBLEMS: Final = 20
_AS_WRITTEN: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "timestamp"))


def load(path: Path) -> Fleet:
    """Read the file at `path`.

    Raises InputError that names the file, and the line, the place (``projects.slc.ci.image``) and the rule of each mistake: it
    cannot be read, is not YAML, has a duplicate, unknown or missing name, or an invalid value.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"the fleet file {path} does not exist", hint=_HINT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise read_error(str(path), error) from None
    root, data = _parsed(path, text)
    try:
        file = FleetFile.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    else:
        return Fleet.of(path, file, lambda where: _line(root, where))
    # Raised outside of `except`: the message of pydantic, which would be chained, shows the raw input.
    raise InputError(_message(path, root, problems), hint=_HINT)


def _parsed(path: Path, text: str) -> tuple[yaml.Node, Any]:
    """Return the nodes of a YAML text, which have line numbers, and its value."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise InputError(f"{path} is empty", hint=_HINT)
        _require_sound(path, root)
        _keep_as_written(root)
        return root, loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{place} is not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


class _Loader(yaml.SafeLoader):
    """YAML with references to outputs of stacks."""


def _stack_output(loader: _Loader, node: yaml.Node) -> StackOutput:
    text = str(loader.construct_scalar(node)) if isinstance(node, yaml.ScalarNode) else ""
    try:
        return stack_output(text)
    except ValueError:
        raise yaml.constructor.ConstructorError(
            None, None, f"!StackOutput {text}: write STACK.OUTPUT or TARGET/STACK.OUTPUT", node.start_mark
        ) from None


_Loader.add_constructor("!StackOutput", _stack_output)


def _keep_as_written(root: yaml.Node) -> None:
    """Let the parameters of stacks be texts as they are written, such as ``1.10`` and ``no``: CloudFormation's parameters are texts."""
    for _, entry in (pair for _, stacks in _children(root, "stacks") for pair in _items(stacks)):
        left = [value for _, parameters in _children(entry, "parameters") for _, value in _items(parameters)]
        while left:
            node = left.pop()
            if isinstance(node, yaml.ScalarNode) and node.tag in _AS_WRITTEN:
                node.tag = "tag:yaml.org,2002:str"
            elif isinstance(node, yaml.SequenceNode):
                left.extend(node.value)


def _items(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _require_sound(path: Path, root: yaml.Node) -> None:
    """Raise InputError for a duplicate key, of which YAML would use the last, and for an alias that contains itself."""
    seen: set[int] = set()
    above: set[int] = set()
    left: list[tuple[yaml.Node, bool]] = [(root, False)]
    while left:
        node, leaving = left.pop()
        if leaving:
            above.discard(id(node))
            continue
        if id(node) in above:
            raise InputError(f"{path}:{node.start_mark.line + 1} is invalid: it contains an alias of itself")
        if id(node) in seen:
            continue
        seen.add(id(node))
        above.add(id(node))
        left.append((node, True))
        if isinstance(node, yaml.MappingNode):
            _require_unique_keys(path, node)
            left.extend((value, False) for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            left.extend((each, False) for each in node.value)


def _require_unique_keys(path: Path, mapping: yaml.MappingNode) -> None:
    # Lists and mappings as keys are rejected when the value is constructed.
    keys = [key for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)]
    seen: set[str] = set()
    for key in keys:
        if key.value in seen:
            raise InputError(
                f"{path}:{key.start_mark.line + 1} is invalid: duplicate key {key.value!a}",
                hint="choose another name for one of them",
            )
        seen.add(key.value)


def _message(path: Path, root: yaml.Node, problems: Sequence[ErrorDetails]) -> str:
    lines = [_problem(path, root, each) for each in problems[:_MOST_PROBLEMS]]
    if len(problems) == 1:
        return lines[0]
    more = len(problems) - len(lines)
    return "\n".join(
        [
            f"{path} is invalid in {len(problems)} places:",
            *(f"  {line}" for line in lines),
            *([f"  and {more} more"] if more else []),
        ]
    )


def _problem(path: Path, root: yaml.Node, problem: ErrorDetails) -> str:
    where = tuple(part for part in problem["loc"] if part != _KEY)
    rule = rule_of(problem)
    if problem["type"] == "missing":
        rule = "it is required"
    elif problem["type"] == "extra_forbidden":
        names = _names(where[:-1])
        near = difflib.get_close_matches(str(where[-1]), names, n=1)
        rule = f"unknown key; did you mean {near[0]}?" if near else f"unknown key; valid keys: {', '.join(names)}"
    elif problem["type"] in {"model_type", "dict_type"}:
        rule = "use names with values below it"
    elif problem["type"] == "string_type" and problem["input"] is not None:
        rule = "use text, in quotation marks if it looks like a number"
    elif problem["type"] == "tuple_type":
        rule = "use a list"
    elif problem["type"] == "too_short":
        rule = "it is empty"
    value = problem["input"]
    is_shown = problem["type"] not in {"missing", "extra_forbidden"} and isinstance(value, str | int | float)
    place = dotted(where) if _KEY not in problem["loc"] else f"{dotted(where[:-1])}: the name"
    return f"{path}:{_line(root, where)}: {place}{f' {quote_value(value)}' if is_shown else ''}: {rule}"


def dotted(where: Sequence[int | str]) -> str:
    """Return the notation of a place in the file, such as ``projects.slc.needs[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return text.removeprefix(".") or "the file"


def _line(root: yaml.Node, where: Sequence[int | str]) -> int:
    """Return the line of a place, or of its nearest existing parent."""
    node, line = root, root.start_mark.line
    for part in where:
        found = list(_children(node, part))
        if not found:
            break
        # A key of the mapping itself overrides the same one from a merge key (<<), and comes later.
        key, node = found[-1]
        line = key.start_mark.line
    return line + 1


def _children(node: yaml.Node, part: int | str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        yield from ((each, each) for each in node.value[part : part + 1])
    elif isinstance(node, yaml.MappingNode):
        yield from ((key, value) for key, value in node.value if key.value == str(part))


def _names(where: Sequence[int | str]) -> list[str]:
    """Return the valid names at a place."""
    kind: Any = FleetFile
    for part in where:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            by_name = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
            kind = _bare(by_name.get(str(part)))
        else:
            kind = _bare(get_args(kind)[-1])
    return [field.alias or name for name, field in kind.model_fields.items()]


def _bare(kind: Any) -> Any:
    """Return a type without its annotations and without None."""
    while get_origin(kind) in {Annotated, Union, types.UnionType}:
        kind = get_args(kind)[0]
    return kind
