"""Reject templates and parameters that CloudFormation rejects and ministack accepts, and accept what only CloudFormation accepts.

These are pure functions. The messages are those of AWS, as users report them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.task_graph import find_blocked
from exasol_ci_setup.template.intrinsics import SUB_VARIABLE, as_mapping, variable_name
from exasol_ci_setup.template.references import DEPENDS_ON, find_references, references, resource_references

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from exasol_ci_setup.template.references import Reference

# The CloudFormation user guide, "Get AWS values using pseudo parameters".
_PSEUDO_PARAMETERS: Final = frozenset(
    f"AWS::{name}"
    for name in ("AccountId", "NotificationARNs", "NoValue", "Partition", "Region", "StackId", "StackName", "URLSuffix")
)
_NAME: Final = re.compile(r"[A-Za-z0-9_.:]+")
_VIRTUAL_HOST: Final = re.compile(
    r"https?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3[.-][a-z0-9.-]*amazonaws\.com(?:\.cn)?/(.+)"
)


def template_problem(template: Mapping[str, Any]) -> str:
    """Return CloudFormation's message about undefined names or cycles in `template`; empty if it is valid."""
    if template.get("Transform"):
        return ""  # a macro can define the missing names
    resources = as_mapping(template.get("Resources"))
    known = {*resources, *as_mapping(template.get("Parameters")), *_PSEUDO_PARAMETERS}
    for block in ("Resources", "Outputs"):
        members = as_mapping(template.get(block))
        find = resource_references if block == "Resources" else find_references
        found = [each for member in members.values() for each in find(member)]
        problem = _reference_problem(block, found, resources.keys(), known)
        if problem:
            return problem
        for member in members.values():
            condition = as_mapping(member).get("Condition")
            if isinstance(condition, str) and condition not in as_mapping(template.get("Conditions")):
                return (
                    f"Template format error: Unresolved condition dependency {condition} in the {block} block "
                    "of the template"
                )
    blocked = sorted(find_blocked(references(template)))
    return f"Circular dependency between resources: [{', '.join(blocked)}]" if blocked else ""


def _reference_problem(
    block: str, found: Sequence[Reference], resources: Collection[str], known: Collection[str]
) -> str:
    if any(each.kind == "Fn::Sub" and not _NAME.fullmatch(f"{each.name}.{each.attribute}") for each in found):
        return (
            "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, "
            "periods, and colons"
        )
    for name in (each.name for each in found if each.kind == "Fn::GetAtt"):
        if name not in resources:
            return f"Template error: instance of Fn::GetAtt references undefined resource {name}"
    missing = [each.name for each in found if each.name not in (resources if each.kind == DEPENDS_ON else known)]
    if missing:
        listed = ", ".join(dict.fromkeys(missing))
        return (
            f"Template format error: Unresolved resource dependencies [{listed}] in the {block} block of the template"
        )
    return ""


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


def without_blanks(value: Any) -> Any:
    """Return a parsed value without the blanks around names in ``Fn::Sub``. CloudFormation ignores them, and ministack does not.

    Source: https://github.com/aws-cloudformation/cfn-lint/issues/236.
    """
    return _with_texts(value, lambda name: f"${{{name}}}")


def with_references_as_text(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parsed template in which references to its resources in ``Fn::Sub`` are literal text.

    ministack replaces a reference that it cannot resolve yet by the name in it, which can be equal to other text.
    """
    resources = as_mapping(template.get("Resources"))
    found: dict[str, Any] = _with_texts(
        template, lambda name: f"${{!{name}}}" if name.partition(".")[0] in resources else f"${{{name}}}"
    )
    return found


def _with_texts(value: Any, written: Callable[[str], str]) -> Any:
    """Return a parsed value in which each variable in ``Fn::Sub`` is `written` in another way; the argument is its name."""
    if isinstance(value, list):
        return [_with_texts(each, written) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _with_texts(each, written) for key, each in value.items()}
    match found:
        case {"Fn::Sub": str() as text}:
            return {**found, "Fn::Sub": _text(text, written)}
        case {"Fn::Sub": [str() as text, *rest]}:
            return {**found, "Fn::Sub": [_text(text, written), *rest]}
    return found


def _text(text: str, written: Callable[[str], str]) -> str:
    def write(found: re.Match[str]) -> str:
        name = variable_name(found)
        # ministack reads literal text only without blanks before its mark.
        return f"${{!{found[2]}}}" if name is None else written(name)

    return SUB_VARIABLE.sub(write, text)


def path_style(url: str) -> str:
    """Return an S3 URL in path style. Other URLs are returned unchanged."""
    match = _VIRTUAL_HOST.fullmatch(url)
    return f"https://s3.amazonaws.com/{match[1]}/{match[2]}" if match else url
