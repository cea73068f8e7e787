"""Which names a part of a template refers to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.stacks.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE: Final = re.compile(r"\$\{([^!}][^}]*)\}")


def references(template: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return, for each resource of a parsed template, the other resources that it refers to, each once, in the order in which they come.

    ``Ref``, ``Fn::GetAtt``, ``Fn::Sub`` and ``DependsOn`` count.
    """
    resources = as_mapping(template.get("Resources"))
    found: dict[str, tuple[str, ...]] = {}
    for name, declared in resources.items():
        names = dict.fromkeys(each for each in named(declared) if each in resources and each != name)
        found[name] = tuple(names)
    return found


def named(declared: Any) -> Iterator[str]:
    """Yield the names of resources and parameters that a parsed part of a template refers to, in the order in which they come.

    Each part is looked at once, since YAML's aliases may put it in many places.
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
