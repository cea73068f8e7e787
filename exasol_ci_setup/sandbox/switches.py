"""What a user of the sandbox sets about builds: how long they take, where sources are, and which of them fail."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

BUILD_SECONDS: dict[str, float] = {}
"""Seconds that a build takes, by account; under "" for all other accounts."""

SOURCES: dict[str, dict[str, Path]] = {}
"""The directory that stands for a repository, by its URL, by account; under "" for all accounts."""

FAILURES: dict[str, str] = {}
"""``IDENTIFIER[:PHASE]`` of the builds that fail, by account; under "" for all other accounts."""

DEFAULT_BUILD_SECONDS: Final = 0.5

FAILING_PHASES: Final = ("DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
"""The phases in which a build can be made to fail."""

_BRANCH: Final = re.compile(
    rf"(?:^|/)sandbox-fail(?P<once>-once)?(?:/(?P<identifier>[A-Za-z0-9_-]+))?(?:/(?P<phase>{'|'.join(FAILING_PHASES)}))?$"
)


_READING: Final = "DOWNLOAD_SOURCE"
"""The build of a batch that reads its buildspec."""


@dataclass(frozen=True)
class _Order:
    """What a switch says: which build is to fail, or all of them, in which phase, or the usual one."""

    identifier: str
    phase: str
    switch: str
    of_branch: bool = False
    once: bool = False


@dataclass(frozen=True)
class Failure:
    """That a build is to fail: in which phase, and the switch that says so."""

    phase: str
    switch: str


def build_seconds(account: str) -> float:
    """Return the seconds that a build takes in `account`."""
    return BUILD_SECONDS.get(account, BUILD_SECONDS.get("", DEFAULT_BUILD_SECONDS))


def source_directory(account: str, url: str) -> Path | None:
    """Return the directory that stands for the repository at `url` in `account`, or None."""
    for scope in (account, ""):
        for registered, directory in SOURCES.get(scope, {}).items():
            if repository(registered) == repository(url):
                return directory
    return None


def repository(url: str) -> str:
    """Return `url` in the one spelling of those that mean the same repository."""
    return url.rstrip("/").removesuffix(".git").lower()


def failure(account: str, identifier: str, source_version: str, *, first_try: bool) -> Failure | None:
    """Return how the build `identifier` is to fail, or None.

    The branch counts before what is set for the account. A switch without an identifier fails every build of a batch but the one
    that reads the batch's buildspec.
    """
    for order in _orders(account, source_version):
        meant = identifier == order.identifier if order.identifier else identifier != _READING
        if meant and (first_try or not order.once):
            return Failure(order.phase or _default_phase(identifier), order.switch)
    return None


@dataclass(frozen=True)
class UnmatchedSwitch:
    """That a switch names a build that a batch does not have; a mistake if it is the batch's own branch that does."""

    message: str
    mistaken: bool


def unmatched(account: str, source_version: str, identifiers: Iterable[str]) -> tuple[UnmatchedSwitch, ...]:
    """Return the switches that name a build which is none of `identifiers`, those of a batch."""
    known = {_READING, *identifiers}
    builds = ", ".join(sorted(known - {_READING}))
    return tuple(
        UnmatchedSwitch(
            f"{order.switch} is to fail {order.identifier}, but the builds of this batch are {builds}",
            # A setting is for all projects, of which others may have that build.
            mistaken=order.of_branch,
        )
        for order in _orders(account, source_version)
        if order.identifier and order.identifier not in known
    )


def parsed_sources(text: str) -> Mapping[str, str]:
    """Return the directories by URL in ``URL=PATH``, several separated by semicolons.

    Raises ValueError, whose text is the entry, for one that is not of this form.
    """
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        url, separator, path = entry.rpartition("=")
        if not (separator and url and path):
            raise ValueError(entry)
        found[url] = path
    return found


def is_failure(text: str) -> bool:
    """Whether `text` is ``IDENTIFIER[:PHASE]``, or empty."""
    identifier, separator, phase = text.partition(":")
    return not text or bool(identifier and (phase in FAILING_PHASES if separator else True))


def _orders(account: str, source_version: str) -> Iterator[_Order]:
    if match := _BRANCH.search(source_version):
        order = _order(match["identifier"] or "", match["phase"] or "", f"the branch {source_version}")
        yield replace(order, of_branch=True, once=bool(match["once"]))
    if setting := FAILURES.get(account, FAILURES.get("", "")):
        identifier, _, phase = setting.partition(":")
        yield _order(identifier, phase, f"the setting {setting}")


def _order(identifier: str, phase: str, switch: str) -> _Order:
    if identifier in FAILING_PHASES and identifier != _READING and not phase:
        # A phase alone.
        return _Order("", identifier, switch)
    return _Order(identifier, phase, switch)


def _default_phase(identifier: str) -> str:
    return _READING if identifier == _READING else "BUILD"
