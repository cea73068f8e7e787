"""Deploy a stack: plan, approve, execute, follow, and report the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import (
    AwsUnavailableError,
    DeployFailedError,
    OperationInterruptedError,
    PlanOutdatedError,
    StackBusyError,
    TimedOutError,
)
from exasol_ci_setup.stacks import changeset, diagnose, express, interrupted, recreation, removed, settings, state
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks.delete import delete
from exasol_ci_setup.stacks.events import StackMonitor, latest_id
from exasol_ci_setup.stacks.execution import execute
from exasol_ci_setup.stacks.model import Plan
from exasol_ci_setup.stacks.recovery import ask_to_cancel, way_out
from exasol_ci_setup.stacks.rollout import Rollouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Drift, Request, Stack


_MINUTE: Final = 60
_VERBS: Final = {"CREATE": "creating", "UPDATE": "updating", "IMPORT": "importing into"}


class Outcome(str, Enum):
    """The outcome of a deployment that did not fail."""

    DEPLOYED = "deployed"
    UNCHANGED = "unchanged"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a deployment: the plan, and the stack now (None if it does not exist)."""

    outcome: Outcome
    plan: Plan
    stack: Stack | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a deployment, apart from what it creates.

    `adopt`: adopt a stack that this tool did not create. `wait`: wait for an operation in progress.
    `recreate_failed`: pass the plan of the deletion of a stack that cannot be updated to `approve_recreation`, and recreate the stack.
    `import_existing`: import existing resources. `timeout`: in seconds, None for no limit.
    """

    adopt: bool = False
    wait: bool = False
    recreate_failed: bool = False
    import_existing: bool = False
    timeout: float | None = None


def deploy(
    account: Account,
    request: Request,
    *,
    approve: Callable[[Plan], bool],
    approve_recreation: Callable[[Stack, Plan], bool],
    view: Callable[[str], View],
    clock: Clock,
    options: Options = Options(),
    drift: Callable[[Stack], Drift | None] = lambda _stack: None,
    check: Callable[[], None] = lambda: None,
    notice: Callable[[str], None] = lambda _message: None,
) -> Result:
    """Deploy `request` and return when AWS has finished.

    `drift` returns the drift of an existing stack, which the deployment reverts.

    `approve` returns whether to execute the plan. If it returns False or raises, nothing remains on AWS. `view` returns
    the reporter of the events, given a title. `check` is called before anything is created on AWS, and may raise. `notice` receives
    messages while AWS creates the plan. An operation in progress that does the same, such as that of
    a killed process, is followed and not started again. If a concurrent operation changes the stack between the plan and its
    execution, this plans again, and calls `approve` again if the new plan has changes.

    Raises StackError for a stack of another tool or construct, StackBusyError, StackNotUpdatableError, TemplateRejectedError, DeployFailedError with its
    diagnosis, TimedOutError, OperationInterruptedError, and the errors of `translate_aws_errors`. If the operation has started, their hint has the last status of the stack.
    """

    def attempt() -> Result:
        return _deploy(
            account,
            request,
            approve=approve,
            approve_recreation=approve_recreation,
            view=view,
            clock=clock,
            options=options,
            drift=drift,
            check=check,
            notice=notice,
        )

    try:
        return attempt()
    except PlanOutdatedError:
        notice("another process changed the stack after planning: planning again")
        return attempt()


def _deploy(
    account: Account,
    request: Request,
    *,
    approve: Callable[[Plan], bool],
    approve_recreation: Callable[[Stack, Plan], bool],
    view: Callable[[str], View],
    clock: Clock,
    options: Options,
    drift: Callable[[Stack], Drift | None],
    check: Callable[[], None],
    notice: Callable[[str], None],
) -> Result:
    cfn = account.client("cloudformation")
    current = state.find(cfn, request.name)
    joined = False
    if current is not None and state.is_busy(current):
        joined = _join(account, request, current, view, clock, options)
        current = state.find(cfn, request.name)
    if current is not None and not state.is_absent(current):
        state.require_own(current, request.tags, adopt=options.adopt)
    if current is not None and recreation.is_needed(
        *(account, request, current),
        recreate_failed=options.recreate_failed,
        import_existing=options.import_existing,
        notice=notice,
    ):
        removed.require_empty(account, removal := removed.plan_of(cfn, current), notice)
        if not approve_recreation(current, removal):
            return Result(Outcome.PLANNED, Plan(request.name, "CREATE"), current)
        with view(f"deleting {current.name}") as shown:
            delete(cfn, current, view=shown, clock=clock)
        current = None
    if current is not None and not state.is_absent(current):
        state.require_updatable(current)
        if request.express:
            express.require_finished(current)
    found = None if current is None or state.is_absent(current) else drift(current)
    plan = planning.plan_stack(
        *(account, request, current, clock),
        drift=found,
        import_existing=options.import_existing,
        check=check,
        notice=notice,
    )
    if not plan:
        return Result(Outcome.DEPLOYED if joined else Outcome.UNCHANGED, plan, current)
    with changeset.delete_on_error(cfn, plan, clock):
        if not approve(plan):
            # Inside the block, so that an interruption deletes it too.
            changeset.delete_change_set(cfn, plan, clock)
            changeset.delete_abandoned(cfn, plan)
            return Result(Outcome.PLANNED, plan, current)
    stack = carry_out(account, request, plan, view, clock, options)
    recreation.require_complete(account, request, stack)
    return Result(Outcome.DEPLOYED, plan, stack)


def _join(
    account: Account,
    request: Request,
    current: Stack,
    view: Callable[[str], View],
    clock: Clock,
    options: Options,
) -> bool:
    """Follow the operation in progress until it ends. Return whether it did what `request` describes.

    Raises StackBusyError if another operation is running and `wait` is off, DeployFailedError if the operation of `request` failed.
    """
    cfn = account.client("cloudformation")
    ours = current.status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
    ours = ours and planning.is_same(request, current, planning.deployed_template(cfn, current.name))
    if not ours and not options.wait:
        raise StackBusyError(
            f"stack {current.name} is busy: {current.status}",
            hint=f"wait for it with --wait, or follow it with `exasol-ci-setup watch {current.name}`",
            stack_name=current.name,
        )
    with Rollouts(account, view(f"{current.name}: following the operation in progress"), clock) as shown:
        monitor = StackMonitor(cfn, current.id, after=None, view=shown, clock=clock)
        if not ours:
            _wait_for(monitor, current, clock, options)
            return False
        stack = _follow(cfn, request, monitor, clock, options, creating=current.status == "CREATE_IN_PROGRESS")
    _require_success(cfn, stack, monitor, shown)
    return True


def _wait_for(monitor: StackMonitor, current: Stack, clock: Clock, options: Options) -> None:
    """Follow the operation of another process until it ends. It must not be canceled."""
    try:
        ended = monitor.run(None if options.timeout is None else clock.now() + options.timeout)
    except KeyboardInterrupt:
        raise OperationInterruptedError(
            f"stopped waiting: AWS continues with stack {current.name} ({monitor.status or current.status}); nothing was requested"
        ) from None
    if ended is None:
        raise TimedOutError(
            f"stack {current.name} is still busy with another operation ({monitor.status or current.status}); nothing was requested",
            hint="increase --timeout",
            stack_name=current.name,
        )


def carry_out(
    account: Account,
    request: Request,
    plan: Plan,
    view: Callable[[str], View],
    clock: Clock,
    options: Options,
) -> Stack:
    """Execute the change set of an approved plan, apply its settings, and return the stack when AWS has finished.

    Raises as `deploy`.
    """
    cfn = account.client("cloudformation")
    if plan.change_set_id:
        # A new stack has only the event of its empty creation.
        after, policy_is_set = "", False
        if plan.kind != "CREATE":
            with changeset.delete_on_error(cfn, plan, clock):
                after = latest_id(cfn, plan.stack_id)
                policy_is_set = settings.apply_policy_first(cfn, plan)
        with settings.note_applied_policy(policy_is_set):
            execute(cfn, plan, clock)
            with Rollouts(account, view(f"{_VERBS[plan.kind]} {plan.stack_name}"), clock) as shown:
                monitor = StackMonitor(cfn, plan.stack_id, after=after, view=shown, clock=clock)
                stack = _follow(cfn, request, monitor, clock, options, creating=plan.kind == "CREATE")
            _require_success(cfn, stack, monitor, shown)
        if not settings.apply(cfn, plan):
            return stack
    else:
        settings.apply(cfn, plan)
    return state.get(cfn, plan.stack_id or plan.stack_name)


def _follow(
    cfn: CloudFormationClient,
    request: Request,
    monitor: StackMonitor,
    clock: Clock,
    options: Options,
    *,
    creating: bool,
) -> Stack:
    """Return the stack when its operation has ended; handle timeouts and Ctrl-C."""
    name = request.name
    deadline = None if options.timeout is None else clock.now() + options.timeout
    try:
        stack = monitor.run(deadline)
    except KeyboardInterrupt:
        stack = None if creating else interrupted.cancel(cfn, monitor, name, clock)
        if stack is not None:
            raise OperationInterruptedError(
                f"the update of stack {name} was interrupted; it ended in {stack.status}",
                hint="run the same command again to apply the change",
                stack_name=name,
            ) from None
        raise interrupted.error(monitor, name, creating=creating) from None
    except AwsUnavailableError as error:
        error.hint = (
            f"stack {name} was last seen in {monitor.status or 'a new operation'}, and AWS continues with it; "
            f"to watch it again: `exasol-ci-setup watch {name}`\n{error.hint}"
        ).rstrip()
        raise
    if stack is not None:
        return stack
    return _end_in_time(cfn, request, monitor, options, creating=creating)


def _end_in_time(
    cfn: CloudFormationClient, request: Request, monitor: StackMonitor, options: Options, *, creating: bool
) -> Stack:
    """End an operation after its timeout. Return the stack if it ended in time, else raise TimedOutError."""
    name = request.name
    seconds = options.timeout or 0
    limit = f"{seconds / 60:g} min" if seconds >= _MINUTE else f"{seconds:g} s"
    if not monitor.has_begun:
        raise TimedOutError(
            f"AWS did not start the operation on stack {name} within {limit}; it may still start it",
            hint=f"to watch it again: `exasol-ci-setup watch {name}`",
            stack_name=name,
        )
    if creating and request.on_failure == "keep":
        raise TimedOutError(
            f"stack {name} was not created within {limit}; AWS continues with it",
            hint=f"to watch it again: `exasol-ci-setup watch {name}`",
            stack_name=name,
        )
    stack = state.get(cfn, monitor.stack_id)
    if not state.is_busy(stack):
        return stack
    if creating:
        with translate_aws_errors():
            cfn.delete_stack(StackName=monitor.stack_id)
        stack = interrupted.finish(monitor, name)
        outcome = "and what was created is deleted" if stack.status == "DELETE_COMPLETE" else f"it is in {stack.status}"
        raise TimedOutError(
            f"stack {name} was not created within {limit}; its creation was stopped, {outcome}",
            hint="increase --timeout",
            stack_name=name,
        )
    canceled = ask_to_cancel(cfn, name)
    stack = interrupted.finish(monitor, name)
    if not canceled and state.has_succeeded(stack):
        return stack
    raise TimedOutError(
        f"stack {name} was not updated within {limit}; "
        + (f"the update was canceled and ended in {stack.status}" if canceled else f"it ended in {stack.status}"),
        hint="increase --timeout",
        stack_name=name,
    )


def _require_success(cfn: CloudFormationClient, stack: Stack, monitor: StackMonitor, rollouts: Rollouts) -> None:
    if state.has_succeeded(stack):
        return
    found = diagnose.of_stack(cfn, stack, monitor.events)
    raise DeployFailedError(
        f"stack {stack.name} ended in {stack.status}",
        stack_name=stack.name,
        hint=_next_step(stack),
        diagnosis=replace(found, details=(*found.details, *rollouts.why(found.physical_id))),
    )


def _next_step(stack: Stack) -> str:
    if state.is_stuck(stack):
        return "fix the cause, then add --recreate-failed (asks first)"
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        return "AWS rolled the change back; fix the cause and run the command again"
    if stack.status == "DELETE_COMPLETE":
        return "AWS deleted what was created; fix the cause and run the command again"
    return way_out(stack)
