"""The implementation of `construct.resolve()`: what the running command does, otherwise a deployment."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import has_changed
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import SetupError, StackError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.task_graph import interruption
from exasol_ci_setup.programs import actions
from exasol_ci_setup.programs.connections import Connections
from exasol_ci_setup.programs.declared import Declared
from exasol_ci_setup.programs.deployment import Deployment
from exasol_ci_setup.stacks import network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.core.task_graph import Ended


# One at a time: what two constructs share is deployed once, and the second deployment has no changes.
_DEPLOYING = Lock()


def resolve(construct: ScopedConstruct) -> None:
    """Deploy the construct after its dependencies, and set their outputs; or call `resolve` of the current runtime.

    Every plan is executed: to review plans first, use `exasol-ci-setup up`. Raises the errors of `deploy`; if several stacks failed, a
    StackError that names them.
    """
    resolver = actions.current().resolve
    if resolver is not None:
        resolver(construct)
        return
    with _DEPLOYING:
        _deploy(construct)


def outputs_of(construct: ScopedConstruct) -> Mapping[str, str]:
    """Return the outputs of a construct that has stored none. Raises InputError unless the current runtime knows them."""
    known = actions.current().outputs
    return known(construct) if known is not None else construct.outputs


def _deploy(construct: ScopedConstruct) -> None:
    clock = SystemClock()
    # The author of the program approves by running it.
    deployment = Deployment(Connections(clock), NullReporter(), clock, network.find)
    require_success(deployment.apply(Declared([construct])))


def require_success(ends: Sequence[Ended]) -> None:
    """Raise the error of the failed stack. For several, raise one that names them and has their common exit code.

    An interruption has precedence.
    """
    errors = {end.name: end.error for end in ends if end.error is not None}
    if not errors:
        return
    if interrupted := interruption(ends, changed=has_changed()):
        raise interrupted
    skipped = [end.name for end in ends if end.because]
    if len(errors) == 1:
        raise next(iter(errors.values()))
    summary = StackError(
        f"{len(errors)} of {len(ends)} stacks failed: {', '.join(errors)}"
        + (f"; skipped because of this: {', '.join(skipped)}" if skipped else ""),
        hint="\n".join(f"{name}: {error.message}" for name, error in errors.items()),
    )
    codes = {error.exit_code for error in errors.values()}
    summary.exit_code = codes.pop() if len(codes) == 1 else SetupError.exit_code
    raise summary
