"""What a template says once its parameters are known, and how two such templates differ, property by property."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.stacks.model import ABSENT, Change, PropertyChange, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK: Final = "****"

_VARIABLE: Final = re.compile(r"\$\{(!?)\s*([^}]*?)\s*\}")
_RECREATES: Final = ("", "Never", "Conditionally", "Always")
_NO_VALUE: Final = {"Ref": "AWS::NoValue"}


def resolve(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of `template` in which everything that the `parameters` decide is decided.

    References to parameters become their values (the default where none is given, ``"****"`` for NoEcho, a dynamic reference
    for those that name an SSM parameter, a list for list types); conditions, ``Fn::If``, ``Fn::FindInMap``,
    ``Fn::Join``, ``Fn::Select``, ``Fn::Split`` and ``Fn::Sub`` are folded where all they need is known; ``AWS::NoValue``
    and whatever stands under a condition that is false are left out. Pseudo parameters count where `parameters` names them
    (``AWS::Region``). The rest stays as it is; nothing is raised for a template that is odd.
    """
    template = _mapping(template)
    resolver = _Resolver(template, parameters)
    return {
        key: resolver.section(value) if key in {"Resources", "Outputs"} else value for key, value in template.items()
    }


def property_changes(
    before: Mapping[str, Any],
    before_parameters: Mapping[str, str],
    after: Mapping[str, Any],
    after_parameters: Mapping[str, str],
) -> dict[str, tuple[PropertyChange, ...]]:
    """Return, by logical id, how the resources that are in both templates differ; those that do not are left out.

    Numbers and booleans equal the strings that CloudFormation takes them for (``14`` and ``"14"``).
    """
    old = _mapping(resolve(before, before_parameters).get("Resources"))
    new = _mapping(resolve(after, after_parameters).get("Resources"))
    changes: dict[str, tuple[PropertyChange, ...]] = {}
    for logical_id, resource in new.items():
        if logical_id not in old:
            continue
        found = tuple(_resource_differences(_mapping(old[logical_id]), _mapping(resource)))
        if found:
            changes[logical_id] = found
    return changes


def merge(changes: Sequence[Change], differences: Mapping[str, Sequence[PropertyChange]]) -> tuple[Change, ...]:
    """Return `changes` with values from the templates' `differences` where AWS gave none.

    Values that AWS gave stay, and so does what it says of recreation. A path of AWS's may be a JSON pointer
    (``/Properties/Source/Location``), a dotted path, or a property's bare name, which then stands for all below it.
    A resource that AWS's change set does not list is not added: AWS knows better.
    """
    return tuple(
        replace(change, properties=_merged(change.properties, differences.get(change.logical_id, ())))
        for change in changes
    )


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
    """Return what differs beside the resources, in the order parameters, outputs, tags, termination protection.

    The names are ``parameters.KEY``, ``outputs.KEY`` (its value; ``outputs.KEY.Export.Name`` and the like for the rest of it),
    ``tags.KEY`` and ``termination-protection``. A kind whose wanted side is None is not compared; a deployed side
    of None is empty (protection: off).
    """
    settings: list[Setting] = []
    if after is not None:
        old, new = before or {}, after
        old_values, new_values = before_parameters or {}, after_parameters or {}
        settings += _settings("parameters", _shown_parameters(old, old_values), _shown_parameters(new, new_values))
        old_outputs = _outputs(resolve(old, old_values))
        settings += _settings("outputs", old_outputs, _outputs(resolve(new, new_values)))
    if tags_after is not None:
        settings += _settings("tags", tags_before or {}, tags_after)
    if protected_after is not None and bool(protected_before) is not protected_after:
        settings.append(Setting("termination-protection", bool(protected_before), protected_after))
    return tuple(settings)


def canonical(value: Any) -> str:
    """Return JSON that is the same for all values that CloudFormation takes for the same."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def readable(value: Any) -> str:
    """Return a template's value as a person would write it: text as it is, ``${Bucket.Arn}`` for references, else JSON.

    Whatever is not text afterwards starts with ``{`` or ``[``.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, argument),) = value.items()
        written = _written(name, argument)
        if written is not None:
            return written
    if isinstance(value, Mapping | list | tuple):
        return canonical(value)
    return _scalar(value)


def _written(name: Any, argument: Any) -> str | None:
    """Return an intrinsic function in the notation of ``Fn::Sub``, or None if it cannot be told in that."""
    match name, argument:
        case "Ref", str():
            return f"${{{argument}}}"
        case "Fn::GetAtt", str():
            return f"${{{argument}}}"
        case "Fn::GetAtt", [str() as logical_id, str() as attribute]:
            return f"${{{logical_id}.{attribute}}}"
        case "Fn::Sub", str():
            return argument
        case "Fn::Sub", [str() as text, Mapping() as variables]:
            known = {str(key): readable(item) for key, item in variables.items()}
            return _VARIABLE.sub(lambda found: known.get(found[2], found[0]) if not found[1] else found[0], text)
        case "Fn::Join", [str() as delimiter, list() as parts]:
            return delimiter.join(readable(part) for part in parts)
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if value is None else _scalar(value)


def _same(one: Any, other: Any) -> bool:
    return canonical(one) == canonical(other)


def _is_function(value: Any) -> bool:
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    name = str(next(iter(value)))
    return name == "Ref" or name.startswith("Fn::")


class _Resolver:
    """Folds the parts of one template; conditions are evaluated once, when they are first asked for."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._mappings = _mapping(template.get("Mappings"))
        self._conditions = _mapping(template.get("Conditions"))
        self._values = _parameter_values(template, parameters)
        self._decided: dict[str, bool | None] = {}

    def section(self, section: Any) -> Any:
        """Resources or outputs, without those whose condition is false."""
        if not isinstance(section, Mapping):
            return section
        return {
            key: self.fold(item)
            for key, item in section.items()
            if self._condition(_mapping(item).get("Condition")) is not False
        }

    def fold(self, value: Any) -> Any:
        """Return `value` with all that is known put in."""
        if isinstance(value, list | tuple):
            items = [self.fold(item) for item in value]
            return [item for item in items if item != _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if _is_function(value):
            ((name, argument),) = value.items()
            return self._function(name, argument)
        folded = {key: self.fold(item) for key, item in value.items()}
        return {key: item for key, item in folded.items() if item != _NO_VALUE}

    def _function(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            known = isinstance(argument, str) and argument in self._values
            return self._values[argument] if known else {name: argument}
        if name == "Fn::If":
            return self._if(argument)
        if name == "Fn::Sub":
            return self._sub(argument)
        folded = self.fold(argument)
        match name, folded:
            case "Fn::Join", [str() as delimiter, list() as parts] if all(_is_literal(part) for part in parts):
                return delimiter.join(_scalar(part) for part in parts)
            case "Fn::FindInMap", [str() as table, top, second] if _is_literal(top) and _is_literal(second):
                row = _mapping(_mapping(self._mappings.get(table)).get(_scalar(top)))
                return self.fold(row[_scalar(second)]) if _scalar(second) in row else {name: folded}
            case "Fn::Select", [index, list() as items] if _scalar(index).isdecimal():
                return items[int(_scalar(index))] if int(_scalar(index)) < len(items) else {name: folded}
            case "Fn::Split", [str() as delimiter, str() as text] if delimiter:
                return text.split(delimiter)
        return {name: folded}

    def _if(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:  # noqa: PLR2004  condition, then, else
            return {"Fn::If": self.fold(argument)}
        condition, then, otherwise = argument
        decided = self._condition(condition)
        if decided is None:
            # A branch of AWS::NoValue must not vanish here, else the branches would change places.
            return {"Fn::If": [condition, self.fold(then), self.fold(otherwise)]}
        return self.fold(then if decided else otherwise)

    def _sub(self, argument: Any) -> Any:
        match argument:
            case str() as text:
                variables: dict[str, Any] = {}
            case [str() as text, Mapping() as given]:
                variables = {str(key): self.fold(item) for key, item in given.items()}
            case _:
                return {"Fn::Sub": self.fold(argument)}
        known = {**self._values, **variables}
        known = {name: item for name, item in known.items() if _is_literal(item)}
        names = {found[2] for found in _VARIABLE.finditer(text) if not found[1]}
        if names <= known.keys():
            return _VARIABLE.sub(lambda found: f"${{{found[2]}}}" if found[1] else _scalar(known[found[2]]), text)

        def put(found: re.Match[str]) -> str:
            if found[1] or found[2] not in known:
                return found[0]
            # The text stays an argument of Fn::Sub, so what comes in from outside must not be read as a variable.
            return _scalar(known[found[2]]).replace("${", "${!")

        left = {name: item for name, item in variables.items() if name in names - known.keys()}
        rest = _VARIABLE.sub(put, text)
        return {"Fn::Sub": [rest, left]} if left else {"Fn::Sub": rest}

    def _condition(self, name: Any) -> bool | None:
        """Whether the named condition holds; None if that is not known, or there is no such condition."""
        if not isinstance(name, str) or name not in self._conditions:
            return None
        if name not in self._decided:
            # Undecided while it is being evaluated, so that conditions which name each other come to an end.
            self._decided[name] = None
            self._decided[name] = self._holds(self._conditions[name])
        return self._decided[name]

    def _holds(self, expression: Any) -> bool | None:
        match expression:
            case {"Condition": name}:
                return self._condition(name)
            case {"Fn::Not": [one]}:
                inner = self._holds(one)
                return None if inner is None else not inner
            case {"Fn::And": list() as parts}:
                held = [self._holds(part) for part in parts]
                return False if False in held else (None if None in held else True)
            case {"Fn::Or": list() as parts}:
                held = [self._holds(part) for part in parts]
                return True if True in held else (None if None in held else False)
            case {"Fn::Equals": [one, other]}:
                one, other = self.fold(one), self.fold(other)
                # A masked value is not known here, only to AWS.
                known = _is_literal(one) and _is_literal(other) and MASK not in {_scalar(one), _scalar(other)}
                return _scalar(one) == _scalar(other) if known else None
        return None


def _is_literal(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _parameter_values(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {key: value for key, value in given.items() if key.startswith("AWS::")}
    for name, declared in _mapping(template.get("Parameters")).items():
        declaration = _mapping(declared)
        kind = str(declaration.get("Type", ""))
        if _scalar(declaration.get("NoEcho")).lower() == "true":
            values[name] = MASK
        elif name in given or "Default" in declaration:
            value = given.get(name, declaration.get("Default"))
            if kind.startswith("AWS::SSM::Parameter::Value"):
                values[name] = f"{{{{resolve:ssm:{_scalar(value)}}}}}"
            elif isinstance(value, str) and (kind == "CommaDelimitedList" or kind.startswith("List<")):
                values[name] = [item.strip() for item in value.split(",")] if value else []
            else:
                values[name] = value
    return values


def _shown_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    values = _parameter_values(template, given)
    return {name: value for name, value in values.items() if not name.startswith("AWS::")}


def _outputs(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs' values by name, and whatever else an output has by dotted name."""
    outputs: dict[str, Any] = {}
    for name, output in _mapping(template.get("Outputs")).items():
        for key, value in _mapping(output).items():
            if key == "Value":
                outputs[name] = value
            elif key == "Export":
                outputs[f"{name}.Export.Name"] = _mapping(value).get("Name", value)
            elif key != "Condition":
                outputs[f"{name}.{key}"] = value
    return outputs


def _settings(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Setting]:
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        if old is ABSENT or new is ABSENT or not _same(old, new):
            yield Setting(f"{prefix}.{key}", old, new)


def _resource_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[PropertyChange]:
    yield from _differences(_mapping(before.get("Properties")), _mapping(after.get("Properties")), "")
    for name in dict.fromkeys((*before, *after)):
        if name == "Properties":
            continue
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if name == "DependsOn":
            old, new = _names(old), _names(new)
        yield from _differences(old, new, name)


def _names(depends_on: Any) -> Any:
    """One name and a list of it mean the same to DependsOn, and so does every order."""
    if isinstance(depends_on, list):
        return sorted(depends_on, key=canonical)
    return depends_on if depends_on is ABSENT else [depends_on]


def _differences(before: Any, after: Any, path: str) -> Iterator[PropertyChange]:
    if before is ABSENT or after is ABSENT:
        if before is not after:
            yield PropertyChange(path, before, after)
    elif _same(before, after):
        return
    elif isinstance(before, Mapping) and isinstance(after, Mapping) and not _is_function(before) | _is_function(after):
        for key in dict.fromkeys((*before, *after)):
            yield from _differences(before.get(key, ABSENT), after.get(key, ABSENT), _below(path, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_differences(before, after, path)
    else:
        yield PropertyChange(path, before, after)


def _list_differences(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[PropertyChange]:
    """Match equal elements first; what lies between two matches is compared by position, the rest added or removed."""
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
        # One index would stand for two elements: compare by index instead, which is always true.
        length = max(len(before), len(after))
        old, new = ([*items, *[ABSENT] * (length - len(items))] for items in (before, after))
        pairs, removed = dict(enumerate(zip(old, new, strict=True))), set()
    pairs.update({index: (before[index], ABSENT) for index in removed})
    for index in sorted(pairs):
        yield from _differences(*pairs[index], _below(path, index))


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _dotted(path: str) -> str:
    """Return a JSON pointer below the resource, or a path that is dotted already, as this library writes paths."""
    if path.startswith("/"):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
        path = ".".join(steps)
    return path.removeprefix("Properties.")


def _is_within(path: str, outer: str) -> bool:
    return path == outer or path.startswith(outer + ".")


def _merged(named: Sequence[PropertyChange], found: Sequence[PropertyChange]) -> tuple[PropertyChange, ...]:
    merged: dict[str, PropertyChange] = {}
    used: set[str] = set()
    for given in named:
        path = _dotted(given.path)
        inside = [item for item in found if _is_within(item.path, path)]
        around = [item for item in found if item.path != path and _is_within(path, item.path)]
        used.update(item.path for item in (*inside, *around))
        if given.before is not ABSENT or given.after is not ABSENT:
            filled = [replace(given, path=path)]
        elif inside:
            filled = [replace(item, recreates=given.recreates) for item in inside]
        else:
            filled = [_part(path, given.recreates, around)]
        for item in filled:
            merged[item.path] = _stronger(merged[item.path], item) if item.path in merged else item
    for item in found:
        if item.path not in used:
            merged[item.path] = item
    return tuple(merged.values())


def _part(path: str, recreates: str, around: Sequence[PropertyChange]) -> PropertyChange:
    """Look up what a difference of a whole property says of `path`, which lies within it."""
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
    """AWS names a property once for each cause: keep the values that came, and the graver word on recreation."""
    recreates = max(
        one.recreates, other.recreates, key=lambda word: _RECREATES.index(word) if word in _RECREATES else 0
    )
    valued = one if one.before is not ABSENT or one.after is not ABSENT else other
    return replace(valued, recreates=recreates)
