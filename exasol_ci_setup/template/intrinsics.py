"""Resolve the intrinsic functions of a template, as far as their values are known before the deployment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK: Final = "****"

SUB_VARIABLE: Final = re.compile(r"\$\{(\s*!)?([^}]*)\}")
"""A variable in a text of ``Fn::Sub``; with the first group, the literal text ``${…}``.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-sub.html
Use `variable_name` for the name.
"""
_NO_VALUE: Final = {"Ref": "AWS::NoValue"}


def resolve(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of `template` with everything resolved that the `parameters` determine.

    References to parameters become their values (the default if no value is given, ``"****"`` for NoEcho, a dynamic reference
    for those that name an SSM parameter, a list for list types). Conditions, ``Fn::If``, ``Fn::FindInMap``,
    ``Fn::Join``, ``Fn::Select``, ``Fn::Split`` and ``Fn::Sub`` are folded if all their inputs are known. ``AWS::NoValue``
    and everything under a false condition are omitted. Pseudo parameters are resolved if `parameters` contains them
    (``AWS::Region``). The rest is unchanged; a malformed template raises nothing.
    """
    template = as_mapping(template)
    resolver = _Resolver(template, parameters)
    return {
        key: resolver.section(value) if key in {"Resources", "Outputs"} else value for key, value in template.items()
    }


def property_texts(template: Mapping[str, Any], parameters: Mapping[str, str], kind: str, name: str) -> dict[str, str]:
    """Return the property `name` of each resource of the type `kind`, by logical ID, if it is a text when the template is resolved."""
    declared = as_mapping(template.get("Resources"))
    if not any(as_mapping(each).get("Type") == kind for each in declared.values()):
        # Most templates have none, and to resolve a large one takes time.
        return {}
    resources = as_mapping(resolve(template, parameters).get("Resources"))
    values = {
        logical_id: as_mapping(each.get("Properties")).get(name)
        for logical_id, each in resources.items()
        if as_mapping(each).get("Type") == kind
    }
    return {logical_id: value for logical_id, value in values.items() if isinstance(value, str)}


def parameter_values(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the parameters by name, as `resolve` inserts them, and the pseudo parameters in `given`.

    A parameter without a value and without a default is omitted.
    """
    values: dict[str, Any] = {key: value for key, value in given.items() if key.startswith("AWS::")}
    for name, declared in as_mapping(template.get("Parameters")).items():
        declaration = as_mapping(declared)
        if is_no_echo(declaration):
            values[name] = MASK
        elif name in given or "Default" in declaration:
            value = given.get(name, declaration.get("Default"))
            values[name] = _parameter_value(str(declaration.get("Type", "")), value)
    return values


def _parameter_value(kind: str, value: Any) -> Any:
    """Return the value of a parameter of the type `kind`, as ``Ref`` returns it."""
    if kind.startswith("AWS::SSM::Parameter::Value"):
        return f"{{{{resolve:ssm:{scalar(value)}}}}}"
    if isinstance(value, str) and (kind == "CommaDelimitedList" or kind.startswith("List<")):
        return [item.strip() for item in value.split(",")] if value else []
    return value


def is_no_echo(declaration: Any) -> bool:
    """Return whether the value of a parameter declared like this must not be shown."""
    return scalar(as_mapping(declaration).get("NoEcho")).lower() == "true"


def canonical(value: Any) -> str:
    """Return JSON that is equal for all values that CloudFormation treats as equal."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def readable(value: Any) -> str:
    """Return a template's value in short notation: text unchanged, ``${Bucket.Arn}`` for references, else JSON.

    A result that is not text starts with ``{`` or ``[``.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, argument),) = value.items()
        written = _sub_notation(name, argument)
        if written is not None:
            return written
    if isinstance(value, Mapping | list | tuple):
        return canonical(value)
    return scalar(value)


def is_function(value: Any) -> bool:
    """Return whether `value` is a call of an intrinsic function, such as ``{"Ref": "Bucket"}``."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    name = str(next(iter(value)))
    return name == "Ref" or name.startswith("Fn::")


def variable_name(found: re.Match[str]) -> str | None:
    """Return the name in a match of `SUB_VARIABLE`, without the blanks that CloudFormation ignores; None for literal text.

    https://github.com/aws-cloudformation/cfn-lint/issues/236
    """
    return None if found[1] else found[2].strip()


def resources_with_loops(parsed: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """Yield the resources of a parsed template with their places, those in loops (``Fn::ForEach``) once, with a variable in their name."""
    yield from _resources(as_mapping(parsed.get("Resources")), ("Resources",))


def _resources(
    resources: Mapping[str, Any], keys: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    for name, resource in resources.items():
        match resource:
            case [_, _, dict() as body] if str(name).startswith("Fn::ForEach::"):
                yield from _resources(body, (*keys, name, 2))
            case dict():
                yield (*keys, name), resource


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a mapping, else an empty one: AWS rejects a malformed template, so nothing must fail here."""
    return value if isinstance(value, Mapping) else {}


class _Resolver:
    """Folds the sections of one template; conditions are evaluated once, on demand."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._mappings = as_mapping(template.get("Mappings"))
        self._conditions = as_mapping(template.get("Conditions"))
        self._values = parameter_values(template, parameters)
        self._decided: dict[str, bool | None] = {}

    def section(self, section: Any) -> Any:
        """Return resources or outputs, without those whose condition is false."""
        if not isinstance(section, Mapping):
            return section
        return {
            key: self.fold(item)
            for key, item in section.items()
            if self._condition(as_mapping(item).get("Condition")) is not False
        }

    def fold(self, value: Any) -> Any:
        """Return `value` with all known values inserted."""
        if isinstance(value, list | tuple):
            items = [self.fold(item) for item in value]
            return [item for item in items if item != _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if is_function(value):
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
                return delimiter.join(scalar(part) for part in parts)
            case "Fn::FindInMap", [str() as table, top, second] if _is_literal(top) and _is_literal(second):
                row = as_mapping(as_mapping(self._mappings.get(table)).get(scalar(top)))
                return self.fold(row[scalar(second)]) if scalar(second) in row else {name: folded}
            case "Fn::Select", [index, list() as items] if scalar(index).isdecimal():
                return items[int(scalar(index))] if int(scalar(index)) < len(items) else {name: folded}
            case "Fn::Split", [str() as delimiter, str() as text] if delimiter:
                return text.split(delimiter)
        return {name: folded}

    def _if(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:  # noqa: PLR2004  condition, then, else
            return {"Fn::If": self.fold(argument)}
        condition, then, otherwise = argument
        decided = self._condition(condition)
        if decided is None:
            # A branch of AWS::NoValue must not be removed here, or the branches would shift.
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
        known = {name: scalar(item) for name, item in {**self._values, **variables}.items() if _is_literal(item)}
        names = {name for found in SUB_VARIABLE.finditer(text) if (name := variable_name(found)) is not None}
        is_complete = names <= known.keys()
        rest = _with_variables(text, known, is_complete=is_complete)
        if is_complete:
            return rest
        left = {name: item for name, item in variables.items() if name in names - known.keys()}
        return {"Fn::Sub": [rest, left]} if left else {"Fn::Sub": rest}

    def _condition(self, name: Any) -> bool | None:
        """Return whether the named condition is true; None if that is unknown, or the condition does not exist."""
        if not isinstance(name, str) or name not in self._conditions:
            return None
        if name not in self._decided:
            # Undecided during its evaluation, so that conditions that refer to each other terminate.
            self._decided[name] = None
            self._decided[name] = self._evaluate(self._conditions[name])
        return self._decided[name]

    def _evaluate(self, expression: Any) -> bool | None:
        match expression:
            case {"Condition": name}:
                return self._condition(name)
            case {"Fn::Not": [one]}:
                inner = self._evaluate(one)
                return None if inner is None else not inner
            case {"Fn::And": list() as parts}:
                held = [self._evaluate(part) for part in parts]
                return False if False in held else (None if None in held else True)
            case {"Fn::Or": list() as parts}:
                held = [self._evaluate(part) for part in parts]
                return True if True in held else (None if None in held else False)
            case {"Fn::Equals": [one, other]}:
                return _equal(self.fold(one), self.fold(other))
        return None


def _with_variables(text: str, known: Mapping[str, str], *, is_complete: bool) -> str:
    """Return a text of ``Fn::Sub`` with the values of `known` variables. If it is complete, the result is plain text."""

    def put(found: re.Match[str]) -> str:
        name = variable_name(found)
        if name is None:
            return f"${{{found[2]}}}" if is_complete else found[0]
        if name not in known:
            return found[0]
        # A text that remains an argument of Fn::Sub must not contain inserted text that would be read as a variable.
        return known[name] if is_complete else known[name].replace("${", "${!")

    return SUB_VARIABLE.sub(put, text)


def _sub_notation(name: Any, argument: Any) -> str | None:
    """Return an intrinsic function in the notation of ``Fn::Sub``, or None if that cannot express it."""
    match name, argument:
        case "Ref", str():
            return f"${{{argument}}}"
        case "Fn::GetAtt", str():
            return f"${{{argument}}}"
        case "Fn::GetAtt", [str() as logical_id, str() as attribute]:
            return f"${{{logical_id}.{attribute}}}"
        case "Fn::Sub", str():
            return _readable_text(argument, {})
        case "Fn::Sub", [str() as text, Mapping() as variables]:
            return _readable_text(text, {str(key): readable(item) for key, item in variables.items()})
        case "Fn::Join", [str() as delimiter, list() as parts]:
            return delimiter.join(readable(part) for part in parts)
    return None


def _readable_text(text: str, values: Mapping[str, str]) -> str:
    def put(found: re.Match[str]) -> str:
        name = variable_name(found)
        return found[0] if name is None else values.get(name, f"${{{name}}}")

    return SUB_VARIABLE.sub(put, text)


def _equal(one: Any, other: Any) -> bool | None:
    """Return whether two values are equal; None if one is unknown, such as that of a masked parameter."""
    known = _is_literal(one) and _is_literal(other) and MASK not in {scalar(one), scalar(other)}
    return scalar(one) == scalar(other) if known else None


def _is_literal(value: Any) -> bool:
    return isinstance(value, str | int | float)


def scalar(value: Any) -> str:
    """Return a plain value of a template as CloudFormation passes it on: text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if value is None else scalar(value)
