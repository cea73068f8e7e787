"""JSON records of the output: one object each, with a type and a versioned schema."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.stacks import ABSENT
from exasol_ci_setup.core.text import kebab_case

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA: Final = "exasol-ci-setup/2"


def record(value: object) -> dict[str, Any]:
    """Return `value` as a JSON object with ``type`` and ``schema``.

    `value` is a dataclass, a `SetupError` (type ``error``), or a mapping with a ``type``. The type of a dataclass is the name of its
    class, in lower case with hyphens. A field named `type` becomes ``resource_type``. ABSENT values are omitted; times are ISO 8601 in UTC.
    Raises TypeError for other values.
    """
    if isinstance(value, SetupError):
        return _error(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": kebab_case(type(value).__name__), "schema": SCHEMA, **_fields(value)}
    if isinstance(value, Mapping) and "type" in value:
        return {"type": value["type"], "schema": SCHEMA, **_object(value)}
    raise TypeError(f"no JSON record for {type(value).__name__}")


def named(value: object, name: str) -> dict[str, Any]:
    """Return the record of `value` with the `name` of its stack among several. Raises as `record`."""
    return {**record(value), "name": name}


def outputs(stack_name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Return the record of a stack's outputs."""
    return record({"type": "outputs", "stack_name": stack_name, "outputs": values})


def result(status: str, **details: object) -> dict[str, Any]:
    """Return the last record of a command; `status` is a word such as ``deployed``, ``unchanged`` or ``planned``."""
    return record({"type": "result", "status": status, **details})


def plain(value: Any) -> Any:
    """Return `value` as JSON data: other types become text, ABSENT values are omitted."""
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
        # AWS returns times in UTC, so a time without a zone is UTC.
        aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def _error(error: SetupError) -> dict[str, Any]:
    details = {key: value for key, value in vars(error).items() if key not in {"message", "hint"} and value}
    return {
        "type": "error",
        "schema": SCHEMA,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
        **_object(details),
    }


def _fields(value: Any) -> dict[str, Any]:
    # `type` is the type of the record, so the type of a resource gets another name.
    names = {field.name: "resource_type" if field.name == "type" else field.name for field in fields(value)}
    return _object({key: getattr(value, name) for name, key in names.items()})


def _object(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): plain(value) for key, value in values.items() if value is not ABSENT}


def _list(values: Iterable[Any]) -> list[Any]:
    return [plain(value) for value in values if value is not ABSENT]
