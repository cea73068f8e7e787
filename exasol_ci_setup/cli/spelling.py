"""Names of options in messages: those that the user typed.

Code below the commands names an option by its field, such as ``--extra-hosts.0``, and does not know the other names of an option.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# An option in a text, with the number of an item that follows its name.
_MENTION: Final = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]*)(?:\.\d+(?!\.?\w))?")
_COMMAND: Final = re.compile(r"(`[^`]*`)")
_ONE_LETTER: Final = re.compile(r"-[A-Za-z]")


def option_of(field: str) -> str:
    """Return how a field of a construct is written as an option."""
    return f"--{field.replace('_', '-')}"


def typed_name(option: click.Parameter, arguments: Sequence[str]) -> str:
    """Return the name of an option that the user typed; if it is omitted, its first long name."""
    long = next((name for name in option.opts if name.startswith("--")), option.opts[0])
    return _typed(option, arguments) or long


def _typed(option: click.Parameter, arguments: Sequence[str]) -> str | None:
    names = (*option.opts, *option.secondary_opts)
    words = takewhile(lambda word: word != "--", arguments)
    return next((name for word in words for name in names if _is_name(word, name)), None)


def _is_name(word: str, name: str) -> bool:
    """Return whether an argument begins with the name of an option: ``--name``, ``--name=x``, or ``-nx`` for a name of one letter."""
    return word.partition("=")[0] == name or (_ONE_LETTER.fullmatch(name) is not None and word.startswith(name))


def spellings(options: Iterable[click.Parameter], arguments: Sequence[str]) -> dict[str, str]:
    """Return the typed name of each option, by its other names and by the option of its field.

    A mention of an omitted option is unchanged, if the command has that name.
    """
    given = [each for each in options if isinstance(each, click.Option)]
    return {
        **{option_of(each.name or ""): typed_name(each, arguments) for each in given},
        # The name of an option has precedence over the field of another one.
        **{name: _typed(each, arguments) or name for each in given for name in each.opts},
    }


def with_typed_names(text: str, names: Mapping[str, str]) -> str:
    """Return `text` with the typed name of each option, except in commands in backquotes."""
    parts = _COMMAND.split(text)
    return "".join(
        part if number % 2 else _MENTION.sub(lambda found: names.get(found[1], found[0]), part)
        for number, part in enumerate(parts)
    )


__all__ = ["option_of", "spellings", "typed_name", "with_typed_names"]
