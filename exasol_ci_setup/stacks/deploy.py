"""From a request to a stack that fulfils it: plan, approve, execute, follow, and tell the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import translate_aws_errors
from exasol_ci_setup.errors import (
    AwsUnavailable,
    DeployFailed,
    Interrupted,
    PlanOutdatedError,
    StackBusy,
    TimedOut,
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

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Drift, Request, Stack


_MINUTE: Final = 60
_VERBS: Final = {"CREATE": "creating", "UPDATE": "updating", "IMPORT": "importing into"}


class Outcome(str, Enum):
    """How a deployment that did not fail ended."""

    DEPLOYED = "deployed"
    UNCHANGED = "unchanged"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a deployment: the stack as it is now (None if it was only planned and is not there) and the plan."""

    outcome: Outcome
    plan: Plan
    stack: Stack | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How a deployment goes about it, apart from what it makes.

    `adopt`: adopt a stack that this tool did not create. `wait`: let another operation under way end first.
    `recreate_failed`: ask `approve_recreation`, given the plan of the deletion, whether to delete a stack that no update can fix, and continue.
    `import_existing`: take over resources that are there already. `timeout` is in seconds, None for no limit.
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
    """Carry out `request` and return when AWS has done it.

    `drift` is asked what else than CloudFormation has changed of a stack that is there, which is then brought back.

    `approve` is given the plan and says whether to go on; when it says no, or raises, nothing is left on AWS. `view` makes
    what shows the events, given a title. `check` is called before anything is made on AWS, and raises to stop that. `notice` is told
    what there is to say while AWS makes the plan. An operation under way that does just what is asked for, such as that of
    a process that was killed, is followed to its end instead of being started again. If another operation comes between the plan and its
    execution, it is planned once more, and `approve` is asked once more if that plan has something to do.

    Raises StackError for a stack that is not this tool's or is of something else, StackBusy, StackNotUpdatableError, TemplateRejected, DeployFailed (with its diagnosis), TimedOut, Interrupted, and the
    errors of the AWS boundary, whose hint tells the stack's last known state if the operation had begun.
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
        notice("somebody changed the stack meanwhile, so it is planned once more")
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
            # In here, so that an interruption does not leave it either.
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
    """Follow the operation under way to its end. Return whether it did what is asked for.

    Raises StackBusy if it does something else and there was no word of waiting, DeployFailed if it did it in vain.
    """
    cfn = account.client("cloudformation")
    ours = current.status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
    ours = ours and planning.is_same(request, current, planning.deployed_template(cfn, current.name))
    if not ours and not options.wait:
        raise StackBusy(
            f"stack {current.name} is busy: {current.status}",
            hint=f"wait for it with --wait, or look on with `exasol-ci-setup watch {current.name}`",
            stack_name=current.name,
        )
    with Rollouts(account, view(f"{current.name}: following the operation under way"), clock) as shown:
        following = StackMonitor(cfn, current.id, after=None, view=shown, clock=clock)
        if not ours:
            _wait_for(following, current, clock, options)
            return False
        stack = _follow(cfn, request, following, clock, options, creating=current.status == "CREATE_IN_PROGRESS")
    _require_success(cfn, stack, following, shown)
    return True


def _wait_for(following: StackMonitor, current: Stack, clock: Clock, options: Options) -> None:
    """Look on until somebody else's operation has ended. It is not ours to cancel."""
    try:
        ended = following.run(None if options.timeout is None else clock.now() + options.timeout)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped waiting: AWS goes on with stack {current.name} ({following.status or current.status}), and nothing was asked of it"
        ) from None
    if ended is None:
        raise TimedOut(
            f"stack {current.name} is still busy with another operation ({following.status or current.status}); nothing was asked of it",
            hint="allow more --timeout",
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
    """Execute the change set of a plan that was approved, make its settings, and return the stack when AWS has done it.

    Raises as `deploy`.
    """
    cfn = account.client("cloudformation")
    if plan.change_set_id:
        # A new stack has no events but that of its shell.
        after, policy_is_set = "", False
        if plan.kind != "CREATE":
            with changeset.delete_on_error(cfn, plan, clock):
                after = latest_id(cfn, plan.stack_id)
                policy_is_set = settings.apply_policy_first(cfn, plan)
        with settings.policy_told_of(policy_is_set):
            execute(cfn, plan, clock)
            with Rollouts(account, view(f"{_VERBS[plan.kind]} {plan.stack_name}"), clock) as shown:
                following = StackMonitor(cfn, plan.stack_id, after=after, view=shown, clock=clock)
                stack = _follow(cfn, request, following, clock, options, creating=plan.kind == "CREATE")
            _require_success(cfn, stack, following, shown)
        if not settings.apply(cfn, plan):
            return stack
    else:
        settings.apply(cfn, plan)
    return state.get(cfn, plan.stack_id or plan.stack_name)


def _follow(
    cfn: CloudFormationClient,
    request: Request,
    following: StackMonitor,
    clock: Clock,
    options: Options,
    *,
    creating: bool,
) -> Stack:
    """Return the stack when its operation has ended; see to time-outs and Ctrl-C."""
    name = request.name
    deadline = None if options.timeout is None else clock.now() + options.timeout
    try:
        stack = following.run(deadline)
    except KeyboardInterrupt:
        stack = None if creating else interrupted.cancel(cfn, following, name, clock)
        if stack is not None:
            raise Interrupted(
                f"the update of stack {name} was interrupted; it ended in {stack.status}",
                hint="run the same command again to apply the change",
                stack_name=name,
            ) from None
        raise interrupted.error(following, name, creating=creating) from None
    except AwsUnavailable as error:
        error.hint = (
            f"stack {name} was last seen in {following.status or 'an operation just begun'}, and AWS goes on with it whatever happens "
            f"here; `exasol-ci-setup watch {name}` shows the end\n{error.hint}"
        ).rstrip()
        raise
    if stack is not None:
        return stack
    return _end_in_time(cfn, request, following, options, creating=creating)


def _end_in_time(
    cfn: CloudFormationClient, request: Request, following: StackMonitor, options: Options, *, creating: bool
) -> Stack:
    """End an operation whose time is up. Return the stack if it was done at the last moment, else raise TimedOut."""
    name = request.name
    seconds = options.timeout or 0
    limit = f"{seconds / 60:g} min" if seconds >= _MINUTE else f"{seconds:g} s"
    if not following.has_begun:
        raise TimedOut(
            f"AWS did not begin with stack {name} within {limit}; it may still do so",
            hint=f"`exasol-ci-setup watch {name}` looks on",
            stack_name=name,
        )
    if creating and request.on_failure == "keep":
        raise TimedOut(
            f"stack {name} was not created within {limit}; AWS goes on with it",
            hint=f"`exasol-ci-setup watch {name}` looks on",
            stack_name=name,
        )
    stack = state.get(cfn, following.stack_id)
    if not state.is_busy(stack):
        return stack
    if creating:
        with translate_aws_errors():
            cfn.delete_stack(StackName=following.stack_id)
        stack = interrupted.finish(following, name)
        became = (
            "and what had been made is deleted" if stack.status == "DELETE_COMPLETE" else f"it is in {stack.status}"
        )
        raise TimedOut(
            f"stack {name} was not created within {limit}; its creation was ended, {became}",
            hint="allow more --timeout",
            stack_name=name,
        )
    cancelled = ask_to_cancel(cfn, name)
    stack = interrupted.finish(following, name)
    if not cancelled and state.has_succeeded(stack):
        return stack
    raise TimedOut(
        f"stack {name} was not updated within {limit}; "
        + (f"the update was cancelled and ended in {stack.status}" if cancelled else f"it ended in {stack.status}"),
        hint="allow more --timeout",
        stack_name=name,
    )


def _require_success(cfn: CloudFormationClient, stack: Stack, following: StackMonitor, rollouts: Rollouts) -> None:
    if state.has_succeeded(stack):
        return
    found = diagnose.of_stack(cfn, stack, following.events)
    raise DeployFailed(
        f"stack {stack.name} ended in {stack.status}",
        stack_name=stack.name,
        hint=_what_next(stack),
        diagnosis=replace(found, details=(*found.details, *rollouts.why(found.physical_id))),
    )


def _what_next(stack: Stack) -> str:
    if state.is_stuck(stack):
        return (
            "mend the cause, then run the same command with --recreate-failed: it deletes what is left and begins anew"
        )
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        return "AWS has put everything back; mend the cause and run the same command again"
    if stack.status == "DELETE_COMPLETE":
        return "AWS has deleted what had been made; mend the cause and run the same command again"
    return way_out(stack)
