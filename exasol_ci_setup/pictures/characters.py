"""Characters of names and messages in diagrams."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text on one line, with a replacement for each character that is not printable.

    XML and HTML forbid some of these characters, and others control terminals: https://www.w3.org/TR/xml/#charsets.
    """
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
