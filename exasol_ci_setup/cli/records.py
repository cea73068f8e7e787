"""The machine form of everything that is shown: one JSON object each, with a type and a versioned schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.errors import SetupError
from exasol_ci_setup.stacks.absent import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA: Final = "exasol-ci-setup/1"


def record(thing: object) -> dict[str, Any]:
    """Return `thing` as a JSON object with ``type`` and ``schema``.

    `thing` is a dataclass (its class's name, in lower case with hyphens, is the type), a `SetupError` (type ``error``), or a
    mapping that brings its ``type`` along, as `outputs` and `result` make it. A field that is called `type` itself becomes
    ``resource_type``. What is ABSENT is left out; times are ISO
    8601 in UTC. Raises TypeError for anything else.
    """
    if isinstance(thing, SetupError):
        return _error(thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return {"type": _kebab(type(thing).__name__), "schema": SCHEMA, **_fields(thing)}
    if isinstance(thing, Mapping) and "type" in thing:
        return {"type": thing["type"], "schema": SCHEMA, **_object(thing)}
    raise TypeError(f"no machine form for {type(thing).__name__}")


def named(thing: object, name: str) -> dict[str, Any]:
    """Return the record of `thing` with the name that its stack has among many, as that of its end has it. Raises as `record`."""
    return {**record(thing), "name": name}


def outputs(stack_name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Return the record of a stack's outputs."""
    return record({"type": "outputs", "stack_name": stack_name, "outputs": values})


def result(status: str, **details: object) -> dict[str, Any]:
    """Return the record that ends a command: `status` is a word such as ``done``, ``nothing-to-do`` or ``planned``."""
    return record({"type": "result", "status": status, **details})


def plain(value: Any) -> Any:
    """Return `value` as JSON knows it; what JSON does not know becomes text, what is ABSENT is left out."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, AbstractSet):
        return sorted(_list(value), key=repr)
    if isinstance(value, list | tuple):
        return _list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, datetime):
        # A time without a zone is UTC here: AWS gives no other.
        aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def _error(error: SetupError) -> dict[str, Any]:
    more = {key: value for key, value in vars(error).items() if key not in {"message", "hint"} and value}
    return {
        "type": "error",
        "schema": SCHEMA,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
        **_object(more),
    }


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def _fields(thing: Any) -> dict[str, Any]:
    # `type` says what kind of record it is, so the type of a resource needs another name.
    names = {field.name: "resource_type" if field.name == "type" else field.name for field in fields(thing)}
    return _object({key: getattr(thing, name) for name, key in names.items()})


def _object(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): plain(value) for key, value in values.items() if value is not ABSENT}


def _list(values: Iterable[Any]) -> list[Any]:
    return [plain(value) for value in values if value is not ABSENT]
