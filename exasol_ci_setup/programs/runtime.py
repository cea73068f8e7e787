"""What constructs call to act: deployments, source archives, image builds, logs, and commands on instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.programs.actions import build as builds
from exasol_ci_setup.programs.actions import instances, logs
from exasol_ci_setup.programs.actions import sync as archives
from exasol_ci_setup.programs.actions.commands import run_all
from exasol_ci_setup.programs.one_stack import cost, delete, diff, drift, import_resources, lint, plan, validate, watch
from exasol_ci_setup.programs.resolve import deploy, outputs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exasol_ci_setup.constructs import Asset, Cluster, Construct, ContainerBuilder, Instance, Service
    from exasol_ci_setup.constructs.runtime import CommandResult, Login, Runtime, Synced
    from exasol_ci_setup.programs.actions.build import Build


def outputs(construct: Construct, /) -> Mapping[str, str]:
    """Return the outputs of a construct as `programs.resolve.outputs_of` does."""
    return outputs_of(construct)


def sync(asset: Asset, token: str | None, /) -> Synced:
    """Upload the source of an asset as `programs.actions.sync.sync` does."""
    return archives.sync(asset, token)


def build(
    builder: ContainerBuilder, tag: str | None, build_context: str, variables: Mapping[str, str] | None, /
) -> Build:
    """Build an image as `programs.actions.build.build` does."""
    return builds.build(builder, tag, build_context, variables)


def log(cluster: Cluster, service: Service | str, lines: int, /) -> list[str]:
    """Return log lines as `programs.actions.logs.log` does."""
    return logs.log(cluster, service, lines)


def public_ip(instance: Instance, /) -> str:
    """Return an address as `programs.actions.instances.public_ip` does."""
    return instances.public_ip(instance)


def run_commands(instance: Instance, commands: Iterable[str], login: Login, /) -> Iterator[CommandResult]:
    """Run commands as `programs.actions.commands.run_all` does."""
    return run_all(instance, commands, login)


__all__ = [
    "build",
    "cost",
    "delete",
    "deploy",
    "diff",
    "drift",
    "import_resources",
    "lint",
    "log",
    "outputs",
    "plan",
    "public_ip",
    "run_commands",
    "sync",
    "validate",
    "watch",
]

if TYPE_CHECKING:
    import sys
    from typing import cast

    # mypy compares the functions above with the protocol.
    _: Runtime = cast("Runtime", sys.modules[__name__])
