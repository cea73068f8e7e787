"""The names that other sites of the same nginx have, read from the configuration that ``nginx -T`` dumps."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://github.com/nginx/nginx/blob/master/src/core/nginx.c: ngx_show_configuration.
_FILE: Final = re.compile(r"^# configuration file (.+):\n", re.MULTILINE)
_TOKEN: Final = re.compile(
    r"""\s+|\#[^\n]*|"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'"""
    r"""|(?P<mark>[{};])|(?P<word>(?:\\.|\$\{[^}]*\}|[^\s{};\\])+)|.""",
    re.DOTALL,
)
_CONFLICT: Final = re.compile(r'conflicting server name "([^"]*)" on \S+ ignored')
# No site has this name, so a pattern that matches it stands for all names, as that of a default site does.
_NO_NAME: Final = "no-such-name.invalid"


def files(dump: str) -> Iterator[tuple[str, str]]:
    """Give the path and the text of each file in a dump."""
    parts = _FILE.split(dump)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def server_names(text: str) -> list[str]:
    """Return the words of all ``server_name`` lines in a file, whichever block they are in."""
    found: list[str] = []
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["mark"]:
            if words[:1] == ["server_name"]:
                found += words[1:]
            words = []
        elif token.lastgroup:
            words.append(token[token.lastgroup])
    return found


def is_for(name: str, domain: str) -> bool:
    """Return whether a word of a ``server_name`` line stands for a domain.

    Source of the forms: https://nginx.org/en/docs/http/server_names.html. A pattern for all names is that of a default site, and stands
    for no domain; neither does a pattern that Python cannot read.
    """
    if name.startswith("~"):
        return _matches(name[1:], domain) and not _matches(name[1:], _NO_NAME)
    name = socket.gethostname().lower() if name == "$hostname" else name.lower()
    if name.startswith("*."):
        return domain.endswith(name[1:])
    if name.startswith("."):
        return f".{domain}".endswith(name)
    if name.endswith(".*"):
        return domain.startswith(name[:-1])
    return name == domain


def _matches(pattern: str, domain: str) -> bool:
    try:
        # PCRE names a group (?<name>…), Python (?P<name>…).
        return re.search(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), domain, re.IGNORECASE) is not None
    except re.error:
        return False


def conflicting(warnings: str) -> set[str]:
    """Return the names of which nginx warns that two of its sites have them at one address; it ignores the second one."""
    return set(_CONFLICT.findall(warnings))
