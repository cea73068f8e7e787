"""Find and rename the references in a template: the only code that interprets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from exasol_ci_setup.template.intrinsics import SUB_VARIABLE, as_mapping, readable, variable_name

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

DEPENDS_ON: Final = "DependsOn"


class Reference(NamedTuple):
    """A reference to a resource or a parameter.

    `kind` is ``Ref``, ``Fn::GetAtt``, ``Fn::Sub`` or ``DependsOn``. `attribute` is empty for a reference without one.
    """

    kind: str
    name: str
    attribute: str = ""


def references(template: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return, for each resource of a parsed template, the other resources that it refers to, each once, in the order of appearance."""
    resources = as_mapping(template.get("Resources"))
    found: dict[str, tuple[str, ...]] = {}
    for name, declared in resources.items():
        names = dict.fromkeys(each.name for each in resource_references(declared))
        found[name] = tuple(each for each in names if each in resources and each != name)
    return found


def resource_references(declared: Any) -> Iterator[Reference]:
    """Yield the references of a parsed resource, in the order of appearance: those in its values, and its ``DependsOn``.

    ``DependsOn`` is an attribute only of a resource. Properties can have the same name, for example in containers of ECS:
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html.
    """
    for key, value in as_mapping(declared).items():
        if key == DEPENDS_ON:
            names = value if isinstance(value, list | tuple) else [value]
            yield from (Reference(key, each) for each in names if isinstance(each, str))
        else:
            yield from find_references(value)


def find_references(value: Any) -> Iterator[Reference]:
    """Yield the references in a parsed value, such as a property or an output, in the order of appearance.

    Each part is visited once, because YAML aliases may repeat it in many places.
    """
    left: list[Any] = [value]
    seen: set[int] = set()
    while left:
        part = left.pop()
        if not isinstance(part, Mapping | list | tuple) or id(part) in seen:
            continue
        seen.add(id(part))
        inner: list[Any] = []
        if isinstance(part, Mapping):
            for key, argument in part.items():
                found, values = _function(key, argument)
                yield from found
                inner += values
        else:
            inner += part
        left.extend(reversed(inner))


def _function(name: Any, argument: Any) -> tuple[list[Reference], list[Any]]:
    """Return the references of an intrinsic function itself, and the values in which further ones can be."""
    if name == "Ref" and isinstance(argument, str):
        return [Reference(name, argument)], []
    if name == "Fn::GetAtt":
        return _get_att(argument)
    return _sub(argument) if name == "Fn::Sub" else ([], [argument])


def _get_att(argument: Any) -> tuple[list[Reference], list[Any]]:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if not isinstance(parts, list | tuple) or not parts or not isinstance(parts[0], str):
        return [], [argument]
    attribute = ".".join(each for each in parts[1:] if isinstance(each, str))
    return [Reference("Fn::GetAtt", parts[0], attribute)], list(parts[1:])


def _sub(argument: Any) -> tuple[list[Reference], list[Any]]:
    text, *rest = argument if isinstance(argument, list | tuple) and argument else [argument]
    own = as_mapping(rest[0]) if rest else {}
    variables = map(variable_name, SUB_VARIABLE.finditer(text)) if isinstance(text, str) else ()
    return [_variable(each) for each in variables if each and each not in own], list(own.values())


def _variable(text: str) -> Reference:
    name, _, attribute = text.partition(".")
    return Reference("Fn::Sub", name, attribute)


def referred_name(value: Any) -> str:
    """Return the logical ID if the value is one reference to a resource, otherwise the value in short notation."""
    text = readable(value)
    inside = text[2:-1] if text.startswith("${") and text.endswith("}") else ""
    logical_id, dot, attribute = inside.partition(".")
    is_one_reference = inside.isascii() and logical_id.isalnum() and (attribute.replace(".", "").isalnum() or not dot)
    return logical_id if is_one_reference else text


def renamed(template: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of a parsed template in which the resources in `ids` are renamed from the keys to the values.

    References to these resources are renamed too.
    """
    if not ids:
        return dict(template)
    result = {key: _renamed(value, ids) for key, value in template.items()}
    resources = as_mapping(result.get("Resources"))
    return {
        **result,
        "Resources": {ids.get(name, name): _depending_on_renamed(value, ids) for name, value in resources.items()},
    }


def _depending_on_renamed(declared: Any, ids: Mapping[str, str]) -> Any:
    match declared:
        case {"DependsOn": str() as name}:
            return {**declared, DEPENDS_ON: ids.get(name, name)}
        case {"DependsOn": list() as names}:
            return {**declared, DEPENDS_ON: [ids.get(each, each) if isinstance(each, str) else each for each in names]}
    return declared


def _renamed(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _renamed_argument(name, each, ids) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, ids) for each in value]
    return value


def _renamed_argument(function: Any, argument: Any, ids: Mapping[str, str]) -> Any:
    match function, argument:
        case "Ref", str():
            return ids.get(argument, argument)
        case "Fn::GetAtt", str():
            name, point, attribute = argument.partition(".")
            return f"{ids.get(name, name)}{point}{attribute}"
        case "Fn::GetAtt", [str() as name, *rest]:
            return [ids.get(name, name), *(_renamed(each, ids) for each in rest)]
        case "Fn::Sub", str():
            return _in_text(argument, ids)
        case "Fn::Sub", [str() as text, *rest]:
            own = as_mapping(rest[0]) if rest else {}
            return [_in_text(text, ids, own), *(_renamed(each, ids) for each in rest)]
    return _renamed(argument, ids)


def _in_text(text: str, ids: Mapping[str, str], own: Mapping[str, Any] | None = None) -> str:
    def follow(match: re.Match[str]) -> str:
        variable = variable_name(match)
        if variable is None or variable in (own or {}):
            return match[0]
        name, point, attribute = variable.partition(".")
        return f"${{{ids.get(name, name)}{point}{attribute}}}"

    return SUB_VARIABLE.sub(follow, text)
