"""Text of models for the reference: types, rules, defaults, aliases and docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator

from exasol_ci_setup.constructs.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo

_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`True` or `False`",
    Path: "path",
    Any: "any value",
}
_UNKNOWN = "…"
_DOCUMENTED_BASES = {"Construct", "ScopedConstruct", "Value"}


def kind(annotation: Any) -> str:
    """Return the description of a type, with links to its models."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0])
    if origin is Literal:
        return kind(type(arguments[0]))
    if origin in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(kind(each) for each in arguments if each is not type(None)))
    if origin in {tuple, list}:
        return f"list of {kind(arguments[0])}"
    if origin in {dict, Mapping}:
        return "mapping" if arguments[1] is Any else f"{kind(arguments[0])} by name"
    if isinstance(annotation, type) and issubclass(annotation, Value):
        return f"[`{annotation.__name__}`](#{annotation.__name__.lower()})"
    return _PLAIN[annotation]


def models(annotation: Any) -> Iterator[type[Value]]:
    """Yield the models in a type."""
    if isinstance(annotation, type) and issubclass(annotation, Value):
        yield annotation
    for each in get_args(annotation):
        yield from models(each)


def rules(field: FieldInfo) -> list[str]:
    """Return the sentences about the accepted values of a field."""
    return list(dict.fromkeys((*_rules(field.annotation), *_of_metadata(tuple(field.metadata)))))


def _rules(annotation: Any) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _rules(arguments[0])
        yield from _of_metadata(arguments[1:])
    elif origin is Literal:
        yield "one of " + ", ".join(f"`{each}`" if isinstance(each, str) else str(each) for each in arguments)
    elif origin is dict:
        for what, each in zip(("names", "values"), arguments, strict=True):
            yield from (f"{what}: {rule}" for rule in _rules(each))
    else:
        for each in arguments:
            yield from _rules(each)


def _of_metadata(metadata: tuple[Any, ...]) -> Iterator[str]:
    for each in metadata:
        if isinstance(each, AfterValidator):
            yield from of_validator(each.func)


def of_validator(function: Callable[..., Any]) -> list[str]:
    """Return the rules in the error messages of a validator, without the parts that depend on a value."""
    closure = inspect.getclosurevars(function).nonlocals
    tree = ast.parse(dedent(inspect.getsource(function)))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    rules: list[str] = []
    for node in sorted(calls, key=lambda node: node.lineno):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in {"refusal", "malformed"}:
            rules.append(_text(node.args[0], {**function.__globals__, **closure}))
        elif name.startswith("require_"):
            # Several models share this rule.
            rules += of_validator(function.__globals__[name])
    return [rule for rule in rules if rule != _UNKNOWN]


def _text(node: ast.expr, names: dict[str, Any]) -> str:
    """Return the text of an expression, without the parts that depend on a value."""
    try:
        return str(eval(compile(ast.Expression(node), "rule", "eval"), names))  # noqa: S307 - our own source
    except (NameError, AttributeError):
        if not isinstance(node, ast.JoinedStr):
            return _UNKNOWN
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _text(part.value, names)
            for part in node.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )


def rules_of_model(cls: type[Value]) -> list[str]:
    """Return the rules about several fields of a model together, without those of the documented bases."""
    found = [each for each in cls.__pydantic_decorators__.model_validators.values() if each.info.mode == "after"]
    own = [each.func for each in found if each.func.__qualname__.split(".")[0] not in _DOCUMENTED_BASES]
    return [rule for function in own for rule in of_validator(function)]


def default(field: FieldInfo) -> str:
    """Return the default of a field as Python code."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value is None else f"`{_in_program(value)}`"


def _in_program(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_in_program, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def argument(name: str, field: FieldInfo) -> str:
    """Return the argument name of a field."""
    return field.alias or name


def spellings(cls: type[Value], name: str) -> list[str]:
    """Return the aliases of an argument."""
    head, *tail = name.split("_")
    camel = head + "".join(map(str.capitalize, tail))
    return [*([camel] if tail else []), *(other for other, meant in cls.also_known_as.items() if meant == name)]


def paragraphs(value: Any) -> list[str]:
    """Return the paragraphs of a docstring, each on one line, as Markdown."""
    text = inspect.getdoc(value) or ""
    found = (" ".join(each.split()).replace("``", "`") for each in text.split("\n\n"))
    # Internal functions in error lists mean nothing to readers of the page.
    return [each.replace("errors of the AWS boundary", "errors of AWS: access, credentials, network") for each in found]


def paragraphs_of_model(cls: type[Value]) -> list[str]:
    """Return the paragraphs of a model, and of its bases that are not public."""
    bases = [base for base in cls.__mro__[1:] if issubclass(base, Value) and base.__name__ not in _DOCUMENTED_BASES]
    return [*paragraphs(cls), *(text for base in bases for text in paragraphs(base))]


def paragraphs_of_action(function: Callable[..., Any]) -> list[str]:
    """Return the paragraphs of a method, and of the functions whose errors it raises."""
    found = paragraphs(function)
    referred = re.search(r" ?Raises the errors of `((?:\w+\.)+)(\w+)`\.", found[-1])
    if referred is None:
        return found
    module = import_module(f"exasol_ci_setup.{referred[1].rstrip('.')}")
    found[-1] = found[-1].replace(referred[0], "")
    return [*found, *paragraphs(getattr(module, referred[2]))[1:]]
