"""Arguments of the library that are used before a model validates them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from exasol_ci_setup.core.errors import InputError


def require_text(name: str, value: object) -> None:
    """Raise InputError that names the argument for another type than text."""
    if not isinstance(value, str):
        raise InputError(f"{name}: {value!a} is not text")


def as_path(name: str, value: object) -> Path:
    """Return a text or a path as a path. Raises InputError that names the argument for another type."""
    if not isinstance(value, str | PathLike):
        raise InputError(f"{name}: {value!a} is not a path")
    return Path(value)
