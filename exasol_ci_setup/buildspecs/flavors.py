"""Which flavors there are on disk, and how they are spread over the builds of one batch."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs.ci import DEFAULT_BATCH_LIMIT
from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LOG = logging.getLogger(__name__)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME_RULE: Final = "use letters, digits, dots, hyphens and underscores, the first a letter or digit"

# CodeBuild's own words in the error BATCH_SPEC_VALIDATION_ERROR: only alphanumeric characters and underscores, and less than
# 128 characters in length (quoted in https://github.com/aws/copilot-cli/pull/1673).
_LONGEST_IDENTIFIER: Final = 127

# Likewise: "EnvironmentVariable should be at most 4096 characters" (https://github.com/wolfeidau/buildkite-serverless-agent/issues/35).
_LONGEST_VARIABLE: Final = 4096
_VARIABLE_RULE: Final = f"CodeBuild takes at most {_LONGEST_VARIABLE} characters in the variable that names them"


@dataclass(frozen=True, slots=True)
class BuildGroup:
    """One build of a batch: CodeBuild's identifier for it, and the flavors that it builds, one after the other."""

    identifier: str
    flavors: tuple[str, ...]


def find_flavors(roots: Iterable[Path]) -> tuple[str, ...]:
    """Return the names of the flavors below `roots`, sorted, each once.

    Every directory directly below a root is a flavor, also one that a symbolic link leads to; files, and whatever is hidden by a
    dot, are none. Raises InputError naming a root that is not a directory, cannot be read, or has no flavor.
    """
    found: set[str] = set()
    for root in roots:
        names = _directories(root)
        if not names:
            raise InputError(
                f"there is no flavor in {root}: it has no directory in it",
                hint="give by --flavor-root-path the directory in which each flavor has a directory of its own",
            )
        _LOG.info("flavors in %s: %s", root, ", ".join(map(ascii, sorted(names))))
        found.update(names)
    return tuple(sorted(found))


def identifier(flavor: str) -> str:
    """Return what CodeBuild calls the build of `flavor`: ``standard-EXASOL-all-python-3.10`` has
    ``build_standard_EXASOL_all_python_310``.

    Raises InputError if the name cannot be one of an identifier, an environment variable's value and a file.
    """
    if not _NAME.fullmatch(flavor):
        raise InputError(f"the flavor {flavor!a} cannot be built: its name is not acceptable", hint=_NAME_RULE)
    found = "build_" + flavor.replace(".", "").replace("-", "_")
    if len(found) > _LONGEST_IDENTIFIER:
        raise InputError(
            f"the flavor {flavor} cannot be built: its identifier {found} has {len(found)} characters,"
            f" of which CodeBuild takes at most {_LONGEST_IDENTIFIER}"
        )
    return found


def build_groups(
    flavors: Iterable[str], *, flavors_per_build: int = 1, batch_limit: int = DEFAULT_BATCH_LIMIT
) -> tuple[BuildGroup, ...]:
    """Spread `flavors` over builds, in order; with `flavors_per_build` above 1 the builds are as equal as can be.

    `batch_limit` is the most builds that the batch may have. Raises InputError for a name that is not acceptable, for two names
    that have the same identifier, for more builds than the batch may have, and for more flavors than CodeBuild takes in one build.
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
    if not _fit(shares):
        raise InputError(
            f"{max(map(len, shares))} flavors are too many for one build: {_VARIABLE_RULE}",
            hint=_way_out(names, batch_limit, flavors_per_build - 1),
        )
    return tuple(BuildGroup(f"build_group_{number:0{width}}", own) for number, own in enumerate(shares, start=1))


def _shares(names: Sequence[str], count: int) -> list[tuple[str, ...]]:
    # Slices of the sorted names: as a rule, flavors that share most of their layers come to lie in one build.
    return [tuple(names[number * len(names) // count : (number + 1) * len(names) // count]) for number in range(count)]


def _fit(shares: Iterable[Sequence[str]]) -> bool:
    return all(len(" ".join(own)) <= _LONGEST_VARIABLE for own in shares)


def _way_out(names: Sequence[str], limit: int, most: int) -> str:
    """Return which options would be accepted, with at most `most` flavors in one build."""
    for each in range(most, 0, -1):
        count = -(-len(names) // each)
        if each == 1 or _fit(_shares(names, count)):
            if count <= limit:
                return f"build fewer flavors in each build: --flavors-per-build {each}"
            return f"deploy the stack with --batch-limit {count} or more, and give the same one here, with --flavors-per-build {each}"
    return ""


def _directories(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and _is_directory(entry)]
    except FileNotFoundError:
        problem = "does not exist"
    except NotADirectoryError:
        problem = "is not a directory"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise InputError(f"the flavor root path {root} {problem}")


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        # Such as a link that leads to itself, of which nobody can say whether it is a flavor.
        raise InputError(
            f"the flavor root path {os.path.dirname(entry.path)} has an entry {entry.name!a} that cannot be read: {error.strerror}",  # noqa: PTH120 - as it was given
            hint="remove it",
        ) from None


def _check_unique(names: Sequence[str], identifiers: Sequence[str]) -> None:
    owners: dict[str, list[str]] = {}
    for name, each in zip(names, identifiers, strict=True):
        owners.setdefault(each, []).append(name)
    clashes = [
        f"{', '.join(of_one[:-1])} and {of_one[-1]} would both be {each}"
        for each, of_one in owners.items()
        if len(of_one) > 1
    ]
    if clashes:
        raise InputError(
            f"two flavors cannot have the same identifier: {'; '.join(clashes)}",
            hint="rename one of them: an identifier is the name without its dots, and with _ for each hyphen",
        )


def _too_many(names: Sequence[str], builds: int, flavors_per_build: int, limit: int) -> InputError:
    flavors = len(names)
    needed = -(-flavors // limit)
    grouped = f" in {builds} builds of at most {flavors_per_build}" if flavors_per_build > 1 else ""
    return InputError(
        f"{flavors} flavors{grouped} are too many for one batch: it may have at most {limit} builds"
        " (BatchRestrictions.MaximumBuildsAllowed of the CodeBuild project)",
        hint=f"build several flavors one after the other in each build: --flavors-per-build {needed}\n"
        "or, if the stack was deployed with a higher --batch-limit, give the same one here"
        if _fit(_shares(names, -(-flavors // needed)))
        else f"in groups they are still too many: {_VARIABLE_RULE}\n{_way_out(names, limit, needed - 1)}",
    )
