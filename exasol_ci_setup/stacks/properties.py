"""Compare two templates property by property, and merge the result with the changes of AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.stacks import ABSENT, Change, PropertyChange, Setting
from exasol_ci_setup.template.intrinsics import as_mapping, canonical, is_function, parameter_values, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.core.stacks import ResourceDrift

_RECREATES: Final = ("", "Never", "Conditionally", "Always")


def property_changes(
    before: Mapping[str, Any],
    before_parameters: Mapping[str, str],
    after: Mapping[str, Any],
    after_parameters: Mapping[str, str],
) -> dict[str, tuple[PropertyChange, ...]]:
    """Return, by logical ID, the differences of the resources that are in both templates; unchanged resources are omitted.

    Numbers and booleans equal the strings that CloudFormation treats as the same (``14`` and ``"14"``).
    """
    old = as_mapping(resolve(before, before_parameters).get("Resources"))
    new = as_mapping(resolve(after, after_parameters).get("Resources"))
    changes: dict[str, tuple[PropertyChange, ...]] = {}
    for logical_id, resource in new.items():
        if logical_id not in old:
            continue
        found = tuple(_resource_differences(as_mapping(old[logical_id]), as_mapping(resource)))
        if found:
            changes[logical_id] = found
    return changes


def merge(changes: Sequence[Change], differences: Mapping[str, Sequence[PropertyChange]]) -> tuple[Change, ...]:
    """Return `changes` with values from the templates' `differences` where AWS returned none.

    Values come from the templates, or from AWS if the templates have none. The recreation comes from AWS. A path of AWS may be a JSON pointer
    (``/Properties/Source/Location``), a dotted path, or the bare name of a property, which then includes all below it.
    A resource that the change set does not list is not added: AWS is authoritative.
    """
    return tuple(
        replace(change, properties=_merge_property(change.properties, differences.get(change.logical_id, ())))
        for change in changes
    )


def actual_template(template: Mapping[str, Any], drifted: Sequence[ResourceDrift]) -> dict[str, Any]:
    """Return the deployed `template` with the actual values of the drifted resources."""
    resources = dict(as_mapping(template.get("Resources")))
    for each in drifted:
        if each.logical_id not in resources:
            continue
        if each.status == "DELETED":
            del resources[each.logical_id]
            continue
        resource = as_mapping(resources[each.logical_id])
        properties = dict(as_mapping(resource.get("Properties")))
        for name in {item.path.partition(".")[0] for item in each.properties}:
            if name in each.actual:
                properties[name] = each.actual[name]
            else:
                properties.pop(name, None)
        resources[each.logical_id] = {**resource, "Properties": properties}
    return {**template, "Resources": resources}


def setting_changes(
    *,
    before: Mapping[str, Any] | None = None,
    before_parameters: Mapping[str, str] | None = None,
    after: Mapping[str, Any] | None = None,
    after_parameters: Mapping[str, str] | None = None,
    tags_before: Mapping[str, str] | None = None,
    tags_after: Mapping[str, str] | None = None,
    protected_before: bool | None = None,
    protected_after: bool | None = None,
) -> tuple[Setting, ...]:
    """Return the differences besides the resources, in the order description, parameters, outputs, tags, termination protection.

    The names are ``description`` (if an existing template has another one), ``parameters.KEY``, ``outputs.KEY`` (the value; ``outputs.KEY.Export.Name`` and the like for other parts),
    ``tags.KEY`` and ``termination-protection``. A kind whose wanted value is None is not compared; a deployed value
    of None is empty (protection: off).
    """
    settings: list[Setting] = []
    if after is not None:
        old, new = before or {}, after
        old_values, new_values = before_parameters or {}, after_parameters or {}
        if before is not None:
            settings += _settings("", _other_parts(old), _other_parts(new))
        settings += _settings("parameters.", _shown_parameters(old, old_values), _shown_parameters(new, new_values))
        old_outputs = _outputs(resolve(old, old_values))
        settings += _settings("outputs.", old_outputs, _outputs(resolve(new, new_values)))
    if tags_after is not None:
        settings += _settings("tags.", tags_before or {}, tags_after)
    if protected_after is not None and bool(protected_before) is not protected_after:
        settings.append(Setting("termination-protection", bool(protected_before), protected_after))
    return tuple(settings)


def _equals(one: Any, other: Any) -> bool:
    return canonical(one) == canonical(other)


def _shown_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    values = parameter_values(template, given)
    return {name: value for name, value in values.items() if not name.startswith("AWS::")}


def _outputs(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the outputs by name, and their other parts by dotted name."""
    outputs: dict[str, Any] = {}
    for name, output in as_mapping(template.get("Outputs")).items():
        for key, value in as_mapping(output).items():
            if key == "Value":
                outputs[name] = value
            elif key == "Export":
                outputs[f"{name}.Export.Name"] = as_mapping(value).get("Name", value)
            elif key != "Condition":
                outputs[f"{name}.{key}"] = value
    return outputs


def _other_parts(template: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": template["Description"]} if template.get("Description") else {}


def _settings(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Setting]:
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        if old is ABSENT or new is ABSENT or not _equals(old, new):
            yield Setting(f"{prefix}{key}", old, new)


def _resource_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[PropertyChange]:
    yield from _differences(as_mapping(before.get("Properties")), as_mapping(after.get("Properties")), "")
    for name in dict.fromkeys((*before, *after)):
        if name == "Properties":
            continue
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if name == "DependsOn":
            old, new = _names(old), _names(new)
        yield from _differences(old, new, name)


def _names(depends_on: Any) -> Any:
    """Return a value of DependsOn in normal form: one name equals a list of it, and the order does not matter."""
    if isinstance(depends_on, list):
        return sorted(depends_on, key=canonical)
    return depends_on if depends_on is ABSENT else [depends_on]


def _differences(before: Any, after: Any, path: str) -> Iterator[PropertyChange]:
    if before is ABSENT or after is ABSENT:
        if before is not after:
            yield PropertyChange(path, before, after)
    elif _equals(before, after):
        return
    elif isinstance(before, Mapping) and isinstance(after, Mapping) and not is_function(before) | is_function(after):
        for key in dict.fromkeys((*before, *after)):
            yield from _differences(before.get(key, ABSENT), after.get(key, ABSENT), _join_path(path, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_differences(before, after, path)
    else:
        yield PropertyChange(path, before, after)


def _list_differences(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[PropertyChange]:
    """Match equal elements first; elements between two matches are compared by position, the rest is added or removed."""
    matcher = SequenceMatcher(None, [canonical(item) for item in before], [canonical(item) for item in after], False)
    pairs: dict[int, tuple[Any, Any]] = {}
    removed: set[int] = set()
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind != "equal":
            paired = min(end - start, new_end - new_start)
            removed.update(range(start + paired, end))
            old = [*before[start : start + paired], *[ABSENT] * (new_end - new_start - paired)]
            pairs.update(zip(range(new_start, new_end), zip(old, after[new_start:new_end], strict=True), strict=True))
    if removed & pairs.keys():
        # One index would mean two elements: compare by index instead, which is always correct.
        length = max(len(before), len(after))
        old, new = ([*items, *[ABSENT] * (length - len(items))] for items in (before, after))
        pairs, removed = dict(enumerate(zip(old, new, strict=True))), set()
    pairs.update({index: (before[index], ABSENT) for index in removed})
    for index in sorted(pairs):
        yield from _differences(*pairs[index], _join_path(path, index))


def _join_path(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _dotted(path: str) -> str:
    """Return a JSON pointer below the resource, or a dotted path, in the dotted notation of this library."""
    if path.startswith("/"):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
        path = ".".join(steps)
    return path.removeprefix("Properties.")


def _is_within(path: str, outer: str) -> bool:
    return path == outer or path.startswith(outer + ".")


def _merge_property(named: Sequence[PropertyChange], found: Sequence[PropertyChange]) -> tuple[PropertyChange, ...]:
    merged: dict[str, PropertyChange] = {}
    used: set[str] = set()
    for given in named:
        path = _dotted(given.path)
        inside = [item for item in found if _is_within(item.path, path)]
        around = [item for item in found if item.path != path and _is_within(path, item.path)]
        used.update(item.path for item in (*inside, *around))
        for item in _filled(replace(given, path=path), inside, around):
            merged[item.path] = _stronger(merged.get(item.path, item), item)
    merged.update({item.path: item for item in found if item.path not in used})
    return tuple(merged.values())


def _filled(
    given: PropertyChange, inside: Sequence[PropertyChange], around: Sequence[PropertyChange]
) -> list[PropertyChange]:
    """Return the change `given` by AWS with the values of the templates' differences `inside` and `around` its path."""
    # The templates have the text of their author. The value of AWS may be a placeholder for a value that is known later.
    if inside:
        return [replace(item, recreates=given.recreates) for item in inside]
    if given.before is not ABSENT or given.after is not ABSENT:
        return [given]
    return [_change_within(given.path, given.recreates, around)]


def _change_within(path: str, recreates: str, around: Sequence[PropertyChange]) -> PropertyChange:
    """Return the difference at `path`, which is inside of one of the properties `around`."""
    for item in around:
        steps = path[len(item.path) + 1 :].split(".")
        return PropertyChange(path, _at(item.before, steps), _at(item.after, steps), recreates)
    return PropertyChange(path, recreates=recreates)


def _at(value: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return ABSENT
    return value


def _stronger(one: PropertyChange, other: PropertyChange) -> PropertyChange:
    """Merge two changes of one property: keep known values, and the stronger recreation. AWS lists a property once for each cause."""
    recreates = max(
        one.recreates, other.recreates, key=lambda word: _RECREATES.index(word) if word in _RECREATES else 0
    )
    valued = one if one.before is not ABSENT or one.after is not ABSENT else other
    return replace(valued, recreates=recreates)
