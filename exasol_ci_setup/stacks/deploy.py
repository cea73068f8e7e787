"""From a request to a stack that fulfils it: plan, approve, execute, follow, and tell the end."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import ClientError, boundary, error_code
from exasol_ci_setup.errors import (
    AwsUnavailable,
    DeployFailed,
    Interrupted,
    StackBusy,
    TimedOut,
)
from exasol_ci_setup.stacks import diagnose, state
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks.delete import delete
from exasol_ci_setup.stacks.events import Following, latest_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Plan, Request, Stack


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

    `wait`: let another operation under way end first. `recreate_failed`: ask `approve_recreation` whether to delete a stack in a state
    that no update leaves, and go on. `timeout` is in seconds, None for no limit.
    """

    wait: bool = False
    recreate_failed: bool = False
    timeout: float | None = None


_TIMED_OUT_CREATION: Final = {
    "rollback": "its creation was ended, and what had been made is deleted",
    "delete": "its creation was ended, and what had been made is deleted",
    "keep": "AWS goes on with it",
}


def deploy(
    account: Account,
    request: Request,
    *,
    approve: Callable[[Plan], bool],
    approve_recreation: Callable[[Stack], bool],
    view: Callable[[str], View],
    clock: Clock,
    options: Options = Options(),
    check: Callable[[], None] = lambda: None,
) -> Result:
    """Carry out `request` and return when AWS has done it.

    `approve` is given the plan and says whether to go on; when it says no, or raises, nothing is left on AWS. `view` makes
    what shows the events, given a title. `check` is called before anything is made on AWS, and raises to stop that. An operation under way that does just what is asked for, such as that of
    a process that was killed, is followed to its end instead of being started again.

    Raises StackBusy, StackStuck, TemplateRejected, DeployFailed (with its diagnosis), TimedOut, Interrupted, and the
    errors of the AWS boundary, whose hint tells the stack's last known state if the operation had begun.
    """
    cfn = account.client("cloudformation")
    current = state.find(cfn, request.name)
    joined = False
    if current is not None and state.is_busy(current):
        joined = _join(cfn, request, current, view, clock, options)
        current = state.find(cfn, request.name)
    if current is not None and state.is_stuck(current) and options.recreate_failed and state.is_own(current):
        if not approve_recreation(current):
            state.require_updatable(current)
        with view(f"deleting {current.name}") as shown:
            delete(cfn, current, view=shown, clock=clock)
        current = None
    if current is not None and not state.is_absent(current):
        state.require_updatable(current)
    plan = planning.make(account, request, current, clock, check=check)
    if not plan:
        return Result(Outcome.DEPLOYED if joined else Outcome.UNCHANGED, plan, current)
    try:
        approved = approve(plan)
    except BaseException:
        planning.discard(cfn, plan)
        raise
    if not approved:
        planning.discard(cfn, plan)
        return Result(Outcome.PLANNED, plan, current)
    return Result(Outcome.DEPLOYED, plan, _carry_out(cfn, request, plan, view, clock, options))


def _join(
    cfn: CloudFormationClient,
    request: Request,
    current: Stack,
    view: Callable[[str], View],
    clock: Clock,
    options: Options,
) -> bool:
    """Follow the operation under way to its end. Return whether it did what is asked for.

    Raises StackBusy if it does something else and there was no word of waiting, DeployFailed if it did it in vain.
    """
    ours = current.status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
    ours = ours and planning.is_same(request, current, planning.deployed_template(cfn, current.name))
    if not ours and not options.wait:
        raise StackBusy(
            f"stack {current.name} is busy: {current.status}",
            hint=f"wait for it with --wait, or look on with `exasol-ci-setup watch {current.name}`",
            stack_name=current.name,
        )
    creating = current.status == "CREATE_IN_PROGRESS"
    with view(f"{current.name}: following the operation under way") as shown:
        following = Following(cfn, current.id, after=None, view=shown, clock=clock)
        stack = _follow(cfn, request, following, clock, options, creating=creating)
    if ours:
        _require_success(cfn, stack, following)
    return ours


def _carry_out(
    cfn: CloudFormationClient,
    request: Request,
    plan: Plan,
    view: Callable[[str], View],
    clock: Clock,
    options: Options,
) -> Stack:
    if plan.change_set_id:
        try:
            # A new stack has no events but that of its shell.
            after = "" if plan.kind == "CREATE" else latest_id(cfn, plan.stack_id)
            _execute(cfn, plan)
        except BaseException:
            # If it did start after all, there is no change set any more that could be taken back.
            planning.discard(cfn, plan)
            raise
        verb = "creating" if plan.kind == "CREATE" else "updating"
        with view(f"{verb} {plan.stack_name}") as shown:
            following = Following(cfn, plan.stack_id, after=after, view=shown, clock=clock)
            stack = _follow(cfn, request, following, clock, options, creating=plan.kind == "CREATE")
        _require_success(cfn, stack, following)
        if not planning.apply_settings(cfn, plan):
            return stack
    else:
        planning.apply_settings(cfn, plan)
    return state.get(cfn, plan.stack_id or plan.stack_name)


def _execute(cfn: CloudFormationClient, plan: Plan) -> None:
    with boundary():
        try:
            cfn.execute_change_set(ChangeSetName=plan.change_set_id, ClientRequestToken=uuid.uuid4().hex)
        except ClientError as error:
            if error_code(error) == "InvalidChangeSetStatus" and state.is_busy(state.get(cfn, plan.stack_id)):
                # The answer to the first try was lost on its way, the call was not.
                return
            if error_code(error) in {"InvalidChangeSetStatus", "ChangeSetNotFound"}:
                raise StackBusy(
                    f"the plan for stack {plan.stack_name} is out of date: somebody changed the stack meanwhile",
                    hint="run the same command again for a new plan",
                    stack_name=plan.stack_name,
                ) from error
            raise


def _follow(
    cfn: CloudFormationClient,
    request: Request,
    following: Following,
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
        if creating or not _cancel(cfn, name):
            raise Interrupted(
                f"stopped looking on: AWS goes on with stack {name} ({following.status or 'just begun'})",
                hint=f"`exasol-ci-setup watch {name}` looks on again; `exasol-ci-setup delete {name}` undoes a creation"
                if creating
                else f"`exasol-ci-setup watch {name}` looks on again",
            ) from None
        following.say("asked AWS to cancel the update; Ctrl-C again stops looking on")
        stack = _finish(following, name)
        raise Interrupted(
            f"the update of stack {name} was interrupted; it ended in {stack.status}",
            hint="run the same command again to apply the change",
        ) from None
    except AwsUnavailable as error:
        error.hint = (
            f"stack {name} was last seen in {following.status or 'an operation just begun'}, and AWS goes on with it whatever happens "
            f"here; `exasol-ci-setup watch {name}` shows the end\n{error.hint}"
        ).rstrip()
        raise
    if stack is not None:
        return stack
    minutes = f"{(options.timeout or 0) / 60:g} min"
    if creating:
        if request.on_failure != "keep":
            with boundary():
                cfn.delete_stack(StackName=following.stack_id)
            _finish(following, name)
        raise TimedOut(
            f"stack {name} was not created within {minutes}; {_TIMED_OUT_CREATION[request.on_failure]}",
            hint=f"`exasol-ci-setup watch {name}` looks on" if request.on_failure == "keep" else "allow more --timeout",
            stack_name=name,
        )
    cancelled = _cancel(cfn, name)
    stack = _finish(following, name)
    if not cancelled and state.has_succeeded(stack):
        # It ended between the last look and the attempt to cancel it.
        return stack
    raise TimedOut(
        f"stack {name} was not updated within {minutes}; the update was cancelled and ended in {stack.status}",
        hint="allow more --timeout",
        stack_name=name,
    )


def _finish(following: Following, name: str) -> Stack:
    try:
        stack: Any = following.run()
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped looking on: AWS goes on with stack {name} ({following.status})",
            hint=f"`exasol-ci-setup watch {name}` looks on again",
        ) from None
    return stack  # type: ignore[no-any-return] # without a deadline it returns a stack


def _cancel(cfn: CloudFormationClient, name: str) -> bool:
    """Ask AWS to cancel the update under way; False if it is past that."""
    with boundary():
        try:
            cfn.cancel_update_stack(StackName=name, ClientRequestToken=uuid.uuid4().hex)
        except ClientError as error:
            if error_code(error) == "ValidationError":
                return False
            raise
    return True


def _require_success(cfn: CloudFormationClient, stack: Stack, following: Following) -> None:
    if state.has_succeeded(stack):
        return
    found = diagnose.diagnose(
        following.events,
        stack_name=stack.name,
        status=stack.status,
        reason=stack.reason,
        nested=diagnose.nested_events(cfn),
    )
    raise DeployFailed(
        f"stack {stack.name} ended in {stack.status}", stack_name=stack.name, hint=_what_next(stack), diagnosis=found
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
    return ""
