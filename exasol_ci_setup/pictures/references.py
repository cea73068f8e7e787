"""Which resources of a template refer to which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.stacks.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARIABLE: Final = re.compile(r"\$\{([^!}][^}]*)\}")


def references(template: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return, for each resource of a parsed template, the other resources that it refers to, each once, in the order in which they come.

    ``Ref``, ``Fn::GetAtt``, ``Fn::Sub`` and ``DependsOn`` count.
    """
    resources = as_mapping(template.get("Resources"))
    found: dict[str, tuple[str, ...]] = {}
    for name, declared in resources.items():
        names = dict.fromkeys(each for each in _named(declared) if each in resources and each != name)
        found[name] = tuple(names)
    return found


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _named(item)
    elif not isinstance(value, str) and as_mapping(value):
        for key, item in value.items():
            if key in {"Ref", "DependsOn"}:
                yield from ([item] if isinstance(item, str) else [each for each in item if isinstance(each, str)])
            elif key == "Fn::GetAtt":
                yield (item.split(".")[0] if isinstance(item, str) else str(item[0]) if item else "")
            elif key == "Fn::Sub":
                own = as_mapping(item[1]) if isinstance(item, list) and len(item) > 1 else {}
                text = item[0] if isinstance(item, list) and item else item
                yield from (
                    name.split(".")[0]
                    for name in _VARIABLE.findall(text if isinstance(text, str) else "")
                    if name not in own
                )
                yield from _named(list(own.values()))
            else:
                yield from _named(item)
