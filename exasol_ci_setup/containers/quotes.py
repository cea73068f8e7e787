"""What a client sent, quoted in messages of the HTTP services: in ASCII, and not longer than a person reads."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 100


def cut(text: str) -> str:
    """Return the first 100 characters of a text, with an ellipsis if there are more."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def quoted(value: object) -> str:
    """Return the beginning of what Python's `ascii` returns for a value."""
    # A representation is at least as long as its text, so no more than this has to be represented.
    return cut(ascii(value[: _LONGEST + 1] if isinstance(value, str) else value))
