"""Options of an app: limits of its container, limits of its requests, and its health check."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

MIB: Final = 1 << 20
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": MIB, "g": 1 << 30}
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_MAX_BYTES: Final = 1 << 50
_MAX_SECONDS: Final = 86_400
# The smallest limit that the engine accepts: https://docs.docker.com/engine/containers/resource_constraints/.
_MIN_MEMORY: Final = 6 * MIB
# Characters without a special meaning in HTTP requests; no space or control character.
_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")


def parse_size(value: object) -> int:
    """Return a size in bytes from text such as 256m, or from a number of bytes. Raises ValueError for other values."""
    found = re.fullmatch(r"([0-9]{1,15})\s?([bkmg]?)(?:i?b)?", str(value).strip().lower())
    if isinstance(value, bool) or found is None or not 0 < int(found[1]) * _UNITS[found[2]] <= _MAX_BYTES:
        raise ValueError(f"{value!r} is not a size: use a number with its unit, such as 256m or 1g")
    return int(found[1]) * _UNITS[found[2]]


def format_size(size: int) -> str:
    """Return a size in bytes as text that `parse_size` accepts, such as 512m."""
    unit = next((unit for unit in ("g", "m", "k") if size % _UNITS[unit] == 0), "")
    return f"{size // _UNITS[unit]}{unit}"


def parse_seconds(value: object) -> int:
    """Return seconds, rounded up, from text such as 90s or 5m, or from a number. Raises ValueError for other values."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s?([smh]?)", str(value).strip().lower())
    seconds = math.ceil(float(found[1]) * _SECONDS[found[2]]) if found is not None else 0
    if isinstance(value, bool) or not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"{value!r} is not a time: use a number with its unit up to 24h, such as 90s or 5m")
    return seconds


def _memory(value: object) -> int:
    size = parse_size(value)
    if size < _MIN_MEMORY:
        raise ValueError("use at least 6m, the smallest limit of Docker")
    return size


def _cpus(value: object) -> float:
    number = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else _to_float(value)
    if not 0.1 <= number <= 1024:  # noqa: PLR2004 - with less, an app hardly starts; and more than any machine has
        raise ValueError("use a number of processors from 0.1, such as 0.5 or 2")
    return number


def _pids(value: object) -> object:
    if isinstance(value, bool):
        # pydantic would read true as 1.
        raise ValueError("use a number of processes, such as 200")  # noqa: TRY004 - pydantic reports only ValueError
    return value


def _to_float(value: float | str) -> float:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _health_path(value: object) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError("use a path that begins with /, such as /healthz")
    return value


def _quantity(pattern: str, example: str) -> Any:
    return WithJsonSchema({"type": "string", "pattern": pattern, "maxLength": 16, "examples": [example]})


Size = Annotated[int, BeforeValidator(parse_size), _quantity("^[1-9][0-9]{0,3}[kmg]$", "100m")]
Memory = Annotated[int, BeforeValidator(_memory), _quantity("^[1-9][0-9]{1,2}m$", "256m")]
Seconds = Annotated[int, BeforeValidator(parse_seconds), _quantity("^[1-9][0-9]{0,2}[sm]$", "60s")]
Cpus = Annotated[
    float,
    BeforeValidator(_cpus),
    WithJsonSchema({"type": "number", "minimum": 0.1, "maximum": 1024, "examples": [0.5]}),
]
Pids = Annotated[int, Field(ge=1, le=4_194_304), BeforeValidator(_pids)]
HealthPath = Annotated[
    str,
    Field(max_length=1024),
    BeforeValidator(_health_path),
    WithJsonSchema({"type": "string", "pattern": "^/[a-z0-9/._-]*$", "maxLength": 1024, "examples": ["/healthz"]}),
]


class AppOptions(BaseModel):
    """Options of an app. An option that is None has the default of the service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: Memory | None = Field(None, description="Memory limit of the container, such as 256m.")
    cpus: Cpus | None = Field(None, description="Limit of processors, such as 0.5.")
    pids: Pids | None = Field(None, description="Limit of processes and threads in the container.")
    max_body: Size | None = Field(None, description="Largest body of a request to the app, such as 50m.")
    timeout: Seconds | None = Field(
        None, description="Time without data after which nginx ends a request to the app, such as 5m."
    )
    health_path: HealthPath | None = Field(
        None,
        description="Path such as /healthz. The new container is ready when GET of it returns a status from 200 to 399.",
    )


NO_OPTIONS: Final = AppOptions()
"""No option is set: all have the defaults of the service."""
