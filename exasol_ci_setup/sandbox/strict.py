"""Reject templates and parameters that CloudFormation rejects and ministack accepts.

These are pure functions. The messages are those of AWS, as users report them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# The CloudFormation user guide, "Get AWS values using pseudo parameters".
_PSEUDO_PARAMETERS: Final = frozenset(
    f"AWS::{name}"
    for name in ("AccountId", "NotificationARNs", "NoValue", "Partition", "Region", "StackId", "StackName", "URLSuffix")
)
_SUBSTITUTION: Final = re.compile(r"\$\{(?!!)([^}]+)\}")
_VIRTUAL_HOST: Final = re.compile(
    r"https?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3[.-][a-z0-9.-]*amazonaws\.com(?:\.cn)?/(.+)"
)


def template_problem(template: Mapping[str, Any]) -> str:
    """Return CloudFormation's message about undefined names or cycles in `template`; empty if it is valid."""
    if template.get("Transform"):
        return ""  # a macro can define the missing names
    resources = template.get("Resources") or {}
    known = {*resources, *(template.get("Parameters") or {}), *_PSEUDO_PARAMETERS}
    for block in ("Resources", "Outputs"):
        references = list(_references(template.get(block) or {}))
        for name in (name for kind, name in references if kind == "Fn::GetAtt"):
            if name not in resources:
                return f"Template error: instance of Fn::GetAtt references undefined resource {name}"
        missing = [name for kind, name in references if kind != "Fn::GetAtt" and name not in known]
        if block == "Resources":
            missing += [name for name in _dependencies(resources) if name not in resources]
        if missing:
            listed = ", ".join(dict.fromkeys(missing))
            return f"Template format error: Unresolved resource dependencies [{listed}] in the {block} block of the template"
        for member in (template.get(block) or {}).values():
            condition = member.get("Condition") if isinstance(member, dict) else None
            if isinstance(condition, str) and condition not in (template.get("Conditions") or {}):
                return (
                    f"Template format error: Unresolved condition dependency {condition} in the {block} block "
                    "of the template"
                )
    cycle = _cycle(resources)
    return f"Circular dependency between resources: [{', '.join(cycle)}]" if cycle else ""


def parameter_problem(
    template: Mapping[str, Any], given: Sequence[Mapping[str, Any]], previous: Mapping[str, Any]
) -> str:
    """Return CloudFormation's message about unknown or missing parameters; empty if they are valid.

    `given` are the parameters of the request, each with ``Key`` and ``UsePreviousValue``. `previous` are those of the stack.
    """
    defined = template.get("Parameters") or {}
    unknown = [entry["Key"] for entry in given if entry["Key"] not in defined]
    if unknown:
        return f"Parameters: [{', '.join(unknown)}] do not exist in the template"
    with_value = {entry["Key"] for entry in given if not entry.get("UsePreviousValue") or entry["Key"] in previous}
    missing = [name for name, definition in defined.items() if name not in with_value and "Default" not in definition]
    return f"Parameters: [{', '.join(missing)}] must have values" if missing else ""


def path_style(url: str) -> str:
    """Return an S3 URL in path style. Other URLs are returned unchanged."""
    match = _VIRTUAL_HOST.fullmatch(url)
    return f"https://s3.amazonaws.com/{match[1]}/{match[2]}" if match else url


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield each referencing intrinsic function in `value` with the referenced name."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, argument in value.items():
            if key == "Ref" and isinstance(argument, str):
                yield key, argument
            elif key == "Fn::GetAtt":
                yield from _attribute(argument)
            elif key == "Fn::Sub":
                yield from _substitutions(argument)
            else:
                yield from _references(argument)


def _attribute(argument: Any) -> Iterator[tuple[str, str]]:
    name = argument.partition(".")[0] if isinstance(argument, str) else next(iter(argument or [""]))
    if isinstance(name, str):
        yield "Fn::GetAtt", name


def _substitutions(argument: Any) -> Iterator[tuple[str, str]]:
    text, bindings = argument if isinstance(argument, list) and len(argument) > 1 else (argument, {})
    yield from _references(bindings)
    for variable in _SUBSTITUTION.findall(str(text)):
        name = variable.strip().partition(".")[0]
        if name not in bindings:
            yield "Fn::Sub", name


def _dependencies(resources: Mapping[str, Any]) -> Iterator[str]:
    for resource in resources.values():
        named = resource.get("DependsOn", []) if isinstance(resource, dict) else []
        yield from [named] if isinstance(named, str) else named


def _cycle(resources: Mapping[str, Any]) -> list[str]:
    """Return the sorted names of resources in or behind a cycle; empty without a cycle."""
    needs = {
        name: {
            *(target for _, target in _references(resource.get("Properties") or {}) if target in resources),
            *_dependencies({name: resource}),
        }
        - {name}
        for name, resource in resources.items()
    }
    while ready := {name for name, others in needs.items() if not others}:
        needs = {name: others - ready for name, others in needs.items() if name not in ready}
    return sorted(needs)
