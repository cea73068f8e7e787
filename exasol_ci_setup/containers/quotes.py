"""Quotes of client input for messages of the HTTP services: ASCII, at most 100 characters."""

from __future__ import annotations

from typing import Final

_MAX_CHARACTERS: Final = 100


def truncate(text: str) -> str:
    """Return the first 100 characters of a text, with an ellipsis if it is longer."""
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."


def quote(value: object) -> str:
    """Return the first 100 characters of `ascii(value)`."""
    # A representation is at least as long as its text, so the first 101 characters are enough.
    return truncate(ascii(value[: _MAX_CHARACTERS + 1] if isinstance(value, str) else value))
