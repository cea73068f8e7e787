"""Read several secrets from one text, JSON or .env; errors never contain a value."""

from __future__ import annotations

import io
import json
from typing import Any

from dotenv.parser import parse_stream

from exasol_ci_setup.core.errors import InputError

_FORMS = (
    'use a JSON object of names and values, a JSON list of {"name": …, "value": …}, or .env lines such as NAME="value"'
)


def parse(data: bytes) -> dict[str, str]:
    """Return values by name from a JSON object, a JSON list of objects with ``name`` and ``value``, or the lines of a .env file.

    Variables in a .env file are not expanded. Raises InputError with the number of the invalid entry or line, or with a duplicate name.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if data and not text:
        raise InputError("the secrets cannot be read: they are not UTF-8 text", hint=_FORMS)
    pairs = _parse_json(text) if text.lstrip().startswith(("{", "[")) else _parse_lines(text)
    result: dict[str, str] = {}
    for name, value in pairs:
        if name in result:
            raise InputError(f"duplicate secret: {name!r}")
        if not isinstance(value, str):
            raise InputError(f"the value of secret {name!r} is not text", hint="put it in quotes")
        result[name] = value
    return result


def _parse_json(text: str) -> list[tuple[str, Any]]:
    try:
        parsed = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
    else:
        if isinstance(parsed, _Pairs):
            return [(name, value) for name, value in parsed]
        return [_entry(number, each) for number, each in enumerate(parsed, 1)]
    # Raised outside of `except`: the parser's exception contains the text with all values.
    raise InputError(f"the secrets cannot be read: invalid JSON{f' in line {line}' if line else ''}")


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, including duplicate names."""


def _entry(number: int, entry: object) -> tuple[str, Any]:
    members = dict(entry) if isinstance(entry, _Pairs) else {}
    if not isinstance(entry, _Pairs) or sorted(name for name, _ in entry) != ["name", "value"]:
        raise InputError(f"entry {number} of the list is not a secret", hint=_FORMS)
    if not isinstance(members["name"], str):
        raise InputError(f"entry {number} of the list is not a secret: its name is not text", hint=_FORMS)
    return members["name"], members["value"]


def _parse_lines(text: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise InputError(f"line {binding.original.line} of the secrets is invalid", hint=_FORMS)
        if binding.key is not None:
            found.append((binding.key, binding.value))
    return found
