"""Read YAML with CloudFormation's short tags as plain data, with CloudFormation's restrictions, and write such data."""

from __future__ import annotations

from typing import Any

import yaml


class UnreadableYamlError(Exception):
    """The text is not valid YAML; the message has the line, if known, and the reason. It is printed after "cannot be read"."""


def load(body: str) -> Any:
    """Return the value of the YAML text `body`, in the form of `templates.parse`. Raises UnreadableYamlError."""
    try:
        # The loader derives from the safe one.
        return yaml.load(body, Loader=_TemplateLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise UnreadableYamlError(f"{where}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableYamlError(f": {error}") from error


def dump(template: dict[str, Any]) -> str:
    """Return plain data as YAML."""
    return yaml.safe_dump(template, sort_keys=False, width=120)


class _TemplateLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML with CloudFormation's short tags, which rejects duplicate keys as CloudFormation does."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    value: Any = None
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            # Only the first dot separates: an output of a nested stack is named `Outputs.Name`.
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = _mapping(loader, node)
    return {name: value}


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, "a key is not a plain value", key_node.start_mark)
        if key in result:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_TemplateLoader.add_multi_constructor("!", _intrinsic)
_TemplateLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
# CloudFormation has no dates: `Version: 2012-10-17` is text.
_TemplateLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
