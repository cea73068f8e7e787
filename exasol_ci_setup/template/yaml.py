"""Read YAML with CloudFormation's short tags as plain data, with CloudFormation's restrictions, and write such data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


# More than a template of the maximum size has without aliases.
_MOST_VALUES: Final = 1_000_000


class UnreadableYamlError(Exception):
    """The text is not valid YAML: `reason`, and `line` from 1, or 0 if unknown. The message is printed after "cannot be read"."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(f" in line {line}: {reason}" if line else f": {reason}")
        self.reason = reason
        self.line = line


def load(body: str) -> Any:
    """Return the value of the YAML text `body`, in the form of `templates.parse`. Raises UnreadableYamlError."""
    with readable():
        # The loader derives from the safe one.
        return _require_bounded(body, yaml.load(body, Loader=_TemplateLoader))  # noqa: S506


def load_lenient(body: str) -> tuple[Any, list[str]]:
    """Return the value of a deployed template, and notes on what `load` refuses. Raises UnreadableYamlError for text that is not YAML.

    Of duplicate keys the last one counts, as in CloudFormation. An unknown tag is ignored, and a key that is not plain becomes text.
    """
    with readable():
        loader = _LenientLoader(body)
        try:
            value = _require_bounded(body, loader.get_data() if loader.check_data() else None)
        finally:
            loader.dispose()
    return value, loader.notes


def compose(body: str) -> yaml.Node | None:
    """Return the nodes of a YAML text, whose marks are offsets in it. Raises UnreadableYamlError."""
    with readable():
        return yaml.compose(body, Loader=_TemplateLoader)


def dump(template: dict[str, Any]) -> str:
    """Return plain data as YAML, without aliases: each use of a shared value is written."""
    return yaml.dump(template, Dumper=_PlainDumper, sort_keys=False, width=120)


@contextmanager
def readable() -> Iterator[None]:
    """Raise UnreadableYamlError for the errors of the YAML parser."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = str(error.problem or error.context)
        raise UnreadableYamlError(reason, mark.line + 1 if mark else 0) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableYamlError(str(error)) from error


def _require_bounded(body: str, value: Any) -> Any:
    """Return `value` unless aliases repeat a part so often that it is larger than any template."""
    if "&" in body and _count(value, {}) > _MOST_VALUES:
        raise UnreadableYamlError(f"its aliases expand to more than {_MOST_VALUES:,} values")
    return value


def _count(value: Any, known: dict[int, int]) -> int:
    """Return how many values `value` contains; `known` has the numbers of shared values by their identity."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        # Counted as larger than allowed while it is counted, so that a value that contains itself is too large.
        known[id(value)] = _MOST_VALUES
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(value)]


class _PlainDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """YAML without anchors and aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Return True: no value is written as an alias."""
        return True


class _TemplateLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML with CloudFormation's short tags, which rejects duplicate keys as CloudFormation does."""

    def report(self, problem: str, mark: yaml.Mark) -> None:
        """Reject what a template must not contain."""
        raise yaml.constructor.ConstructorError(None, None, problem, mark)


class _LenientLoader(_TemplateLoader):
    """YAML of a deployed template; `notes` has what `_TemplateLoader` rejects."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.notes: list[str] = []

    def report(self, problem: str, mark: yaml.Mark) -> None:
        """Note what a template must not contain."""
        self.notes.append(f"line {mark.line + 1}: {problem}")


def _intrinsic(loader: _TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    value = _without_tag(loader, node)
    if suffix == "GetAtt" and isinstance(value, str):
        # Only the first dot separates: an output of a nested stack is named `Outputs.Name`.
        value = value.split(".", 1)
    return {name: value}


def _without_tag(loader: _TemplateLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


def _mapping(loader: _TemplateLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            loader.report("a key is not a plain value", key_node.start_mark)
            key = str(key)
        if key in result:
            loader.report(f"duplicate key {key!r}", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


def _unsupported(loader: _TemplateLoader, node: yaml.Node) -> Any:
    loader.report(f"CloudFormation does not support the tag {node.tag}", node.start_mark)
    return _without_tag(loader, node)


_TemplateLoader.add_multi_constructor("!", _intrinsic)
_TemplateLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
# CloudFormation has no dates: `Version: 2012-10-17` is text.
_TemplateLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
for _tag in (None, *(f"tag:yaml.org,2002:{_name}" for _name in ("binary", "omap", "pairs", "set"))):
    _TemplateLoader.add_constructor(_tag, _unsupported)
