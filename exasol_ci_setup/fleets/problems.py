"""The problems of a fleet file: each with its line, its place in the file and the rule, and all in one error."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from exasol_ci_setup.constructs.base import quote_value
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.rules import rule_of
from exasol_ci_setup.core.text import suggestion
from exasol_ci_setup.fleets.model import FleetFile, InvalidTag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

HINT: Final = "for the schema of the file: `exasol-ci-setup deploy-fleet --schema`"
KEY: Final = "[key]"
"""The last part of the place of an invalid key, by pydantic."""
_MOST_SHOWN: Final = 100

Place = tuple["int | str", ...]


class Problems:
    """Collects the problems of the file at `path`, whose YAML nodes are below `root`."""

    def __init__(self, path: Path, root: yaml.Node) -> None:
        self.path = path
        self._root = root
        self._found: dict[tuple[int, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, where: Place, rule: str, *, value: str = "") -> None:
        """Add a problem at a place in the file. `value` is the invalid value for display, or empty."""
        self._add(where, dotted(where), value, rule)

    def add_invalid(self, problem: ErrorDetails, below: Place = ()) -> None:
        """Add what pydantic reports on a value, whose place is relative to `below`."""
        where = (*below, *(part for part in problem["loc"] if part != KEY))
        value = problem["input"]
        is_shown = problem["type"] not in {"missing", "extra_forbidden"} and isinstance(value, str | int | float)
        place = dotted(where) if KEY not in problem["loc"] else f"{dotted(where[:-1])}: the name"
        self._add(where, place, quote_value(value) if is_shown else "", _rule(problem, where))

    def _add(self, where: Place, place: str, value: str, rule: str) -> None:
        line = self._line(where)
        self._found[line, f"{self.path}:{line}: {place}{f' {value}' if value else ''}: {rule}"] = None

    def error(self, *, hint: str = HINT) -> InputError:
        """Return the error with all problems, in the order of their lines."""
        lines = [text for _, text in sorted(self._found, key=lambda each: each[0])]
        title = f"{self.path} is invalid in {len(lines)} places"
        if len(lines) > _MOST_SHOWN:
            lines = [*lines[:_MOST_SHOWN], f"and {len(lines) - _MOST_SHOWN} more"]
        return InputError.of(lines, title, hint=hint)

    def _line(self, where: Sequence[int | str]) -> int:
        """Return the line of a place, or of its nearest existing parent."""
        node, line = self._root, self._root.start_mark.line
        for part in where:
            found = list(children(node, part))
            if not found:
                break
            # A key of the mapping itself overrides the same one from a merge key (<<), and comes later.
            key, node = found[-1]
            line = key.start_mark.line
        return line + 1


def children(node: yaml.Node, part: int | str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield the key and the value of `part` in a mapping or a list."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        yield from ((each, each) for each in node.value[part : part + 1])
    elif isinstance(node, yaml.MappingNode):
        yield from ((key, value) for key, value in node.value if key.value == str(part))


def dotted(where: Sequence[int | str]) -> str:
    """Return the notation of a place in the file, such as ``projects.slc.needs[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return text.removeprefix(".") or "the file"


def _rule(problem: ErrorDetails, where: Place) -> str:
    kind = problem["type"]
    if isinstance(problem["input"], InvalidTag):
        return str(problem["input"])
    if kind == "missing":
        return "it is required"
    if kind == "extra_forbidden":
        names = _names(where[:-1])
        valid = f"valid keys: {', '.join(names)}"
        return f"unknown key{suggestion(str(where[-1]), names, valid)}"
    if kind in {"model_type", "dict_type"}:
        return "use names with values below it"
    if kind == "string_type" and problem["input"] is not None:
        return "use text, in quotation marks if it looks like a number"
    if kind.startswith("bool_"):
        return "use true or false"
    if kind == "tuple_type":
        return "use a list"
    return "it is empty" if kind == "too_short" else rule_of(problem)


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
