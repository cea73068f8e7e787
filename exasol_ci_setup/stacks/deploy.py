"""Deploy a stack: plan, confirm, apply, follow, and report the result."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.errors import (
    INTERRUPTED_UNCHANGED,
    UNCHANGED,
    AwsUnavailableError,
    DeployFailedError,
    InputError,
    NotApprovedError,
    OperationInterruptedError,
    PlanOutdatedError,
    SetupError,
    StackBusyError,
    StackNotUpdatableError,
    TimedOutError,
)
from exasol_ci_setup.core.stacks import Options, Outcome, Result
from exasol_ci_setup.stacks import (
    changeset,
    diagnose,
    express,
    linked_roles,
    preview,
    recovery,
    recreation,
    removed,
    settings,
    source_access,
    state,
)
from exasol_ci_setup.stacks import drift as drifts
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks.approval import excess
from exasol_ci_setup.stacks.changeset import execute
from exasol_ci_setup.stacks.delete import delete
from exasol_ci_setup.stacks.events import StackMonitor, latest_id
from exasol_ci_setup.stacks.recovery import ask_to_cancel, explain, way_out
from exasol_ci_setup.stacks.rollout import Rollouts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mypy_boto3_cloudformation import CloudFormationClient
    from typing_extensions import Self

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Drift, Plan, Stack
    from exasol_ci_setup.stacks.request import Request


_MINUTE: Final = 60
_VERBS: Final = {"CREATE": "creating", "UPDATE": "updating", "IMPORT": "importing into"}


@dataclass
class OpenPlan:
    """A plan whose change set exists on AWS: a context manager, which deletes the change set unless the plan is applied.

    `plan` is what would change; it is falsy if there are no changes. `stack` is the stack before, None if it does not exist. `drift` is the
    detected drift, also what the plan does not revert. `has_followed`: an operation in
    progress that does the same was followed to its end.
    """

    context: Context
    request: Request
    options: Options
    plan: Plan
    stack: Stack | None
    drift: Drift | None = None
    has_followed: bool = False
    is_applied: bool = False
    is_closed: bool = False

    def __enter__(self) -> Self:
        """Return the plan."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Delete the change set, and an empty new stack, unless the plan was applied."""
        self.is_closed = True
        if self.is_applied or not self.plan:
            return
        cfn, clock = self.context.cfn, self.context.clock
        with changeset.delete_on_error(cfn, self.plan, clock):
            if error is not None:
                raise error
            changeset.delete_change_set(cfn, self.plan, clock)
            changeset.delete_abandoned(cfn, self.plan)

    def apply(self) -> Result:
        """Execute the plan, and return when AWS has finished. A plan without changes calls nothing.

        Raises PlanOutdatedError if a concurrent operation changed the stack after planning, DeployFailedError with its diagnosis, TimedOutError,
        OperationInterruptedError, and the errors of `translate_aws_errors`. If the operation has started, their hint has the last status of the stack.
        Raises InputError for a plan that was applied before, or whose block has ended.
        """
        if self.is_applied or self.is_closed:
            why = "was applied before" if self.is_applied else "is closed, and its change set deleted"
            raise InputError(f"the plan for stack {self.request.name} {why}", hint="plan again")
        if not self.plan:
            return Result(Outcome.DEPLOYED if self.has_followed else Outcome.UNCHANGED, self.plan, self.stack)
        self.is_applied = True
        if self.plan.is_recreation:
            return _recreate(self)
        stack = _execute(self)
        recreation.require_complete(self.context.account, self.request, stack)
        return Result(Outcome.DEPLOYED, self.plan, stack)


def plan(context: Context, request: Request, options: Options = Options()) -> OpenPlan:
    """Plan the deployment of `request`. Nothing changes until the plan is applied.

    An operation in progress that does the same, such as that of a killed process, is followed first.

    Raises StackError for a stack of another tool or construct, StackBusyError, StackNotUpdatableError, TemplateRejectedError, and the errors of
    `translate_aws_errors`.
    """
    cfn = context.cfn
    current = state.find(cfn, request.name)
    followed = False
    if current is not None and state.is_busy(current):
        followed = _join(context, request, current, options)
        current = state.find(cfn, request.name)
    if current is not None and not state.is_absent(current):
        state.require_own(current, request.tags, adopt=options.adopt)
    if current is not None and recreation.is_needed(context, request, current, options):
        return _plan_recreation(context, request, options, current)
    detected = options.drift
    if current is not None and not state.is_absent(current):
        _require_updatable(context, current)
        if request.express:
            express.require_finished(current)
        if options.revert_drift and detected is None:
            detected = drifts.look(context, current)
    else:
        source_access.require(context, request, options)
    found = planning.plan_stack(
        *(context, request, current),
        drift=detected,
        import_existing=options.import_existing,
    )
    return OpenPlan(context, request, options, found, current, drift=detected, has_followed=followed)


def _require_updatable(context: Context, current: Stack) -> None:
    """Raise as `state.require_updatable`, with the diagnosis of the failed operation."""
    try:
        state.require_updatable(current)
    except StackNotUpdatableError as error:
        with suppress(SetupError):
            error.diagnosis = explain(context.account, current)
        raise


def _plan_recreation(context: Context, request: Request, options: Options, current: Stack) -> OpenPlan:
    """Return the plan that deletes the stack `current` and creates it again. AWS can plan the creation only after the deletion."""
    source_access.require(context, request, options)
    context.lint(request.lint_template or request.template)
    removal = removed.without_empty_log_groups(context.account, removed.plan_of(context.cfn, current))
    removed.require_empty(context.account, removal, context.note)
    note = f"the stack is in {current.status}: it is deleted and created again"
    if options.import_existing:
        note += "; existing resources whose names match the template are then imported"
    created = preview.from_templates(context.cfn, request, None, note=note)
    # The account and region of the new stack are those in the ID of the old one.
    created = replace(preview.recreated(created, removal), stack_id=current.id)
    return OpenPlan(context, request, options, created, current)


def confirm_and_apply(planned: OpenPlan) -> Result:
    """Apply a plan if it has changes and the reporter confirms it. Raises as `OpenPlan.apply`, and NotApprovedError."""
    if not planned.plan:
        return planned.apply()
    context = planned.context
    if context.plan_only:
        context.reporter.plan(planned.plan)
    if context.plan_only or not context.reporter.confirm(planned.plan):
        return Result(Outcome.PLANNED, planned.plan, planned.stack)
    return planned.apply()


def deploy(context: Context, request: Request, options: Options = Options()) -> Result:
    """Plan, let the reporter confirm the plan, and apply it.

    If a concurrent operation changes the stack after planning, this plans again, and the reporter confirms again if the new plan has
    changes. If the plan is not confirmed, nothing remains on AWS. Raises as `plan` and `OpenPlan.apply`.
    """
    return retry_outdated(context, lambda: plan(context, request, options))


def retry_outdated(context: Context, make_plan: Callable[[], OpenPlan]) -> Result:
    """Plan, confirm and apply; again if the plan is outdated when it is applied. Raises as `deploy`."""
    try:
        with make_plan() as planned:
            return confirm_and_apply(planned)
    except PlanOutdatedError:
        context.note("another process changed the stack after planning: planning again")
    with make_plan() as planned:
        return confirm_and_apply(planned)


def _recreate(planned: OpenPlan) -> Result:
    """Delete the stack, and create it again. Raises NotApprovedError if AWS plans more than the approved plan shows."""
    context, name = planned.context, planned.request.name
    if planned.stack is not None:
        with context.operation(name, f"deleting {name}") as running:
            delete(running, planned.stack)
    try:
        opened = plan(context, planned.request, replace(planned.options, drift=None, revert_drift=False))
    except SetupError as error:
        error.message = f"stack {name} was deleted, but not created again: {error.message.replace(INTERRUPTED_UNCHANGED, 'interrupted')}"
        error.hint = error.hint.replace(UNCHANGED, f"the deletion of {name} remains")
        raise
    with opened as created:
        if more := excess(planned.plan, created.plan):
            raise NotApprovedError(
                f"stack {name} was deleted, but not created again: the approved plan does not show {more}",
                hint="run the same command again: its plan shows this change",
                stack_name=name,
            )
        return created.apply()


def _join(context: Context, request: Request, current: Stack, options: Options) -> bool:
    """Follow the operation in progress until it ends. Return whether it did what `request` describes.

    Raises StackBusyError if another operation is running and `wait` is off, DeployFailedError if the operation of `request` failed.
    """
    cfn = context.cfn
    ours = current.status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
    ours = ours and planning.is_same(request, current, planning.deployed_template(cfn, current.name))
    if not ours and not options.wait:
        raise StackBusyError(
            f"stack {current.name} is busy: {current.status}",
            hint=f"wait for it with --wait, or follow it with `exasol-ci-setup watch {current.name}`",
            stack_name=current.name,
        )
    with context.operation(current.name, f"{current.name}: following the operation in progress") as running:
        monitor = StackMonitor(running, current.id, after=None, rollouts=Rollouts(running))
        if not ours:
            _wait_for(running, monitor, current, options)
            return False
        stack = _follow(running, request, monitor, options, creating=current.status == "CREATE_IN_PROGRESS")
    _require_success(context, stack, monitor)
    return True


def _wait_for(context: Context, monitor: StackMonitor, current: Stack, options: Options) -> None:
    """Follow the operation of another process until it ends. It must not be canceled."""
    try:
        ended = monitor.run(None if options.timeout is None else context.clock.now() + options.timeout)
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


def _execute(planned: OpenPlan) -> Stack:
    """Execute the change set of a plan, apply its settings, and return the stack when AWS has finished."""
    context, plan = planned.context, planned.plan
    cfn = context.cfn
    if not plan.change_set_id:
        settings.apply(cfn, plan)
        return state.get(cfn, plan.stack_id or plan.stack_name)
    if planned.request.uploads is not None:
        with changeset.delete_on_error(cfn, plan, context.clock):
            planned.request.uploads.upload(context.note)
    # A new stack has only the event of its empty creation.
    after, policy_is_set = "", False
    if plan.kind != "CREATE":
        with changeset.delete_on_error(cfn, plan, context.clock):
            after = latest_id(cfn, plan.stack_id)
            policy_is_set = settings.apply_policy_first(cfn, plan)
    with changeset.delete_on_error(cfn, plan, context.clock):
        linked_roles.ensure(context, [change.type for change in plan.changes if change.action == "Add"])
    with settings.note_applied_policy(policy_is_set):
        execute(cfn, plan, context.clock)
        with context.operation(plan.stack_name, f"{_VERBS[plan.kind]} {plan.stack_name}") as running:
            monitor = StackMonitor(running, plan.stack_id, after=after, rollouts=Rollouts(running))
            stack = _follow(running, planned.request, monitor, planned.options, creating=plan.kind == "CREATE")
        _require_success(context, stack, monitor)
    if not settings.apply(cfn, plan):
        return stack
    return state.get(cfn, plan.stack_id or plan.stack_name)


def _follow(context: Context, request: Request, monitor: StackMonitor, options: Options, *, creating: bool) -> Stack:
    """Return the stack when its operation has ended; handle timeouts and Ctrl-C."""
    name, cfn, clock = request.name, context.cfn, context.clock
    deadline = None if options.timeout is None else clock.now() + options.timeout
    try:
        stack = monitor.run(deadline)
    except KeyboardInterrupt:
        stack = None if creating else recovery.cancel_interrupted(cfn, monitor, name, clock)
        if stack is not None and state.has_succeeded(stack):
            raise OperationInterruptedError(
                f"the update of stack {name} ended in {stack.status} before AWS could cancel it",
                hint="run the same command again: it applies the remaining settings, such as termination protection, and prints the outputs",
                stack_name=name,
            ) from None
        if stack is not None:
            raise OperationInterruptedError(
                f"the update of stack {name} was interrupted; it ended in {stack.status}",
                hint="run the same command again to apply the change",
                stack_name=name,
            ) from None
        raise recovery.interruption(monitor, name, creating=creating) from None
    except AwsUnavailableError as error:
        error.hint = (
            f"stack {name} was last seen in {monitor.status or 'a new operation'}, and AWS continues with it; "
            f"{watch_hint(name)}\n{error.hint}"
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
            hint=watch_hint(name),
            stack_name=name,
        )
    if creating and request.on_failure == "keep":
        raise TimedOutError(
            f"stack {name} was not created within {limit}; AWS continues with it",
            hint=watch_hint(name),
            stack_name=name,
        )
    stack = state.get(cfn, monitor.stack_id)
    if not state.is_busy(stack):
        return stack
    if creating:
        with translate_aws_errors():
            cfn.delete_stack(StackName=monitor.stack_id)
        stack = recovery.finish(monitor, name)
        outcome = "and what was created is deleted" if stack.status == "DELETE_COMPLETE" else f"it is in {stack.status}"
        raise TimedOutError(
            f"stack {name} was not created within {limit}; its creation was stopped, {outcome}",
            hint="increase --timeout",
            stack_name=name,
        )
    canceled = ask_to_cancel(cfn, name)
    stack = recovery.finish(monitor, name)
    if not canceled and state.has_succeeded(stack):
        return stack
    raise TimedOutError(
        f"stack {name} was not updated within {limit}; "
        + (f"the update was canceled and ended in {stack.status}" if canceled else f"it ended in {stack.status}"),
        hint="increase --timeout",
        stack_name=name,
    )


def _require_success(context: Context, stack: Stack, monitor: StackMonitor) -> None:
    if state.has_succeeded(stack):
        return
    found = diagnose.of_stack(context.account, stack, monitor.events)
    details = monitor.rollouts.why(found.physical_id) if monitor.rollouts is not None else ()
    raise DeployFailedError(
        f"stack {stack.name} ended in {stack.status}",
        stack_name=stack.name,
        hint=_next_step(stack),
        diagnosis=replace(found, details=(*found.details, *details)),
    )


def _next_step(stack: Stack) -> str:
    if state.is_stuck(stack):
        return state.RECREATE_HINT
    if state.has_failed_without_rollback(stack):
        return "AWS kept what was done; fix the cause and run the command again"
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        return "AWS rolled the change back; fix the cause and run the command again"
    if stack.status == "DELETE_COMPLETE":
        return "AWS deleted what was created; fix the cause and run the command again"
    return way_out(stack)
