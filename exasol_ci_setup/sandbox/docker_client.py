"""Choose the `docker` program and the Docker engine that build images for the sandbox."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import EngineError
from exasol_ci_setup.docker import engine, program

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_SECONDS: Final = 10
_SOCKET: Final = "unix://"
_DESKTOP: Final = "Docker Desktop"
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR")


@dataclass(frozen=True)
class Client:
    """A docker command that can build with BuildKit, the address of its engine, and its plugin directory."""

    program: str
    host: str
    plugins: str = ""

    def configure(self, directory: Path) -> dict[str, str]:
        """Return the environment of the command, with a configuration in `directory` that has no credentials of the user."""
        if not directory.is_dir():
            directory.mkdir(mode=0o700)
            settings = {"cliPluginsExtraDirs": [self.plugins]} if self.plugins else {}
            (directory / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        return {
            **{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(directory),
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
        }


@dataclass(frozen=True)
class FoundClient:
    """The client to build with, or the reason why no client can be used."""

    client: Client | None = None
    reason: str = "the sandbox was started without a registry"

    @property
    def engine(self) -> str:
        """The address of the engine, or the reason why no engine is used, as text for users."""
        return self.client.host if self.client else f"none: {self.reason}"

    def as_settings(self) -> dict[str, str]:
        """Return names and values for `from_settings`."""
        return asdict(self.client) if self.client else {"reason": self.reason}

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> FoundClient:
        """Return the client of `as_settings`."""
        if "program" in settings:
            return cls(Client(**settings))
        return cls(reason=settings["reason"]) if settings else cls()


def find() -> FoundClient:
    """Find a command that can build with BuildKit, and check that the engine is local and answers."""
    programs = program.find_all()
    if not programs:
        return FoundClient(reason="no docker command is on PATH")
    try:
        host = engine.address()
        if not host.startswith(_SOCKET):
            return FoundClient(reason=f"the Docker engine at {host} is not on this machine")
        with (
            contextlib.closing(engine.connect(timeout=_TIMEOUT_SECONDS)) as client,
            engine.engine_errors(f"the Docker engine at {host} did not return its version"),
        ):
            platform = client.version().get("Platform") or {}
    except EngineError as error:
        return FoundClient(reason=error.message)
    if _DESKTOP in platform.get("Name", ""):
        return FoundClient(
            reason=f"the Docker engine at {host} runs in a virtual machine and cannot reach the registry"
        )
    for path in programs:
        if program.has_buildkit(path):
            return FoundClient(Client(path, host, _plugins()))
    return FoundClient(reason=f"{programs[0]} has no buildx plugin, which builds with BuildKit need")


# A process has one set of services, and so at most one client.
_IN_USE: list[FoundClient] = [FoundClient()]


def use(found: FoundClient) -> None:
    """Set the client that builds images in this process."""
    _IN_USE[:] = [found]


def in_use() -> FoundClient:
    """Return the client that builds images in this process."""
    return _IN_USE[0]


def _plugins() -> str:
    directory = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    return str(directory.absolute()) if directory.is_dir() else ""
