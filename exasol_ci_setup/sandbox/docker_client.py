"""Find the docker command on PATH that can build images for the sandbox, and its Docker engine."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_SECONDS: Final = 10
# Since version 23 the client needs a plugin for BuildKit: https://docs.docker.com/engine/release-notes/23.0/.
_FIRST_WITH_PLUGIN: Final = 23
_SOCKET: Final = "unix://"
_DESKTOP: Final = "Docker Desktop"


@dataclass(frozen=True)
class Client:
    """A docker command that can build with BuildKit, the address of its engine, and its plugin directory."""

    program: str
    host: str
    plugins: str = ""


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
    """Find a client that can build with BuildKit and has a local engine that answers."""
    directories = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    programs = [
        str(path) for path in dict.fromkeys(each / "docker" for each in directories) if os.access(path, os.X_OK)
    ]
    if not programs:
        return FoundClient(reason="no docker command is on PATH")
    reason = ""
    for program in programs:
        host = _output(program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        if not host.startswith(_SOCKET):
            reason = reason or f"the Docker engine at {host or 'an unknown address'} is not on this machine"
        elif not (engine := _output(program, "version", "--format", "{{.Server.Version}} {{.Server.Platform.Name}}")):
            reason = reason or f"no Docker engine answers at {host}"
        elif _DESKTOP in engine:
            reason = reason or f"the Docker engine at {host} runs in a virtual machine and cannot reach the registry"
        elif not _has_buildkit(program):
            reason = reason or f"{program} has no buildx plugin, which builds with BuildKit need"
        else:
            return FoundClient(Client(program, host, _plugins()))
    return FoundClient(reason=reason)


# A process has one set of services, and so at most one client.
_IN_USE: list[FoundClient] = [FoundClient()]


def use(found: FoundClient) -> None:
    """Set the client that builds images in this process."""
    _IN_USE[:] = [found]


def in_use() -> FoundClient:
    """Return the client that builds images in this process."""
    return _IN_USE[0]


def _has_buildkit(program: str) -> bool:
    version = re.match(r"\d+", _output(program, "version", "--format", "{{.Client.Version}}"))
    if version and int(version[0]) < _FIRST_WITH_PLUGIN:
        return True
    return bool(_output(program, "buildx", "version"))


def _plugins() -> str:
    directory = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    return str(directory.absolute()) if directory.is_dir() else ""


def _output(*command: str) -> str:
    """Return the stdout of a command; empty if it cannot run or times out."""
    try:
        ran = subprocess.run(  # noqa: S603 - found on PATH
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # The exit status is ignored: the client prints its version even if the engine does not answer.
    return ran.stdout.decode("utf-8", "replace").strip()
