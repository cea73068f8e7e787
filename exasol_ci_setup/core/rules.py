"""The rules of pydantic that a value breaks, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_RULES: Final[Mapping[str, str]] = {
    "missing": "it is required",
    "extra_forbidden": "unknown field",
    "none_required": "omit it, or use null",
    "literal_error": "use {expected}",
    "enum": "use {expected}",
    "greater_than": "use more than {gt}",
    "greater_than_equal": "use {ge} or more",
    "less_than": "use less than {lt}",
    "less_than_equal": "use {le} or less",
    "finite_number": "use a number",
    "string_too_short": "use at least {min_length} characters",
    "string_too_long": "use at most {max_length} characters",
    "string_pattern_mismatch": "use text that matches {pattern}",
    "string_unicode": "use text that UTF-8 can encode",
    "too_short": "use at least {min_length} items",
    "too_long": "use at most {max_length} items",
    "dict_type": "use names with values",
    "model_type": "use names with values",
    "model_attributes_type": "use names with values",
    "list_type": "use a list",
    "tuple_type": "use a list",
    "set_type": "use a list",
}
"""The rules by the type of the problem. Source: https://docs.pydantic.dev/latest/errors/validation_errors/."""

_KINDS: Final[Mapping[str, str]] = {
    "int_": "use a whole number",
    "float_": "use a number",
    "bool_": "use true or false",
    "string_": "use text",
    "path_": "use a path",
}
"""The rules by the beginning of the type, for types that have no entry in `_RULES`."""


def rule_of(problem: Mapping[str, Any]) -> str:
    """Return the rule that a value breaks, from one of the `errors()` of a ValidationError.

    A type `rule` has the rule as its message.
    """
    kind, context = str(problem["type"]), problem.get("ctx") or {}
    if kind == "rule":
        return str(problem["msg"])
    if kind in _RULES:
        return _RULES[kind].format(**{name: _to_integer(value) for name, value in context.items()})
    if isinstance(context.get("error"), Exception):
        # The text of a validator of this program.
        return str(context["error"])
    general = next((rule for beginning, rule in _KINDS.items() if kind.startswith(beginning)), None)
    message = str(problem["msg"])
    return general or message[:1].lower() + message[1:]


def _to_integer(value: object) -> object:
    """Return a float that is a whole number as an integer, as the limit was written."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
