"""Operations of deployed constructs: sync sources, build images, read logs; and the runtime that they use."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.http import LOOPBACK
from exasol_ci_setup.programs.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.clock import Clock


@dataclass(frozen=True)
class PlannedBuild:
    """A build that a program starts after its stacks are deployed. `token` is that of its source."""

    builder: ContainerBuilder
    tag: str
    build_context: str
    variables: Mapping[str, str]
    token: str | None = None


@dataclass(frozen=True)
class DryRun:
    """What the actions of a program would do: the builds that it starts, and the token of each asset by its identity."""

    builds: list[PlannedBuild] = field(default_factory=list)
    tokens: dict[int, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Runtime:
    """What the methods of constructs use: `connect` opens the account of a scope, `say` receives a line about each action.

    `resolve` is called for each construct that a program resolves; if it is None, the construct is deployed. `outputs` returns the outputs of
    a construct that the program has not resolved; if it is None, they are unknown. In a dry run (`is_dry_run`) actions are only reported,
    and recorded in `recorded`.
    """

    connect: Callable[[Scope], Account]
    clock: Clock
    say: Callable[[str], None]
    resolve: Callable[[Construct], None] | None = None
    is_dry_run: bool = False
    outputs: Callable[[Construct], Mapping[str, str]] | None = None
    recorded: DryRun = field(default_factory=DryRun)

    def may_log_in_to(self, host: str | None, scope: Scope) -> bool:
        """Whether a key or token of a scope may be sent to `host`; in the sandbox only a local host may receive it.

        Raises as `connect`.
        """
        if host in LOOPBACK:
            return True
        # Read from a client, because the AWS configuration may also set the endpoint.
        endpoint = self.connect(scope).client("ec2").meta.endpoint_url
        return urlsplit(endpoint).hostname not in LOOPBACK


# For the whole process and not for one thread: a program may resolve its constructs in its own threads, and these
# must not act while the command only collects declarations.
_RUNTIMES: list[Runtime] = []


@contextmanager
def use_runtime(runtime: Runtime) -> Iterator[None]:
    """Use `runtime` for constructs in all threads while the context is open."""
    _RUNTIMES.append(runtime)
    try:
        yield
    finally:
        _RUNTIMES.remove(runtime)


def current() -> Runtime:
    """Return the current runtime, or the default: it uses the AWS configuration, and prints nothing."""
    if _RUNTIMES:
        return _RUNTIMES[-1]
    clock = SystemClock()
    return Runtime(Connections(clock), clock, lambda _message: None)
