"""Texts with outputs that are unknown before the deployment: they can be used in other text, but nothing can depend on their value."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.constructs.placeholders import placeholders_in, refuse_use, split

if TYPE_CHECKING:
    from collections.abc import Callable

# They copy or quote a text. Other modules of the standard library, such as `json`, read a value from it.
_COPYING_MODULES: Final = frozenset(
    {
        *("html", "inspect", "json.encoder", "logging", "ntpath", "posixpath", "pprint", "shlex", "string", "textwrap"),
        "urllib.parse",
    }
)
_PACKAGE: Final = __name__.partition(".")[0]
# What needs the value, also if the text has more than outputs.
_NEEDED: Final = {
    "a comparison": ("__lt__", "__le__", "__gt__", "__ge__"),
    "a search": ("__contains__", "startswith", "endswith", "find", "rfind", "index", "rindex", "count"),
    "a condition": (
        *("isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric"),
        *("isprintable", "isspace", "istitle", "isupper"),
    ),
    "the length of a text": ("__len__",),
    "a part of a text": ("__getitem__", "__iter__"),
    "the encoding of a text": ("encode",),
}
# What changes text around an output, and needs the value of a text that has outputs only.
_NEEDED_OF_OUTPUT: Final = {
    "a part of a text": (
        *("split", "rsplit", "splitlines", "partition", "rpartition"),
        *("strip", "lstrip", "rstrip", "removeprefix", "removesuffix"),
    ),
    "a change of a text": ("upper", "lower", "title", "capitalize", "casefold", "swapcase", "replace", "translate"),
}


class UnresolvedText(str):
    """A text that contains outputs which only a deployment knows.

    It is used as it is: alone, in an f-string, joined, in JSON, in lists and mappings. What needs the value raises InputError with the name
    of the output: comparisons, searches, its length, a part of it, a number of it, and its use as a key. This package, and functions of the standard
    library that copy or quote text, use it as plain text.
    """

    __slots__ = ()

    def __str__(self) -> str:
        """Return this text."""
        return self

    def __format__(self, spec: str) -> str:
        """Return the text, aligned as `spec` says. Raises InputError for a maximum length."""
        if "." in spec:
            _require_copying(self, "a part of a text")
        return str.__format__(self, spec) if spec else self

    def __add__(self, other: str) -> str:
        """Return a text that starts with this one."""
        return UnresolvedText(str.__add__(self, other))

    def __radd__(self, other: str) -> str:
        """Return a text that ends with this one."""
        return UnresolvedText(str.__add__(other, self))

    def __bool__(self) -> bool:
        """Return True. Raises InputError for an output alone, which may be empty."""
        if _is_output(self):
            _require_copying(self, "a condition")
        return True

    def __eq__(self, other: object) -> bool:
        """Return False for an object that is no text. Raises InputError for another text."""
        if isinstance(other, str):
            _require_copying(self, "a comparison")
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """Return True for an object that is no text. Raises InputError for another text."""
        if isinstance(other, str):
            _require_copying(self, "a comparison")
        return str.__ne__(self, other)

    def __hash__(self) -> int:
        """Raise InputError."""
        _require_copying(self, "a key of a mapping or set")
        return str.__hash__(self)

    def __int__(self) -> int:
        """Raise InputError."""
        _require_copying(self, "a conversion to a number")
        return int(plain(self))

    def __float__(self) -> float:
        """Raise InputError."""
        _require_copying(self, "a conversion to a number")
        return float(plain(self))


def _is_output(text: str) -> bool:
    """Return whether a text has nothing but outputs."""
    return not any(isinstance(part, str) for part in split(plain(text)))


def _require_copying(text: str, use: str) -> None:
    """Raise InputError unless the caller of the calling method copies or quotes text, or is in this package."""
    module = str(sys._getframe(2).f_globals.get("__name__"))  # noqa: SLF001 - the only way to the caller
    if module not in _COPYING_MODULES and module.partition(".")[0] != _PACKAGE:
        raise refuse_use(next(placeholders_in(text)), use)


def _method(name: str, use: str, *, of_output: bool) -> Callable[..., Any]:
    original = getattr(str, name)

    def method(self: UnresolvedText, *arguments: Any, **named: Any) -> Any:
        if not of_output or _is_output(self):
            _require_copying(self, use)
        return original(self, *arguments, **named)

    return method


for _uses, _of_output in ((_NEEDED, False), (_NEEDED_OF_OUTPUT, True)):
    for _use, _names in _uses.items():
        for _name in _names:
            setattr(UnresolvedText, _name, _method(_name, _use, of_output=_of_output))


def guarded(value: Any) -> Any:
    """Return `value` with UnresolvedText in place of each text with an unknown output, also in lists, tuples and the values of mappings."""
    if isinstance(value, str):
        return UnresolvedText(value) if any(found.output for found in placeholders_in(value)) else value
    return _mapped(value, guarded)


def plain(value: Any) -> Any:
    """Return `value` with plain text in place of each UnresolvedText, also in lists, tuples and the values of mappings."""
    if isinstance(value, UnresolvedText):
        return str.__str__(value)
    return _mapped(value, plain)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a list, tuple or mapping with changed items, or `value` itself if no item is changed."""
    if type(value) in {list, tuple}:
        items = [change(item) for item in value]
        return type(value)(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, dict) and value:
        changed = {key: change(item) for key, item in value.items()}
        return type(value)(changed) if any(changed[key] is not item for key, item in value.items()) else value
    return value


def require_resolved(value: Any) -> Any:
    """Return `value`. Raises InputError for an UnresolvedText, which a search in another text would need."""
    if isinstance(value, UnresolvedText):
        _require_copying(value, "a search")
    return value
