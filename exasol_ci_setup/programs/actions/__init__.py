"""Operations of deployed constructs: sync sources, build images, read logs; and the runtime that they use."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.http import LOOPBACK
from exasol_ci_setup.programs.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.clock import Clock


@dataclass(frozen=True)
class Runtime:
    """The runtime of actions: `connect` opens the account of a scope, `say` receives a line about each action."""

    connect: Callable[[Scope], Account]
    clock: Clock
    say: Callable[[str], None]

    @property
    def acts(self) -> bool:
        """Whether actions are executed; in a dry run they are only reported."""
        from exasol_ci_setup.programs import verbs  # noqa: PLC0415 - verbs imports this module

        return verbs.is_acting()

    def may_log_in_to(self, host: str | None, scope: Scope) -> bool:
        """Whether a key or token of a scope may be sent to `host`; in the sandbox only a local host may receive it.

        Raises as `connect`.
        """
        if host in LOOPBACK:
            return True
        # Read from a client, because the AWS configuration may also set the endpoint.
        endpoint = self.connect(scope).client("ec2").meta.endpoint_url
        return urlsplit(endpoint).hostname not in LOOPBACK


# For the whole process, since a program may call actions in its own threads.
_RUNTIMES: list[Runtime] = []


@contextmanager
def use_runtime(runtime: Runtime) -> Iterator[None]:
    """Use `runtime` for actions in all threads while the context is open."""
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
