"""Replace values in the text of a template, and add parameters to it, without changing the rest of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.template.render import parse, written
from exasol_ci_setup.template.yaml import UnreadableYamlError, compose

if TYPE_CHECKING:
    from collections.abc import Mapping

Keys = tuple["str | int", ...]

_SECTION: Final = re.compile(r"^(Parameters|Resources):[ \t]*(#.*)?\n", re.MULTILINE)
_INDENT: Final = re.compile(r"(?:[ \t]*(?:#.*)?\n)*([ ]+)[^ #\n]")


def replace_values(body: str, values: Mapping[Keys, Any]) -> str:
    """Return the text of a template with other `values` at some places of the parsed template.

    Comments and layout remain if the text with the new values has exactly the expected meaning; otherwise the template is written again. Raises
    TemplateRejectedError for text that is no template.
    """
    expected: Any = parse(body)
    for keys, value in values.items():
        expected = _with(expected, keys, value)
    try:
        text = _in_text(body, values)
        if text is not None and parse(text) == expected:
            return text
    except (UnreadableYamlError, TemplateRejectedError):
        # Such as JSON that only a JSON parser reads.
        pass
    return _again(body, expected)


def add_parameters(body: str, declared: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of a template with further parameters. Comments and layout remain as in `replace_values`."""
    expected = parse(body)
    expected["Parameters"] = {**(expected.get("Parameters") or {}), **declared}
    text = _with_section(body, declared)
    try:
        if text is not None and parse(text) == expected:
            return text
    except TemplateRejectedError:
        pass
    return _again(body, expected)


def _with_section(body: str, declared: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the text with parameters at the beginning of their section, which is before the resources if it is new."""
    sections = {found[1]: found for found in _SECTION.finditer(body)}
    found = sections.get("Parameters") or sections.get("Resources")
    if found is None:
        return None
    is_new = found[1] == "Resources"
    at = found.start() if is_new else found.end()
    indent = "  " if is_new else (_INDENT.match(body, at) or ["", "  "])[1]
    lines = "".join(f"{indent}{name}: {json.dumps(each)}\n" for name, each in declared.items())
    return f"{body[:at]}Parameters:\n{lines}\n{body[at:]}" if is_new else f"{body[:at]}{lines}{body[at:]}"


def _again(body: str, value: Any) -> str:
    """Return a parsed template as text in the format of `body`."""
    return json.dumps(value, indent=2) + "\n" if body.lstrip().startswith("{") else written(value)


def _with(value: Any, keys: Keys, new: Any) -> Any:
    """Return a copy of `value` with `new` at `keys`."""
    if not keys:
        return new
    key, *rest = keys
    if isinstance(value, list) and isinstance(key, int):
        return [_with(item, tuple(rest), new) if index == key else item for index, item in enumerate(value)]
    return {**value, key: _with(value[key], tuple(rest), new)}


def _in_text(body: str, values: Mapping[Keys, Any]) -> str | None:
    """Return the text with the values in place of the old ones, or None if one of the places is not in the text."""
    root = compose(body)
    spans = []
    for keys, value in values.items():
        node = _node(root, keys)
        if node is None:
            return None
        # JSON in one line is valid YAML in each place of a value.
        spans.append((node.start_mark.index, node.end_mark.index, json.dumps(value)))
    for start, end, text in sorted(spans, reverse=True):
        body = body[:start] + text + body[end:]
    return body


def _node(node: yaml.Node | None, keys: Keys) -> yaml.Node | None:
    for key in keys:
        if isinstance(key, str) and node is not None and node.tag == f"!{key.removeprefix('Fn::')}":
            # The short form of a function has no key.
            continue
        if isinstance(node, yaml.MappingNode):
            node = next((value for name, value in reversed(node.value) if name.value == key), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        else:
            return None
    return node
