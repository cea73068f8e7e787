"""Settings of simulated builds: their duration, the directories of sources, and requested failures."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

BUILD_SECONDS: dict[str, float] = {}
"""Seconds of each build, by account; the key "" applies to all other accounts."""

SOURCES: dict[str, dict[str, Path]] = {}
"""Local directories by account and repository URL; the account "" applies to all accounts."""

FAILURES: dict[str, str] = {}
"""``IDENTIFIER[:PHASE]`` of builds that fail, by account; the key "" applies to all other accounts."""

DEFAULT_BUILD_SECONDS: Final = 0.5

FAILING_PHASES: Final = ("DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
"""The phases in which a build can fail on request."""

_BRANCH: Final = re.compile(
    rf"(?:^|/)sandbox-fail(?P<once>-once)?(?:/(?P<identifier>[A-Za-z0-9_-]+))?(?:/(?P<phase>{'|'.join(FAILING_PHASES)}))?$"
)


_BATCHSPEC_BUILD: Final = "DOWNLOAD_SOURCE"
"""The identifier of the build that reads the buildspec of a batch."""


@dataclass(frozen=True)
class _FailureSwitch:
    """A requested failure. An empty `identifier` means all builds; an empty `phase` means the default phase."""

    identifier: str
    phase: str
    source: str
    of_branch: bool = False
    once: bool = False


@dataclass(frozen=True)
class Failure:
    """The requested failure of a build: the phase, and the switch that requests it."""

    phase: str
    switch: str


def build_seconds(account: str) -> float:
    """Return the seconds of a build in `account`."""
    return BUILD_SECONDS.get(account, BUILD_SECONDS.get("", DEFAULT_BUILD_SECONDS))


def source_directory(account: str, url: str) -> Path | None:
    """Return the local directory of the repository at `url` in `account`, or None."""
    for scope in (account, ""):
        for registered, directory in SOURCES.get(scope, {}).items():
            if repository(registered) == repository(url):
                return directory
    return None


def repository(url: str) -> str:
    """Return the normalized URL of a repository."""
    return url.rstrip("/").removesuffix(".git").lower()


def failure(account: str, identifier: str, source_version: str, *, first_try: bool) -> Failure | None:
    """Return the requested failure of the build `identifier`, or None.

    The branch has precedence over the setting of the account. A switch without an identifier fails all builds of a batch except the
    one that reads the batch's buildspec.
    """
    for switch in _failure_switches(account, source_version):
        matches = identifier == switch.identifier if switch.identifier else identifier != _BATCHSPEC_BUILD
        if matches and (first_try or not switch.once):
            return Failure(switch.phase or _default_phase(identifier), switch.source)
    return None


@dataclass(frozen=True)
class UnmatchedSwitch:
    """A switch for a build that a batch does not have. It is an error if the branch of the batch is the switch."""

    message: str
    is_error: bool


def unmatched(account: str, source_version: str, identifiers: Iterable[str]) -> tuple[UnmatchedSwitch, ...]:
    """Return the switches that name a build outside of `identifiers`, those of a batch."""
    known = {_BATCHSPEC_BUILD, *identifiers}
    builds = ", ".join(sorted(known - {_BATCHSPEC_BUILD}))
    return tuple(
        UnmatchedSwitch(
            f"{switch.source} requests the failure of {switch.identifier}, but this batch has the builds {builds}",
            # A setting applies to all projects, and another project can have that build.
            is_error=switch.of_branch,
        )
        for switch in _failure_switches(account, source_version)
        if switch.identifier and switch.identifier not in known
    )


def parse_sources(text: str) -> Mapping[str, str]:
    """Return the directories by URL from ``URL=PATH`` entries, separated by semicolons.

    Raises ValueError with the text of an invalid entry.
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


def _failure_switches(account: str, source_version: str) -> Iterator[_FailureSwitch]:
    if match := _BRANCH.search(source_version):
        switch = _parse_switch(match["identifier"] or "", match["phase"] or "", f"the branch {source_version}")
        yield replace(switch, of_branch=True, once=bool(match["once"]))
    if setting := FAILURES.get(account, FAILURES.get("", "")):
        identifier, _, phase = setting.partition(":")
        yield _parse_switch(identifier, phase, f"the setting {setting}")


def _parse_switch(identifier: str, phase: str, source: str) -> _FailureSwitch:
    if identifier in FAILING_PHASES and identifier != _BATCHSPEC_BUILD and not phase:
        # Only a phase, without an identifier.
        return _FailureSwitch("", identifier, source)
    return _FailureSwitch(identifier, phase, source)


def _default_phase(identifier: str) -> str:
    return _BATCHSPEC_BUILD if identifier == _BATCHSPEC_BUILD else "BUILD"
