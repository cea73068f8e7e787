"""Read the file of a fleet: all its mistakes are one error, which names the line, the place in the file and the rule of each."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.files import read_error
from exasol_ci_setup.fleets.declarations import Declaration, Names
from exasol_ci_setup.fleets.model import FleetFile, InvalidTag
from exasol_ci_setup.fleets.problems import HINT, KEY, Problems, children
from exasol_ci_setup.fleets.templates import check_templates
from exasol_ci_setup.template.input_files import StackOutput, stack_output
from exasol_ci_setup.template.yaml import UnreadableYamlError, readable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from exasol_ci_setup.fleets.fleet import Fleet
    from exasol_ci_setup.fleets.problems import Place

_AS_WRITTEN: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "timestamp"))
_DEEPEST: Final = 10
_NEW_FILE: Final = (
    "to write one with the repositories of a GitHub organization: `exasol-ci-setup init-fleet --organization NAME`"
)
_ANY_OUTPUT: Final = StackOutput("", "")


def load(path: Path, *, templates: Sequence[str] | None = None) -> Fleet:
    """Read the file at `path`. With `templates`, also read the templates of the stacks that match these patterns; all without patterns.

    Raises InputError with all mistakes: the file cannot be read, is not YAML, or has a duplicate key; unknown or missing keys and invalid
    values; names that do not exist or are not unique, and cycles; what `check_templates` finds.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"the fleet file {path} does not exist", hint=f"{_NEW_FILE}\n{HINT}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise read_error(str(path), error) from None
    root, data = _parsed(path, text)
    problems = Problems(path, root)
    file, invalid = _valid_part(data)
    for each in invalid:
        problems.add_invalid(each)
    declaration = None if file is None else Declaration(file, _names(data), problems)
    if declaration is not None and templates is not None:
        check_templates([each for each in declaration.stacks if each.matches(templates or "*")], problems)
    if declaration is None or problems:
        raise problems.error()
    return declaration.fleet()


def _parsed(path: Path, text: str) -> tuple[yaml.Node, Any]:
    """Return the nodes of a YAML text, which have line numbers, and its value."""
    try:
        with readable():
            loader = _Loader(text)
            root = loader.get_single_node()
            if root is None:
                raise InputError(f"{path} is empty", hint=HINT)
            _require_sound(path, root)
            _keep_as_written(root)
            return root, loader.construct_document(root)
    except UnreadableYamlError as error:
        place = f":{error.line}" if error.line else ""
        raise InputError(f"{path}{place} is not YAML: {' '.join(error.reason.split())}") from None


class _Loader(yaml.SafeLoader):
    """YAML with references to outputs of stacks."""


def _tagged(_loader: _Loader, name: str, node: yaml.Node) -> StackOutput | InvalidTag:
    """Return the value of a node with a tag of its own."""
    text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    if name != "StackOutput":
        return InvalidTag(f"!{name} {text}".rstrip(), "unknown tag; the only one in this file is !StackOutput")
    try:
        return stack_output(text)
    except ValueError:
        return InvalidTag(f"!StackOutput {text}".rstrip(), "write STACK.OUTPUT or TARGET/STACK.OUTPUT")


_Loader.add_multi_constructor("!", _tagged)


def _keep_as_written(root: yaml.Node) -> None:
    """Let the parameters of stacks be texts as they are written, such as ``1.10`` and ``no``: CloudFormation's parameters are texts."""
    for _, entry in (pair for _, stacks in children(root, "stacks") for pair in _items(stacks)):
        left = [value for _, parameters in children(entry, "parameters") for _, value in _items(parameters)]
        while left:
            node = left.pop()
            if isinstance(node, yaml.ScalarNode) and node.tag in _AS_WRITTEN:
                node.tag = "tag:yaml.org,2002:str"
            elif isinstance(node, yaml.SequenceNode):
                left.extend(node.value)


def _items(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _require_sound(path: Path, root: yaml.Node) -> None:
    """Raise InputError for duplicate keys, of which YAML would use the last, and for an alias that contains itself."""
    seen: set[int] = set()
    above: set[int] = set()
    left: list[tuple[yaml.Node, bool]] = [(root, False)]
    duplicates: dict[int, str] = {}
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
            duplicates |= _duplicate_keys(node)
        left.extend((each, False) for each in _values_of(node))
    if duplicates:
        lines = [f"{path}:{line} is invalid: duplicate key {key!a}" for line, key in sorted(duplicates.items())]
        raise InputError.of(lines, f"{path} is invalid in {len(lines)} places", hint="rename one of each two keys")


def _values_of(node: yaml.Node) -> list[yaml.Node]:
    """Return the values in a mapping or a list."""
    if isinstance(node, yaml.MappingNode):
        return [value for _, value in node.value]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _duplicate_keys(mapping: yaml.MappingNode) -> dict[int, str]:
    """Return each key that the mapping has already, by its line."""
    # Lists and mappings as keys are rejected when the value is constructed.
    keys = [key for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)]
    seen: set[str] = set()
    found: dict[int, str] = {}
    for key in keys:
        if key.value in seen:
            found[key.start_mark.line + 1] = key.value
        seen.add(key.value)
    return found


def _names(data: dict[str, Any]) -> Names:
    """Return the names in the file, those of invalid entries too: a reference to one of these is no mistake of its own."""
    given = (data.get(section) for section in ("targets", "projects", "stacks"))
    return Names(*(tuple(map(str, each)) if isinstance(each, dict) else () for each in given))


def _valid_part(data: Any) -> tuple[FleetFile | None, list[ErrorDetails]]:
    """Return the model of the file without its invalid parts, None if nothing valid remains, and what is invalid.

    The valid parts are checked further, so that one run reports all mistakes.
    """
    valid = deepcopy(data)
    removed: list[Place] = []
    invalid: list[ErrorDetails] = []
    for _ in range(_DEEPEST):
        try:
            return FleetFile.model_validate(valid), invalid
        except ValidationError as error:
            found = error.errors(include_url=False)
        # Not what only a removed part causes.
        invalid += [each for each in found if not any(where[: len(each["loc"])] == each["loc"] for where in removed)]
        for each in found:
            where = _without(valid, each)
            if not where:
                return None, invalid
            removed.append(where)
    return None, invalid


def _without(data: Any, problem: ErrorDetails) -> Place:
    """Remove the smallest part of `data` with the problem that has a key; return its place, empty if that is the whole file.

    A parameter or a variable of a stack is replaced.
    """
    where = [part for part in problem["loc"] if part != KEY]
    if problem["type"] == "missing":
        where.pop()
    place: list[int | str] = []
    parent, key, node = {}, None, data
    for part in where:
        if not isinstance(node, dict):
            # The part is in a list.
            break
        parent, key = node, next((each for each in node if str(each) == str(part)), None)
        place.append(part)
        if key is None:
            # The part was removed already.
            return tuple(place)
        node = node[key]
    match place:
        case ["stacks", _, "parameters" | "vars" as section, _]:
            # It has a value, so that it is not reported as missing.
            parent[key] = _ANY_OUTPUT if section == "parameters" else ""
        case _:
            parent.pop(key, None)
    return tuple(place)
