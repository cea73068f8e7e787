"""Find the flavors on disk, and distribute them to the builds of a batch."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.builds.buildspecs.output import holds_only_output
from exasol_ci_setup.core.build_settings import DEFAULT_BATCH_LIMIT
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LOG = logging.getLogger(__name__)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME_RULE: Final = "use letters, digits, dots, hyphens and underscores, the first a letter or digit"

# The error BATCH_SPEC_VALIDATION_ERROR of CodeBuild requires alphanumeric characters and underscores, and less than 128
# characters (quoted in https://github.com/aws/copilot-cli/pull/1673).
_MAX_IDENTIFIER_LENGTH: Final = 127

# CodeBuild: "EnvironmentVariable should be at most 4096 characters" (https://github.com/wolfeidau/buildkite-serverless-agent/issues/35).
_MAX_VARIABLE_LENGTH: Final = 4096
_VARIABLE_RULE: Final = f"CodeBuild accepts at most {_MAX_VARIABLE_LENGTH} characters in the variable with their names"


@dataclass(frozen=True, slots=True)
class BuildGroup:
    """One build of a batch: its identifier in CodeBuild, and the flavors that it builds sequentially."""

    identifier: str
    flavors: tuple[str, ...]


def find_flavors(
    roots: Iterable[Path], *, named: Iterable[str] = (), exclude: Iterable[str] = (), own: Iterable[Path] = ()
) -> tuple[str, ...]:
    """Return the names of the flavors below `roots`, and those in `named`, sorted and without duplicates.

    Each directory directly below a root is a flavor, also if it is a symbolic link. Not included are files, names that begin with a
    dot or match a pattern of `exclude`, and directories that have only generated files; `own` are paths of this tool that count as
    such. Raises InputError for a root that is not a directory, cannot be read, or has no flavor, and for a link to a missing target.
    """
    flavors: set[str] = set(named)
    excluded = tuple(exclude)
    kept = frozenset(map(str, own))
    for root in roots:
        names = [name for name in _directories(root, excluded) if not holds_only_output(f"{root}/{name}", kept)]
        if not names:
            raise InputError(
                f"no flavor found in {root}: it contains no directory{' that is not excluded' if excluded else ''}",
                hint="set --flavor-root-path to the directory that contains one directory for each flavor\n"
                "or, to build something without such a directory, name it: `--flavor app` in place of --flavor-root-path",
            )
        _LOG.info("flavors in %s: %s", root, ", ".join(map(ascii, sorted(names))))
        flavors.update(names)
    return tuple(sorted(flavors))


def identifier(flavor: str) -> str:
    """Return the CodeBuild identifier for the build of `flavor`.

    Example: ``build_standard_EXASOL_all_python_310`` for ``standard-EXASOL-all-python-3.10``. Raises InputError for a name that is
    invalid in an identifier, in a variable or as a file name.
    """
    if not _NAME.fullmatch(flavor):
        raise InputError(f"flavor {flavor!a} cannot be built: the name is invalid", hint=_NAME_RULE)
    result = "build_" + flavor.replace(".", "").replace("-", "_")
    if len(result) > _MAX_IDENTIFIER_LENGTH:
        raise InputError(
            f"flavor {flavor} cannot be built: its identifier {result} has {len(result)} characters,"
            f" but CodeBuild accepts at most {_MAX_IDENTIFIER_LENGTH}"
        )
    return result


def build_groups(
    flavors: Iterable[str], *, flavors_per_build: int = 1, batch_limit: int = DEFAULT_BATCH_LIMIT
) -> tuple[BuildGroup, ...]:
    """Distribute `flavors` to builds, in order; the sizes of the builds differ by at most 1.

    `batch_limit` is the maximum number of builds in the batch. Raises InputError for an invalid name, for two names with the same
    identifier, for more builds than the batch may have, and for more flavors than CodeBuild accepts in one build.
    """
    names = sorted(set(flavors))
    identifiers = [identifier(name) for name in names]
    count = -(-len(names) // flavors_per_build)
    if count > batch_limit:
        raise _too_many(names, count, flavors_per_build, batch_limit)
    if flavors_per_build == 1:
        _check_unique(names, identifiers)
        return tuple(BuildGroup(each, (name,)) for each, name in zip(identifiers, names, strict=True))
    width = len(str(count))
    shares = _shares(names, count)
    if not _are_short_enough(shares):
        raise InputError(
            f"{max(map(len, shares))} flavors are too many for one build: {_VARIABLE_RULE}",
            hint=_hint(names, batch_limit, flavors_per_build - 1),
        )
    return tuple(BuildGroup(f"build_group_{number:0{width}}", own) for number, own in enumerate(shares, start=1))


def _shares(names: Sequence[str], count: int) -> list[tuple[str, ...]]:
    # Slices of the sorted names, because flavors with similar names usually share most of their layers.
    return [tuple(names[number * len(names) // count : (number + 1) * len(names) // count]) for number in range(count)]


def _are_short_enough(shares: Iterable[Sequence[str]]) -> bool:
    return all(len(" ".join(own)) <= _MAX_VARIABLE_LENGTH for own in shares)


def _hint(names: Sequence[str], limit: int, most: int) -> str:
    """Return the options that would be accepted, with at most `most` flavors in one build."""
    for each in range(most, 0, -1):
        count = -(-len(names) // each)
        if each == 1 or _are_short_enough(_shares(names, count)):
            if count <= limit:
                return f"build fewer flavors in each build: --flavors-per-build {each}"
            return f"deploy the stack with --batch-limit {count} or more, and pass the same limit here with --flavors-per-build {each}"
    return ""


def _directories(root: Path, excluded: Sequence[str]) -> list[str]:
    """Return the names of the directories below `root` that are neither hidden nor match a pattern of `excluded`."""
    try:
        with os.scandir(root) as entries:
            shown = [
                entry
                for entry in entries
                if not entry.name.startswith(".") and not any(fnmatchcase(entry.name, each) for each in excluded)
            ]
    except FileNotFoundError:
        problem = "does not exist"
    except NotADirectoryError:
        problem = "is not a directory"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    else:
        directories = [entry.name for entry in shown if _is_directory(entry)]
        _require_link_targets(root, [entry for entry in shown if entry.is_symlink() and entry.name not in directories])
        return directories
    raise InputError(f"flavor root path {root} {problem}")


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        # An example is a link to itself: whether it is a flavor is unknown.
        raise InputError(
            f"flavor root path {os.path.dirname(entry.path)} has an entry {entry.name!a} that cannot be read: {error.strerror}",  # noqa: PTH120 - keeps the path of the user
            hint="remove it",
        ) from None


def _require_link_targets(root: Path, links: Iterable[os.DirEntry[str]]) -> None:
    """Raise InputError for links to missing targets: in a clone without submodules, they are flavors of other clones."""
    missing = sorted(f"{each.name!a} → {os.readlink(each.path)!a}" for each in links if not os.path.exists(each.path))  # noqa: PTH110, PTH115 - an entry of os.scandir
    if missing:
        raise InputError(
            f"flavor root path {root} has links to missing targets: {', '.join(missing)}",
            hint="if the targets are in a submodule: `git submodule update --init`; otherwise remove the links",
        )


def _check_unique(names: Sequence[str], identifiers: Sequence[str]) -> None:
    owners: dict[str, list[str]] = {}
    for name, each in zip(names, identifiers, strict=True):
        owners.setdefault(each, []).append(name)
    clashes = [
        f"{', '.join(flavors[:-1])} and {flavors[-1]} would both be {each}"
        for each, flavors in owners.items()
        if len(flavors) > 1
    ]
    if clashes:
        raise InputError(
            f"duplicate identifier: {'; '.join(clashes)}",
            hint="rename one of them: the identifier is the name without dots, and with _ for each hyphen",
        )


def _too_many(names: Sequence[str], builds: int, flavors_per_build: int, limit: int) -> InputError:
    flavors = len(names)
    needed = -(-flavors // limit)
    grouped = f" in {builds} builds of at most {flavors_per_build}" if flavors_per_build > 1 else ""
    return InputError(
        f"{flavors} flavors{grouped} are too many for one batch of at most {limit} builds"
        " (BatchRestrictions.MaximumBuildsAllowed of the CodeBuild project)",
        hint=f"build several flavors sequentially in each build: --flavors-per-build {needed}\n"
        "or, if the stack was deployed with a higher --batch-limit, pass the same limit here"
        if _are_short_enough(_shares(names, -(-flavors // needed)))
        else f"there are also too many for groups: {_VARIABLE_RULE}\n{_hint(names, limit, needed - 1)}",
    )
