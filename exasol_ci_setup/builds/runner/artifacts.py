"""Select the artifacts of a build from the list of its files.

These are pure functions. The rules are those of `artifacts` in https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.builds.runner.script import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exasol_ci_setup.builds.runner.buildspec import Artifact

_WILD: Final = re.compile(r"[*?\[]")


def root(artifact: Artifact) -> str:
    """Return the absolute directory in the container that holds all files of the artifact."""
    base = _fixed(_absolute(artifact.base_directory or "."))
    if _WILD.search(artifact.base_directory):
        return base
    folders = [_fixed(posixpath.dirname(_inside(base, pattern)) or ".") for pattern in artifact.files]
    common = posixpath.commonpath([posixpath.join("/", folder) for folder in folders])
    return posixpath.normpath(base + common)


def select(artifact: Artifact, paths: Iterable[str]) -> dict[str, str]:
    """Return the files of an artifact: the relative name of each, and its path in the container.

    `paths` are the absolute paths of the existing files. ``*`` matches within one folder, ``**`` across folders. Both match
    names that begin with a dot. A base directory with wildcards can match several directories. If two files get the same
    name, as with `discard-paths`, the first one in the order of paths is used.
    """
    base = _absolute(artifact.base_directory or ".").strip("/").split("/")
    base = [part for part in base if part]
    wanted = [_pattern(_inside("/".join(["", *base]), pattern)) for pattern in artifact.files]
    unwanted = [_pattern(_inside("/".join(["", *base]), pattern)) for pattern in artifact.exclude_paths]
    chosen: dict[str, str] = {}
    for path in sorted(paths):
        parts = path.strip("/").split("/")
        if len(parts) <= len(base) or not all(
            _part(want).fullmatch(part) for want, part in zip(base, parts, strict=False)
        ):
            continue
        name = "/".join(parts[len(base) :])
        if any(each.fullmatch(name) for each in wanted) and not any(each.fullmatch(name) for each in unwanted):
            chosen.setdefault(posixpath.basename(name) if artifact.discard_paths else name, path)
    return chosen


def _absolute(path: str) -> str:
    return posixpath.normpath(posixpath.join(SOURCE, path))


def _inside(base: str, pattern: str) -> str:
    """Return a pattern relative to `base`. An absolute pattern outside of `base` matches nothing."""
    if pattern.startswith("/"):
        return pattern.removeprefix(base.rstrip("/") + "/") if pattern.startswith(base.rstrip("/") + "/") else "//"
    return posixpath.normpath(pattern)


def _fixed(path: str) -> str:
    """Return the part of a path before the first name with wildcards."""
    fixed: list[str] = []
    for part in path.split("/"):
        if _WILD.search(part):
            break
        fixed.append(part)
    return "/".join(fixed) or ("/" if path.startswith("/") else "")


@lru_cache(maxsize=256)
def _part(pattern: str) -> re.Pattern[str]:
    """Return the regular expression for one name in a path."""
    return re.compile(_name_expression(pattern), re.DOTALL)


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression for a whole relative path."""
    parts = pattern.split("/")
    text = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".+" if last else "(?:[^/]+/)*"
        else:
            text += _name_expression(part) + ("" if last else "/")
    return re.compile(text, re.DOTALL)


def _name_expression(pattern: str) -> str:
    text, at = "", 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            text += "[^/]*"
        elif letter == "?":
            text += "[^/]"
        elif letter == "[" and (members := _members(pattern, at)):
            text += members
            at = pattern.index("]", at + 1) + 1
        else:
            text += re.escape(letter)
    return text


def _members(pattern: str, at: int) -> str:
    """Return the regular expression for the character set that begins at `at`; empty if it is not a valid one."""
    end = pattern.find("]", at + 1)
    if end < 0:
        return ""
    negated = pattern[at] in "!^"
    inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", pattern[at + negated : end])
    expression = f"(?!/)[{'^' if negated else ''}{inner}]"
    try:
        re.compile(expression)
    except re.error:  # a reversed range
        return ""
    return expression
