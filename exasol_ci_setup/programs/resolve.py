"""The implementation of `construct.resolve()`: what the running command does, otherwise a deployment."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.aws.session import has_changed
from exasol_ci_setup.constructs.scope import Scope
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import SetupError, StackError
from exasol_ci_setup.core.stacks import Options, Outcome, Plan, Result, StackSettings
from exasol_ci_setup.core.task_graph import interruption
from exasol_ci_setup.core.text import listed
from exasol_ci_setup.programs import actions
from exasol_ci_setup.programs.connections import Connections, from_configuration
from exasol_ci_setup.programs.declared import Declared
from exasol_ci_setup.programs.deployment import Deployment
from exasol_ci_setup.stacks import build_stacks, network
from exasol_ci_setup.template.context import default_context
from exasol_ci_setup.template.lint import Linter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.task_graph import Ended


# One at a time: what two constructs share is deployed once, and the second deployment has no changes.
_DEPLOYING = Lock()


def deploy(construct: Construct, context: Context | None, settings: StackSettings, options: Options) -> Result:
    """Deploy the construct after its dependencies, and set their outputs; or call `resolve` of the current runtime.

    The reporter of `context` confirms the plans. Raises StackError if another stack builds the project already, and the errors of
    `stacks.deploy.deploy`; if several stacks failed, a StackError that names them.
    """
    runtime = actions.current()
    if runtime.resolve is not None:
        runtime.resolve(construct)
        outcome = Outcome.PLANNED if runtime.is_dry_run else Outcome.UNCHANGED
        return Result(outcome, Plan(construct.stack_name, ""))
    with _DEPLOYING:
        return _deploy(construct, context, settings, options)


def outputs_of(construct: Construct) -> Mapping[str, str]:
    """Return the outputs of a construct that has stored none. Raises InputError unless the current runtime knows them."""
    known = actions.current().outputs
    return known(construct) if known is not None else construct.outputs


def _deploy(construct: Construct, context: Context | None, settings: StackSettings, options: Options) -> Result:
    connect, context = open_context(construct, context)
    declared = Declared([construct], unscoped(context))
    for name, each in declared.constructs.items():
        build_stacks.require_only(connect(declared.scope_of(name)).client("cloudformation"), each)
    deployment = Deployment(
        connect,
        context.reporter,
        context.clock,
        network.find,
        options=options,
        settings=lambda _name: settings,
        linter=context.linter,
        plan_only=context.plan_only,
        drift=options.revert_drift,
    )
    require_success(deployment.apply(declared))
    return deployment.results[construct.stack_name]


def open_context(construct: Construct, context: Context | None) -> tuple[Connections, Context]:
    """Return the connections of scopes, and the context with the account of `construct`: that of its scope, or the given one.

    Raises the errors of `aws.session.connect`.
    """
    given = context

    def base(scope: Scope) -> Account:
        if given is None or (scope.profile is not None and not given.account.endpoint_url):
            return from_configuration(scope)
        return given.account

    connect = Connections(given.clock if given else SystemClock(), base)
    scope = construct.resolved_scope if construct.is_scoped else None
    if given is None:
        # The author of the program approves by running it.
        given_account = connect(scope) if scope is not None else default_context().account
        return connect, Context(given_account, linter=Linter())
    return connect, given if scope is None else replace(given, account=connect(scope))


def unscoped(context: Context) -> Scope:
    """Return the scope of constructs that have none: the account and region of the context."""
    return Scope(name="unscoped", region=context.account.region)


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
    alike: dict[str, list[str]] = {}
    for name, error in errors.items():
        alike.setdefault(error.message, []).append(name)
    hints = {error.hint for error in errors.values() if error.hint}
    summary = StackError(
        f"{len(errors)} of {len(ends)} stacks failed: {', '.join(errors)}"
        + (f"; skipped because of this: {', '.join(skipped)}" if skipped else ""),
        hint="\n".join(
            [
                *(f"{listed(names, 'stack')}: {message}" for message, names in alike.items()),
                # With several hints it is unclear which stack each is about.
                *(hints if len(hints) == 1 else ()),
            ]
        ),
    )
    codes = {error.exit_code for error in errors.values()}
    summary.exit_code = codes.pop() if len(codes) == 1 else SetupError.exit_code
    raise summary
