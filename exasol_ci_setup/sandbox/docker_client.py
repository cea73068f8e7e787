"""The docker command with which images are built in the sandbox: which of those on PATH can, and for which engine."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOK_SECONDS: Final = 10
# From 23 on the client leaves BuildKit to a plugin: https://docs.docker.com/engine/release-notes/23.0/.
_FIRST_WITH_PLUGIN: Final = 23
_SOCKET: Final = "unix://"
_DESKTOP: Final = "Docker Desktop"


@dataclass(frozen=True)
class Client:
    """A docker command that can build with BuildKit, the address of its engine, and a further directory with its plugins."""

    program: str
    host: str
    plugins: str = ""


@dataclass(frozen=True)
class FoundClient:
    """The client to build with, or why there is none."""

    client: Client | None = None
    reason: str = "no Docker engine was looked for"

    @property
    def engine(self) -> str:
        """The address of the engine, or that there is none, for people."""
        return self.client.host if self.client else f"none, as {self.reason}"

    def as_settings(self) -> dict[str, str]:
        """Return this as names and values, for `from_settings`."""
        return asdict(self.client) if self.client else {"reason": self.reason}

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> FoundClient:
        """Return what `as_settings` wrote."""
        if "program" in settings:
            return cls(Client(**settings))
        return cls(reason=settings["reason"]) if settings else cls()


def find() -> FoundClient:
    """Look for a client that can build with BuildKit, and whose engine is on this machine and answers."""
    directories = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    programs = [
        str(path) for path in dict.fromkeys(each / "docker" for each in directories) if os.access(path, os.X_OK)
    ]
    if not programs:
        return FoundClient(reason="there is no docker command")
    reason = ""
    for program in programs:
        host = _output(program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        if not host.startswith(_SOCKET):
            reason = reason or f"the Docker engine at {host or 'an unknown address'} is not on this machine"
        elif not (engine := _output(program, "version", "--format", "{{.Server.Version}} {{.Server.Platform.Name}}")):
            reason = reason or f"no Docker engine answers at {host}"
        elif _DESKTOP in engine:
            reason = (
                reason or f"the Docker engine at {host} is in a virtual machine, where it does not reach the registry"
            )
        elif not _has_buildkit(program):
            reason = reason or f"{program} has no buildx, without which it does not build with BuildKit"
        else:
            return FoundClient(Client(program, host, _plugins()))
    return FoundClient(reason=reason)


# One at most, as there is one set of services in a process.
_IN_USE: list[FoundClient] = [FoundClient()]


def use(found: FoundClient) -> None:
    """Let images be built as was found, in this process, from now on."""
    _IN_USE[:] = [found]


def in_use() -> FoundClient:
    """Return with what images are built in this process."""
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
    """Return what a command writes to stdout, nothing if it writes nothing or does not end."""
    try:
        ran = subprocess.run(  # noqa: S603 - found on PATH
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LOOK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # The client's own version is told even if the engine's cannot be.
    return ran.stdout.decode("utf-8", "replace").strip()
