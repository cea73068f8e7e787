"""What can be done with what was deployed: sources synced, images built, logs read; and for whom it is done."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.constructs.scope import Scope


@dataclass(frozen=True)
class Stage:
    """Where actions take place: `connect` opens the account of a scope, `say` hears of each action in one line."""

    connect: Callable[[Scope], Account]
    clock: Clock
    say: Callable[[str], None]

    @property
    def acts(self) -> bool:
        """Whether actions are to be done, and not only what they would do to be said."""
        from exasol_ci_setup.resolve import verbs

        return verbs.is_acting()


_STAGE: ContextVar[Stage | None] = ContextVar("stage", default=None)


@contextmanager
def taking_place_on(stage: Stage) -> Iterator[None]:
    """Let actions take place on `stage`, in this thread and in what it starts, while the context is open."""
    token = _STAGE.set(stage)
    try:
        yield
    finally:
        _STAGE.reset(token)


def current() -> Stage:
    """Return the stage that is set, or else one that acts as the AWS configuration says, and is silent."""
    stage = _STAGE.get()
    if stage is not None:
        return stage
    from exasol_ci_setup.clock import SystemClock
    from exasol_ci_setup.resolve.connections import Connections

    clock = SystemClock()
    return Stage(Connections(clock), clock, lambda _message: None)
