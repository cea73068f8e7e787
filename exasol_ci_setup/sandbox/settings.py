"""Collect the settings of a new sandbox from command-line options and environment variables."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.sandbox import docker_client, switches

if TYPE_CHECKING:
    from collections.abc import Mapping

DELAY_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_DELAY"
BUILD_SECONDS_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_BUILD_SECONDS"
SOURCES_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_SOURCES"
ACCESS_CONTROL_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_ACCESS_CONTROL"
FAIL_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_FAIL"
REGISTRY_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_REGISTRY"

MAX_SECONDS: Final = 3600
"""The upper limit of delays and build times."""


# The values that Click accepts for environment variables of flags.
_YES: Final = ("1", "true", "t", "yes", "y", "on")
_NO: Final = ("0", "false", "f", "no", "n", "off")


@dataclass(frozen=True)
class Settings:
    """The settings of a sandbox.

    `delay` is the time of each resource operation and `build_seconds` that of each build, in seconds. `sources` maps the URL of a repository to
    the absolute path of its local directory. `fail` is ``IDENTIFIER[:PHASE]`` of builds that fail, or empty. `registry` is whether a real
    registry serves ECR; `docker` is then the result of `FoundClient.as_settings`. With `access_control` policies are enforced.
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
        """Apply the settings to all accounts of this process."""
        switches.BUILD_SECONDS[""] = self.build_seconds
        switches.SOURCES[""] = {url: Path(directory) for url, directory in self.sources.items()}
        switches.FAILURES[""] = self.fail
        docker_client.use(docker_client.FoundClient.from_settings(self.docker))


def collect(
    *,
    delay: float | None = None,
    build_seconds: float | None = None,
    sources: Mapping[str, Path] | None = None,
    registry: bool | None = None,
    access_control: bool = False,
) -> Settings:
    """Return the settings of a new sandbox. For None, or False, the environment variable applies.

    `sources` are added to those of the variable. Raises InputError, with the name of the variable or directory, for an invalid value.
    """
    found = _sources_from_environment()
    for url, directory in (sources or {}).items():
        found[url] = _directory(directory, f"the source of {url}")
    fail = os.environ.get(FAIL_VARIABLE, "")
    if not switches.is_failure(fail):
        raise InputError(
            f"invalid {FAIL_VARIABLE}: {fail!r} is not IDENTIFIER[:PHASE]",
            hint=f"a phase is one of {', '.join(switches.FAILING_PHASES)}",
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
    if not 0 <= seconds <= MAX_SECONDS:
        raise InputError(
            f"invalid {variable}: {text!r} is not a number from 0 to {MAX_SECONDS}",
            hint=f"set seconds, such as {variable}=0.5",
        )
    return seconds


def _flag(variable: str) -> bool:
    text = os.environ.get(variable, "").lower()
    if text not in {"", *_YES, *_NO}:
        raise InputError(f"invalid {variable}: {text!r} is not 1 or 0", hint=f"set {variable}=1")
    return text in _YES


def _sources_from_environment() -> dict[str, str]:
    try:
        listed = switches.parse_sources(os.environ.get(SOURCES_VARIABLE, ""))
    except ValueError as error:
        raise InputError(
            f"invalid {SOURCES_VARIABLE}: {str(error)!r} is not URL=PATH",
            hint="separate several by semicolons; an example is https://github.com/exasol/some-repository=.",
        ) from error
    return {url: _directory(Path(path), SOURCES_VARIABLE) for url, path in listed.items()}


def _directory(path: Path, what: str) -> str:
    directory = path.expanduser().absolute()
    if not directory.is_dir():
        raise InputError(f"{what} is not a directory: {path}", hint="name the local directory of the repository")
    return str(directory)
