"""What a sandbox is started with: options of the command line, else variables of the environment."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import InputError
from exasol_ci_setup.sandbox import docker_client, switches

if TYPE_CHECKING:
    from collections.abc import Mapping

DELAY_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_DELAY"
BUILD_SECONDS_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_BUILD_SECONDS"
SOURCES_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_SOURCES"
ACCESS_CONTROL_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_ACCESS_CONTROL"
FAIL_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_FAIL"
REGISTRY_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_REGISTRY"

MOST_SECONDS: Final = 3600
"""Nobody watches one operation for longer."""


# As Click understands the variables of flags.
_YES: Final = ("1", "true", "t", "yes", "y", "on")
_NO: Final = ("0", "false", "f", "no", "n", "off")


@dataclass(frozen=True)
class Settings:
    """What a sandbox is started with.

    `delay` is in seconds for each resource operation, `build_seconds` for each build; `sources` has the absolute path of the
    directory that stands for a repository, by its URL; `fail` is ``IDENTIFIER[:PHASE]`` of the builds that fail, or empty;
    `registry` is whether a real registry stands for ECR, and `docker` with what images are built then, as `Found.as_settings` has it;
    with `access_control` policies are enforced.
    """

    delay: float = 0.0
    build_seconds: float = switches.DEFAULT_BUILD_SECONDS
    sources: Mapping[str, str] = field(default_factory=dict)
    fail: str = ""
    registry: bool = False
    docker: Mapping[str, str] = field(default_factory=dict)
    access_control: bool = False

    def as_json(self) -> str:
        """Return the settings as text for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Return the settings that `as_json` wrote."""
        return cls(**json.loads(text))

    def apply(self) -> None:
        """Let these settings count in this process, for all accounts."""
        switches.BUILD_SECONDS[""] = self.build_seconds
        switches.SOURCES[""] = {url: Path(directory) for url, directory in self.sources.items()}
        switches.FAILURES[""] = self.fail
        docker_client.use(docker_client.FoundClient.from_settings(self.docker))


def chosen(
    *,
    delay: float | None = None,
    build_seconds: float | None = None,
    sources: Mapping[str, Path] | None = None,
    registry: bool | None = None,
    access_control: bool = False,
) -> Settings:
    """Return the settings of a sandbox to start; None, or False, leaves one to its variable of the environment.

    Of `sources`, those of the variable count too, for other URLs.

    Raises InputError, naming the variable or the directory, for a value that is none.
    """
    found = _sources_from_environment()
    for url, directory in (sources or {}).items():
        found[url] = _directory(directory, f"the source of {url}")
    fail = os.environ.get(FAIL_VARIABLE, "")
    if not switches.is_failure(fail):
        raise InputError(
            f"{FAIL_VARIABLE} is {fail!r}",
            hint=f"give IDENTIFIER or IDENTIFIER:PHASE, with a phase of {', '.join(switches.FAILING_PHASES)}",
        )
    with_registry = _flag(REGISTRY_VARIABLE) if registry is None else registry
    return Settings(
        delay=_seconds(DELAY_VARIABLE, 0.0) if delay is None else delay,
        build_seconds=(
            _seconds(BUILD_SECONDS_VARIABLE, switches.DEFAULT_BUILD_SECONDS) if build_seconds is None else build_seconds
        ),
        sources=found,
        fail=fail,
        registry=with_registry,
        docker=docker_client.find().as_settings() if with_registry else {},
        access_control=access_control or _flag(ACCESS_CONTROL_VARIABLE),
    )


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable, "")
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MOST_SECONDS:
        raise InputError(f"{variable} is {text!r}", hint=f"give seconds from 0 to {MOST_SECONDS}, such as 0.5")
    return seconds


def _flag(variable: str) -> bool:
    text = os.environ.get(variable, "").lower()
    if text not in {"", *_YES, *_NO}:
        raise InputError(f"{variable} is {text!r}", hint="give 1 or 0")
    return text in _YES


def _sources_from_environment() -> dict[str, str]:
    try:
        listed = switches.parsed_sources(os.environ.get(SOURCES_VARIABLE, ""))
    except ValueError as error:
        raise InputError(
            f"{SOURCES_VARIABLE} has {str(error)!r}",
            hint="give URL=PATH, several separated by semicolons, such as https://github.com/exasol/some-repository=.",
        ) from error
    return {url: _directory(Path(path), SOURCES_VARIABLE) for url, path in listed.items()}


def _directory(path: Path, what: str) -> str:
    directory = path.expanduser().absolute()
    if not directory.is_dir():
        raise InputError(f"{what} is no directory: {path}", hint="name the directory that stands for the repository")
    return str(directory)
