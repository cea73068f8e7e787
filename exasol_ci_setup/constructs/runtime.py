"""What acts for a construct: it deploys it, syncs its source, builds its image, and runs commands on it.

Constructs are data and call no AWS API. Their methods that act call the `Runtime`, which the package names when it is imported, and
which is loaded at the first such call.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

from exasol_ci_setup.core.wiring import runtime_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exasol_ci_setup.constructs.asset import Asset
    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.constructs.compute import Instance
    from exasol_ci_setup.constructs.service import Cluster, Service


@dataclass(frozen=True, slots=True)
class Synced:
    """An archive in the asset's bucket: its key, the SHA-256 of its content, and whether this call uploaded it.

    In a dry run, key and hash are placeholders.
    """

    key: str
    sha256: str
    uploaded: bool


class CommandResult(TypedDict):
    r"""The result of a command.

    Bytes that are not UTF-8 appear as ``\xNN``. `exit_status` is -1 if a signal ended the command.
    """

    command: str
    stdout: str
    stderr: str
    exit_status: int


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach an instance over SSH.

    `timeout` is in seconds for each command, None for no timeout. `boot_timeout` is in seconds for the instance to boot. `jump` names
    machines to connect through, as `ssh -J` does.
    """

    user: str
    port: int
    timeout: float | None
    boot_timeout: float
    jump: str | None


class Build(Protocol):
    """A build of an image. `id` is CodeBuild's ID of the build, empty if none was needed."""

    content_hash: str
    started: bool

    @property
    def id(self) -> str:
        """CodeBuild's ID of the build, empty if none was needed."""

    @property
    def status(self) -> str:
        """CodeBuild's current status of the build."""

    def logs(self) -> list[str]:
        """Return all lines of the build's log so far."""

    def wait(self, timeout: float | None = None) -> Build:
        """Return when the registry has the image; `timeout` is in seconds."""

    def stop(self) -> None:
        """Stop the build."""


class Runtime(Protocol):
    """Acts for constructs."""

    def deploy(self, construct: ScopedConstruct, /) -> None:
        """Deploy the construct after all that it depends on."""

    def outputs(self, construct: ScopedConstruct, /) -> Mapping[str, str]:
        """Return the outputs of a construct that has stored none."""

    def sync(self, asset: Asset, token: str | None, /) -> Synced:
        """Upload the source of an asset."""

    def build(
        self, builder: ContainerBuilder, tag: str | None, build_context: str, variables: Mapping[str, str] | None, /
    ) -> Build:
        """Build the image of a container builder."""

    def log(self, cluster: Cluster, service: Service | str, lines: int, /) -> list[str]:
        """Return the last log lines of a service."""

    def public_ip(self, instance: Instance, /) -> str:
        """Return the public address that EC2 reports for an instance."""

    def run_commands(self, instance: Instance, commands: Iterable[str], login: Login, /) -> Iterator[CommandResult]:
        """Run commands on an instance."""


def runtime() -> Runtime:
    """Return the runtime, loaded when it is first used."""
    return cast("Runtime", import_module(runtime_module()))
