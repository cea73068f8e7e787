"""The server names of other sites of the same nginx, parsed from the output of ``nginx -T``."""

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
# No site has this name. A pattern that matches it matches all names, as that of a default site.
_NO_NAME: Final = "no-such-name.invalid"


def split_files(dump: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file in a dump."""
    parts = _FILE.split(dump)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def parse_server_names(text: str) -> list[str]:
    """Return the names in all ``server_name`` directives of a file."""
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


def matches_domain(name: str, domain: str) -> bool:
    """Return whether a name of a ``server_name`` directive matches a domain.

    A pattern for all names belongs to a default site and matches no domain. A pattern that Python cannot parse matches no domain.
    Source of the forms: https://nginx.org/en/docs/http/server_names.html.
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
        # A named group is (?<name>…) in PCRE and (?P<name>…) in Python.
        return re.search(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), domain, re.IGNORECASE) is not None
    except re.error:
        return False


def parse_conflicts(warnings: str) -> set[str]:
    """Return the names that two sites have at one address, from the warnings of nginx."""
    return set(_CONFLICT.findall(warnings))
