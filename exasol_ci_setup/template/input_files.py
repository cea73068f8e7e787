"""Read the files that a user gives beside a template: YAML or JSON, with errors that name the file and the line."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import yaml

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.limits import LARGEST_TEMPLATE
from exasol_ci_setup.template.yaml import UnreadableYamlError, readable

STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, slots=True)
class StackOutput:
    """The value of an output of another stack. `target` names its fleet target, empty for the account and region of the stack that uses it."""

    stack: str
    output: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.target}/{self.stack}.{self.output}" if self.target else f"{self.stack}.{self.output}"


def label(file: str | Path) -> str:
    """Return the name of an input file for messages."""
    return "standard input" if str(file) == STANDARD_INPUT else str(file)


def read_text(file: str | Path, *, largest: int = LARGEST_TEMPLATE, stdin: IO[bytes] | None = None) -> str:
    """Return the text of a file, or of `stdin` for ``-``. A byte order mark is omitted.

    Raises InputError if the file cannot be read, has more than `largest` bytes, or is not UTF-8.
    """
    try:
        if str(file) == STANDARD_INPUT:
            content = (stdin or sys.stdin.buffer).read(largest + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(largest + 1)
    except FileNotFoundError:
        raise InputError(f"{file} cannot be read: the file does not exist") from None
    except (OSError, ValueError) as error:
        # ValueError for a name with a null character.
        raise InputError(f"{label(file)} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > largest:
        raise InputError(
            f"{label(file)} is too large: more than {largest:,} bytes", hint="split the template into several stacks"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{label(file)}:{line} cannot be read: it is not UTF-8") from None


def parse_data(name: str, text: str) -> Any:
    """Return the value of a YAML or JSON text with the types of YAML. Raises InputError for an invalid text or a duplicate key."""
    found = _parse_json(name, text)
    return _load(name, text, _DataLoader) if found is None else found[0]


def parse_as_written(name: str, text: str) -> Any:
    """Return the value of a YAML or JSON text whose scalars are texts as they are written, such as ``1.10``, ``yes`` and ``0123``.

    ``!StackOutput STACK.OUTPUT`` becomes a StackOutput, and null None. Raises InputError as `parse_data`.
    """
    found = _parse_json(name, text, parse_int=str, parse_float=str, parse_constant=str)
    return _load(name, text, _WrittenLoader) if found is None else _with_texts(found[0])


def stack_output(text: str) -> StackOutput:
    """Return the output that ``STACK.OUTPUT`` or ``TARGET/STACK.OUTPUT`` names. Raises ValueError for another form."""
    target, _, rest = text.rpartition("/")
    stack, point, output = rest.partition(".")
    if not (stack and point and output and output.isalnum() and output.isascii()):
        raise ValueError(f"{text!a} is not of the form STACK.OUTPUT")
    return StackOutput(stack, output, target)


def _with_texts(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return {key: _with_texts(item) for key, item in value.items()}
    return [_with_texts(item) for item in value] if isinstance(value, list) else value


def _parse_json(name: str, text: str, **options: Any) -> tuple[Any] | None:
    """Return the value of a JSON text in a tuple, or None for other text. YAML parsers reject some JSON, such as indentation by tabs."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    doubles: list[str] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        keys = [key for key, _ in pairs]
        doubles.extend(key for key in result if keys.count(key) > 1)
        return result

    try:
        value = json.loads(text, object_pairs_hook=mapping, **options)
    except (ValueError, RecursionError):
        # It may be YAML in braces; otherwise the YAML parser reports the line.
        return None
    if doubles:
        raise InputError(f"{name} cannot be read: duplicate key {doubles[0]!a}")
    return (value,)


def _load(name: str, text: str, loader: type[_DataLoader]) -> Any:
    try:
        with readable():
            # The loaders derive from the safe one.
            return yaml.load(text, Loader=loader)  # noqa: S506
    except UnreadableYamlError as error:
        place = f":{error.line}" if error.line else ""
        raise InputError(f"{name}{place} cannot be read: {' '.join(error.reason.split())}") from None


class _DataLoader(yaml.SafeLoader):
    """YAML without duplicate keys."""


class _WrittenLoader(_DataLoader):
    """YAML whose scalars are texts."""


def _mapping(loader: _DataLoader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is not text", key_node.start_mark)
        key = key_node.value
        if key in result:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!a}", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


def _text(loader: _DataLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


def _stack_output(loader: _WrittenLoader, node: yaml.Node) -> StackOutput:
    text = loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else ""
    try:
        return stack_output(str(text))
    except ValueError as error:
        raise yaml.constructor.ConstructorError(
            None, None, f"!StackOutput {text}: write !StackOutput STACK.OUTPUT", node.start_mark
        ) from error


_DataLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
# A date is text in a template.
_DataLoader.add_constructor("tag:yaml.org,2002:timestamp", _text)
for _kind in ("bool", "float", "int"):
    _WrittenLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _text)
_WrittenLoader.add_constructor("!StackOutput", _stack_output)
