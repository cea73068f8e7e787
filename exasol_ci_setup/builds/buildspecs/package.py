"""The public package that the default build command runs: its version range, and whether a Poetry project can install it."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.template.intrinsics import as_mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE: Final = "exasol-script-languages-container-ci"
VERSIONS: Final = ">=1.8,<3"
"""The releases with the module ``main`` and its commands run-ci and run-release, which 3.0 removed.

https://github.com/exasol/script-languages-container-ci/blob/main/doc/changes/changes_3.0.0.md
"""

VERSION_CHECK: Final = f"""\
# The build command needs {PACKAGE} {VERSIONS}: later releases have other commands.
poetry run python3 -c '
import sys
from importlib.metadata import version
found = version("{PACKAGE}")
if not (1, 8) <= tuple(map(int, found.split(".")[:2])) < (3, 0):
    sys.exit("{PACKAGE} " + found + " is installed, but this build needs {VERSIONS}")
'"""
"""The shell code that fails a build in which another release is installed."""

# Any release of the range, also a future one: a constraint that accepts none of them excludes the range.
_ACCEPTABLE: Final = tuple(
    (major, minor, patch) for major, first in ((1, 8), (2, 0)) for minor in range(first, 40) for patch in range(12)
)
_PART: Final = re.compile(r"(\^|~=|~|===?|!=|>=|<=|>|<|=)?\s*([0-9][^\s,|]*|\*)")
_REQUIREMENT: Final = re.compile(r"\s*(?P<name>[A-Za-z0-9._-]+)\s*(\[[^]]*\])?\s*(?P<versions>[^;@]*)")


def excluding_file(root: Path) -> tuple[str, str] | None:
    """Return the file of the Poetry project in `root` that excludes the range, and its version or constraint; None if none does.

    The lock file has the version that is installed. A file that is missing or invalid, or a dependency by URL or path excludes nothing.
    """
    locked = [str(each.get("version", "")) for each in _packages(_read(root / "poetry.lock")) if _is_named(each)]
    if locked:
        return None if any(map(_is_acceptable, locked)) else ("poetry.lock", ", ".join(locked))
    constraints = list(_constraints(_read(root / "pyproject.toml")))
    if not constraints or any(map(_accepts_range, constraints)):
        return None
    return "pyproject.toml", " or ".join(constraints)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    return found


def _packages(lock: dict[str, Any]) -> Iterator[dict[str, Any]]:
    packages = lock.get("package")
    return (each for each in (packages if isinstance(packages, list) else []) if isinstance(each, dict))


def _is_named(package: dict[str, Any]) -> bool:
    return _normalized(str(package.get("name", ""))) == PACKAGE


def _normalized(name: str) -> str:
    # https://packaging.python.org/en/latest/specifications/name-normalization/
    return re.sub(r"[-_.]+", "-", name).lower()


def _constraints(project: dict[str, Any]) -> Iterator[str]:
    """Yield the constraints of a pyproject.toml on the version of the package; ``*`` for a dependency without one."""
    poetry = as_mapping(as_mapping(project.get("tool")).get("poetry"))
    groups = (as_mapping(each) for each in as_mapping(poetry.get("group")).values())
    for table in (poetry, *groups):
        for key in ("dependencies", "dev-dependencies"):
            for name, value in as_mapping(table.get(key)).items():
                if _normalized(name) == PACKAGE:
                    yield from _of_poetry(value)
    standard = as_mapping(project.get("project"))
    lists = [standard.get("dependencies"), *as_mapping(standard.get("optional-dependencies")).values()]
    lists += as_mapping(project.get("dependency-groups")).values()
    for requirements in lists:
        for text in requirements if isinstance(requirements, list) else []:
            yield from _of_requirement(text)


def _of_poetry(value: Any) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        version = each if isinstance(each, str) else as_mapping(each).get("version", "*")
        yield str(version)


def _of_requirement(text: Any) -> Iterator[str]:
    # https://packaging.python.org/en/latest/specifications/dependency-specifiers/
    found = _REQUIREMENT.match(text) if isinstance(text, str) else None
    if found and _normalized(found["name"]) == PACKAGE:
        yield found["versions"].strip(" ()") or "*"


def _accepts_range(constraint: str) -> bool:
    """Return whether a constraint of Poetry or pip accepts a release of the range, or cannot be read.

    https://python-poetry.org/docs/dependency-specification/#version-constraints
    """
    return any(_accepts(each) for each in re.split(r"\|\|?", constraint))


def _accepts(conjunction: str) -> bool:
    parts = [found.groups() for found in _PART.finditer(conjunction)]
    return any(all(_matches(release, *part) for part in parts) for release in _ACCEPTABLE)


def _matches(release: tuple[int, ...], operator: str | None, version: str) -> bool:
    """Return whether one part of a constraint accepts a release; a suffix such as that of a pre-release does not matter."""
    given = _numbers(version)
    lowest = (*given, 0, 0, 0)[:3]
    if operator in {"^", "~"}:
        return lowest <= release < _next(given, keep_zeros=operator == "^")
    if operator == "~=":
        return release >= lowest and release[: len(given) - 1] == given[:-1]
    if operator in {">=", ">", "<=", "<"}:
        return bool(_COMPARISONS[operator](release, lowest))
    is_same = release[: len(given)] == given if "*" in version else release == lowest
    return is_same != (operator == "!=")


_COMPARISONS: Final = {">=": ge, ">": gt, "<=": le, "<": lt}


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version, at most three."""
    found = re.match(r"\d+(\.\d+){0,2}", version)
    return tuple(int(each) for each in found[0].split(".")) if found else ()


def _next(given: tuple[int, ...], *, keep_zeros: bool) -> tuple[int, ...]:
    """Return the first version that a caret (`keep_zeros`) or a tilde excludes."""
    end = len(given) - 1
    last = next((index for index, each in enumerate(given) if each), end) if keep_zeros else min(1, end)
    return (*given[:last], given[last] + 1)


def _is_acceptable(version: str) -> bool:
    numbers = _numbers(version)
    return not numbers or (1, 8) <= numbers < (3,)
