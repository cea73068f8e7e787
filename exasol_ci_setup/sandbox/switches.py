"""What a user of the sandbox sets about builds: how long they take, where sources are, and which of them fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
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

    The branch counts before what is set for the account. A branch without an identifier fails every build of a batch but the one
    that reads the batch's buildspec.
    """
    if match := _BRANCH.search(source_version):
        wanted = match["identifier"]
        meant = identifier == wanted if wanted else identifier != "DOWNLOAD_SOURCE"
        if meant and (first_try or not match["once"]):
            return Failure(match["phase"] or _default_phase(identifier), f"the branch {source_version}")
    setting = FAILURES.get(account, FAILURES.get("", ""))
    wanted, _, phase = setting.partition(":")
    if wanted and wanted == identifier:
        return Failure(phase or _default_phase(identifier), f"the setting {setting}")
    return None


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


def _default_phase(identifier: str) -> str:
    return "DOWNLOAD_SOURCE" if identifier == "DOWNLOAD_SOURCE" else "BUILD"
