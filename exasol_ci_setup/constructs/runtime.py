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
    from types import TracebackType

    from typing_extensions import Self

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.asset import Asset
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.constructs.compute import Instance
    from exasol_ci_setup.constructs.service import Cluster, Service
    from exasol_ci_setup.core.costs import Cost
    from exasol_ci_setup.core.errors.details import Finding
    from exasol_ci_setup.core.stacks import Drift, Options, Plan, Result, Stack, StackSettings


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


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How to run a task. `command` is split as in a shell, `timeout` is in seconds. With `check` a failed task is an error."""

    command: str | None
    env_vars: Mapping[str, str] | None
    timeout: float | None
    check: bool


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of a task: its ARN, the exit code of its container, and its log lines. `exit_code` is None if the container did not run."""

    service: str
    arn: str
    exit_code: int | None
    log: tuple[str, ...]


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


class OpenPlan(Protocol):
    """A plan whose change set exists on AWS: a context manager, which deletes the change set unless the plan is applied.

    `plan` is what would change; it is falsy if there are no changes. `stack` is the stack before, None if it does not exist.
    """

    plan: Plan
    stack: Stack | None

    def __enter__(self) -> Self:
        """Return the plan."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Delete the change set, and an empty new stack, unless the plan was applied."""

    def apply(self) -> Result:
        """Execute the plan, and return when AWS has finished. Raises PlanOutdatedError, DeployFailedError and TimedOutError."""


class Runtime(Protocol):
    """Acts for constructs."""

    def deploy(
        self, construct: Construct, context: Context | None, settings: StackSettings, options: Options, /
    ) -> Result:
        """Deploy the construct after all that it depends on."""

    def outputs(self, construct: Construct, /) -> Mapping[str, str]:
        """Return the outputs of a construct that has stored none."""

    def plan(
        self, construct: Construct, context: Context | None, settings: StackSettings, options: Options, /
    ) -> OpenPlan:
        """Plan the stack of the construct."""

    def lint(self, construct: Construct, region: str, /) -> list[Finding]:
        """Return the findings of the linter."""

    def validate(self, construct: Construct, context: Context | None, /) -> list[Finding]:
        """Check the template of the construct."""

    def diff(self, construct: Construct, context: Context | None, /) -> str:
        """Compare the template of the construct with the deployed one."""

    def cost(self, construct: Construct, context: Context | None, /) -> Cost:
        """Estimate the monthly cost of the construct's stack."""

    def drift(self, construct: Construct, context: Context | None, /) -> Drift:
        """Detect the drift of the construct's stack."""

    def import_resources(
        self, construct: Construct, identifiers: Mapping[str, str], context: Context | None, options: Options, /
    ) -> Result:
        """Import existing resources into the construct's stack."""

    def watch(self, construct: Construct, context: Context | None, /) -> Stack:
        """Follow the operation in progress on the construct's stack."""

    def delete(self, construct: Construct, context: Context | None, /, *, empty: bool) -> bool:
        """Delete the construct's stack."""

    def sync(self, asset: Asset, token: str | None, /) -> Synced:
        """Upload the source of an asset."""

    def build(
        self, builder: ContainerBuilder, tag: str | None, build_context: str, variables: Mapping[str, str] | None, /
    ) -> Build:
        """Build the image of a container builder."""

    def log(self, cluster: Cluster, service: Service | str, lines: int, /) -> list[str]:
        """Return the last log lines of a service."""

    def run_task(self, cluster: Cluster, service: Service | str, options: TaskOptions, /) -> TaskResult:
        """Run a task of a service until it ends."""

    def public_ip(self, instance: Instance, /) -> str:
        """Return the public address that EC2 reports for an instance."""

    def run_commands(self, instance: Instance, commands: Iterable[str], login: Login, /) -> Iterator[CommandResult]:
        """Run commands on an instance."""


def runtime() -> Runtime:
    """Return the runtime, loaded when it is first used."""
    return cast("Runtime", import_module(runtime_module()))
