"""Words and forms of text that several packages print."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MINUTE: Final = 60
_HOUR: Final = 3600
_EXACT_BELOW: Final = 10
_MAX_QUOTED: Final = 100
_MOST_NAMES: Final = 3


def kebab_case(name: str) -> str:
    """Return the name of a class in kebab case: ``ssh-key`` for ``SSHKey``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 stack``, ``2 stacks``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], noun: str) -> str:
    """Return names as text; of more than three, the first and the last, with the number of the `noun`."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{names[0]} … {names[-1]} ({counted(len(names), noun)})"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the one of `names` that `name` is most likely to mean, empty if none is similar. Case does not count."""
    by_lower = {each.lower(): each for each in reversed(list(names))}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else ""


def suggestion(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return ``; did you mean NAME?`` for the nearest of `names`, or else ``; `` and the text `otherwise`, if that is not empty."""
    near = nearest(name, names)
    text = f"did you mean {near}?" if near else otherwise
    return f"; {text}" if text else ""


def without_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object, as `object_pairs_hook` of `json.loads`. Raises ValueError for a duplicate key."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {key!a}")
        found[key] = value
    return found


def duration(seconds: float, *, exact: bool = False) -> str:
    """Return a duration as text: ``8 s``, ``1 min 30 s``, ``2 h 5 min``.

    With `exact`, seconds are rounded, and durations below 10 s have one decimal (``0.3 s``). Otherwise only whole seconds that
    have passed count.
    """
    if exact and seconds < _EXACT_BELOW:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = max(0, round(seconds) if exact else int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _parts(whole // _MINUTE, "min", whole % _MINUTE, "s")
    return _parts(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")


def truncate(text: str) -> str:
    """Return the first 100 characters of a text, with an ellipsis if it is longer."""
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def quote(value: object) -> str:
    """Return the first 100 characters of `ascii(value)`, to quote input of a client in a message."""
    # A representation is at least as long as its text, so the first 101 characters are enough.
    return truncate(ascii(value[: _MAX_QUOTED + 1] if isinstance(value, str) else value))


def _parts(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first} {unit} {second} {smaller}" if second else f"{first} {unit}"


def is_text(value: object) -> bool:
    """Return whether an argument is text; programs without type checks pass other values."""
    return isinstance(value, str)
