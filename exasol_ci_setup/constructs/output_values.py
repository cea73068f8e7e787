"""Outputs of constructs in the fields of others: which ones a construct uses, and the construct with their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from exasol_ci_setup.constructs.placeholders import Placeholder, placeholders_in, substitute
from exasol_ci_setup.constructs.values import Value
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

V = TypeVar("V", bound=Value)


def outputs_in(value: Value) -> Iterator[Placeholder]:
    """Yield the outputs in the fields of `value` at any depth; not those in constructs with a stack of their own."""
    for name in type(value).model_fields:
        yield from _outputs_in(getattr(value, name))


def _outputs_in(value: Any) -> Iterator[Placeholder]:
    if isinstance(value, Value):
        if not value.has_stack:
            yield from outputs_in(value)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _outputs_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _outputs_in(each)
    else:
        yield from (found for found in placeholders_in(value) if found.output)


def constructs_in(value: Any) -> Iterator[Value]:
    """Yield the constructs in a field at any depth; not those in the fields of constructs."""
    if isinstance(value, Value):
        # The property of an instance may raise an error.
        if hasattr(type(value), "stack_name"):
            yield value
        else:
            for name in type(value).model_fields:
                yield from constructs_in(getattr(value, name))
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from constructs_in(each)


def with_values(value: V, value_of: Callable[[Placeholder], str]) -> V:
    """Return a copy of `value` with the values of the outputs in its fields, or `value` itself if it has none.

    Constructs with a stack of their own are not copied. Raises InputError if a value breaks the rule of its field.
    """
    copier = _Copier(value_of)
    copied: V = copier.fields_of(value)
    return copied


class _Copier:
    """Copies values; one that occurs twice has one copy."""

    def __init__(self, value_of: Callable[[Placeholder], str]) -> None:
        self._value_of = value_of
        self._copies: dict[int, Any] = {}

    def copy(self, value: Any) -> Any:
        if isinstance(value, str):
            return substitute(value, self._value_of) if any(placeholders_in(value)) else value
        if isinstance(value, Value):
            return value if value.has_stack else self.fields_of(value)
        if isinstance(value, list | tuple):
            items = [self.copy(each) for each in value]
            return type(value)(items) if _differ(items, value) else value
        if isinstance(value, dict):
            items = [self.copy(each) for each in value.values()]
            return dict(zip(value, items, strict=True)) if _differ(items, value.values()) else value
        return value

    def fields_of(self, value: Any) -> Any:
        if id(value) not in self._copies:
            before = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
            after = {name: self.copy(each) for name, each in before.items()}
            self._copies[id(value)] = _recreated(value, after) if _differ(after.values(), before.values()) else value
        return self._copies[id(value)]


def _differ(new: Any, old: Any) -> bool:
    return any(each is not other for each, other in zip(new, old, strict=True))


def _recreated(value: Value, fields: dict[str, Any]) -> Value:
    """Return a value of the same type with other fields, validated, and with the private attributes of `value`."""
    cls = type(value)
    named = {cls.model_fields[name].alias or name: each for name, each in fields.items()}
    try:
        created = cls.model_validate(named)
    except ValidationError as error:
        [problem, *_] = error.errors(include_url=False)
    else:
        for name in cls.__private_attributes__:
            setattr(created, name, getattr(value, name))
        return created
    named_by = getattr(value, "name", None)
    place = ".".join(map(str, problem["loc"])) or "the combination of values"
    raise InputError(
        f"{place} of {cls.__name__}{f' {named_by!r}' if named_by else ''} is invalid with the outputs of other stacks: {rule_of(problem)}"
    )
