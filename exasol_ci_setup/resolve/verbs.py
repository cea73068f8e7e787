"""What `construct.resolve()` does: in a program that a command runs what the command asks for, elsewhere a deployment."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from exasol_ci_setup.aws import has_changed
from exasol_ci_setup.errors import InputError, SetupError, StackError
from exasol_ci_setup.stacks import graph
from exasol_ci_setup.stacks.events import NullView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.stacks.graph import Ended
    from exasol_ci_setup.stacks.model import Plan, Stack
    from exasol_ci_setup.templates import Template


@dataclass(frozen=True)
class _Role:
    """What part the program plays: who resolves its constructs, and whether it acts."""

    resolver: Callable[[ScopedConstruct], None]
    acting: bool


# For the whole process and not for a thread: a program may resolve its constructs in threads of its own, and what it does
# there must not be done for real while it is only heard.
_ROLES: list[_Role] = []
# One at a time: what two of them have in common is deployed once, and the second finds nothing to do.
_DEPLOYING = Lock()


@contextmanager
def running_with(resolver: Callable[[ScopedConstruct], None], *, acting: bool = True) -> Iterator[None]:
    """Let `resolver` do what constructs are resolved by, in all threads, while the context is open.

    Without `acting` the program is only heard: what constructs do besides being deployed, such as running a command, is left out.
    """
    role = _Role(resolver, acting)
    _ROLES.append(role)
    try:
        yield
    finally:
        _ROLES.remove(role)


@contextmanager
def collect_only() -> Iterator[None]:
    """Refuse to resolve anything, and do nothing, where no other role is set: for the time of a command that runs a program.

    A thread that the program leaves behind would else deploy for real between two runs.
    """

    def refuse(_construct: ScopedConstruct) -> None:
        raise InputError(
            "a construct is resolved outside of hangar_run",
            hint="resolve constructs in hangar_run, and wait there for threads",
        )

    with running_with(refuse, acting=False):
        yield


def is_acting() -> bool:
    """Return whether what a construct does besides being deployed is to be done, and not only the declaration to be heard."""
    return _ROLES[-1].acting if _ROLES else True


def resolve(construct: ScopedConstruct) -> None:
    """Deploy the construct after all that it depends on, and set their outputs; or what `running_with` was told.

    Every plan is carried out: to look at plans first, use `exasol-ci-setup up`. Raises the errors of `deploy`; if several stacks failed, a
    StackError that names them.
    """
    if _ROLES:
        _ROLES[-1].resolver(construct)
    else:
        with _DEPLOYING:
            _deploy(construct)


def _deploy(construct: ScopedConstruct) -> None:
    from exasol_ci_setup import network
    from exasol_ci_setup.clock import SystemClock
    from exasol_ci_setup.resolve.connections import Connections
    from exasol_ci_setup.resolve.declared import Declared
    from exasol_ci_setup.resolve.deployment import Deployment

    clock = SystemClock()
    deployment = Deployment(Connections(clock), _NullReporter(), clock, network.find)
    require_success(deployment.carry_out(Declared([construct])))


def require_success(ends: Sequence[Ended]) -> None:
    """Raise the error of the stack that failed, or if there are several, one that names them and has their common exit code.

    An interruption comes before all others.
    """
    errors = {end.name: end.error for end in ends if end.error is not None}
    if not errors:
        return
    if interrupted := graph.interruption(ends, changed=has_changed()):
        raise interrupted
    skipped = [end.name for end in ends if end.because]
    if len(errors) == 1:
        raise next(iter(errors.values()))
    summary = StackError(
        f"{len(errors)} of {len(ends)} stacks failed: {', '.join(errors)}"
        + (f"; skipped because of that: {', '.join(skipped)}" if skipped else ""),
        hint="\n".join(f"{name}: {error.message}" for name, error in errors.items()),
    )
    codes = {error.exit_code for error in errors.values()}
    summary.exit_code = codes.pop() if len(codes) == 1 else SetupError.exit_code
    raise summary


class _NullReporter:
    """Approves of every plan, as the program that asks for it is the word of its author, and shows nothing."""

    def approve(self, _name: str, _plan: Plan) -> bool:
        return True

    def approve_recreation(self, _name: str, _stack: Stack, _removal: Plan) -> bool:
        return False

    def view(self, _stack_name: str, _title: str) -> NullView:
        return NullView()

    def notice(self, _stack_name: str, _message: str) -> None:
        pass

    def check(self, _template: Template, _region: str) -> None:
        pass

    def ended(self, _ended: Ended, _stack: Stack | None) -> None:
        pass
