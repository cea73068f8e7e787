"""What can be done with what was deployed: sources synced, images built, logs read; and for whom it is done."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exasol_ci_setup.fetch import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.constructs.scope import Scope


@dataclass(frozen=True)
class Runtime:
    """Where actions take place: `connect` opens the account of a scope, `say` hears of each action in one line."""

    connect: Callable[[Scope], Account]
    clock: Clock
    say: Callable[[str], None]

    @property
    def acts(self) -> bool:
        """Whether actions are to be done, and not only what they would do to be said."""
        from exasol_ci_setup.resolve import verbs

        return verbs.is_acting()

    def may_log_in_to(self, host: str | None, scope: Scope) -> bool:
        """Whether `host` may be shown a key or token on behalf of a scope; of one in the sandbox only this machine may.

        Raises as `connect`.
        """
        if host in LOOPBACK:
            return True
        # Asked of a client, as the AWS configuration may name the endpoint too.
        endpoint = self.connect(scope).client("ec2").meta.endpoint_url
        return urlsplit(endpoint).hostname not in LOOPBACK


# For the whole process, as a program may act in threads of its own.
_STAGES: list[Runtime] = []


@contextmanager
def use_runtime(stage: Runtime) -> Iterator[None]:
    """Let actions take place on `stage`, in all threads, while the context is open."""
    _STAGES.append(stage)
    try:
        yield
    finally:
        _STAGES.remove(stage)


def current() -> Runtime:
    """Return the stage that is set, or else one that acts as the AWS configuration says, and is silent."""
    if _STAGES:
        return _STAGES[-1]
    from exasol_ci_setup.clock import SystemClock
    from exasol_ci_setup.resolve.connections import Connections

    clock = SystemClock()
    return Runtime(Connections(clock), clock, lambda _message: None)
