"""Find the names that a part of a template refers to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.template.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE: Final = re.compile(r"\$\{([^!}][^}]*)\}")


def references(template: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return, for each resource of a parsed template, the other resources that it refers to, each once, in the order of appearance.

    ``Ref``, ``Fn::GetAtt``, ``Fn::Sub`` and ``DependsOn`` count.
    """
    resources = as_mapping(template.get("Resources"))
    found: dict[str, tuple[str, ...]] = {}
    for name, declared in resources.items():
        names = dict.fromkeys(each for each in named(declared) if each in resources and each != name)
        found[name] = tuple(names)
    return found


def named(declared: Any) -> Iterator[str]:
    """Yield the names of resources and parameters that a parsed part of a template refers to, in the order of appearance.

    Each part is visited once, because YAML aliases may repeat it in many places.
    """
    left: list[tuple[str, Any]] = [("", declared)]
    seen: set[tuple[str, int]] = set()
    while left:
        key, value = left.pop()
        if isinstance(value, Mapping | list | tuple):
            if (key, id(value)) in seen:
                continue
            seen.add((key, id(value)))
        if key in {"Ref", "DependsOn"}:
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))
        elif key == "Fn::GetAtt":
            first = value.split(".") if isinstance(value, str) else value
            yield from (each for each in (first[:1] if isinstance(first, list) else ()) if isinstance(each, str))
        elif key == "Fn::Sub":
            parts = value if isinstance(value, list) else [value]
            own = as_mapping(parts[1]) if len(parts) > 1 else {}
            text = parts[0] if parts and isinstance(parts[0], str) else ""
            yield from (name.split(".")[0] for name in _VARIABLE.findall(text) if name not in own)
            left.extend(("", each) for each in reversed(list(own.values())))
        elif isinstance(value, list | tuple):
            left.extend(("", each) for each in reversed(value))
        else:
            left.extend(reversed(list(as_mapping(value).items())))


def renamed(template: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of a parsed template in which the resources in `ids` are renamed from the keys to the values.

    References by ``Ref``, ``Fn::GetAtt``, ``Fn::Sub`` and ``DependsOn`` are renamed too.
    """
    if not ids:
        return dict(template)
    result = {key: _renamed(key, value, ids) for key, value in template.items()}
    resources = as_mapping(result.get("Resources"))
    return {**result, "Resources": {ids.get(name, name): value for name, value in resources.items()}}


def _renamed(key: str, value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        if key in {"Ref", "DependsOn"}:
            return ids.get(value, value)
        if key == "Fn::GetAtt":
            name, point, attribute = value.partition(".")
            return f"{ids.get(name, name)}{point}{attribute}"
        return _in_text(value, ids) if key == "Fn::Sub" else value
    if isinstance(value, list | tuple):
        if key == "Fn::GetAtt" and value:
            return [ids.get(value[0], value[0]) if isinstance(value[0], str) else value[0], *value[1:]]
        if key == "Fn::Sub" and value and isinstance(value[0], str):
            own = as_mapping(value[1]) if len(value) > 1 else {}
            others = {name: new for name, new in ids.items() if name not in own}
            return [_in_text(value[0], others), *(_renamed("", each, ids) for each in value[1:])]
        return [_renamed(key if key == "DependsOn" else "", each, ids) for each in value]
    if isinstance(value, Mapping):
        return {name: _renamed(name, each, ids) for name, each in value.items()}
    return value


def _in_text(text: str, ids: Mapping[str, str]) -> str:
    def follow(match: re.Match[str]) -> str:
        name, point, attribute = match[1].partition(".")
        return f"${{{ids.get(name, name)}{point}{attribute}}}"

    return _VARIABLE.sub(follow, text)
