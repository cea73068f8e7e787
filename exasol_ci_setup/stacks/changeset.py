"""Wait for change sets, read and execute them, and delete those that are not executed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import uuid
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from exasol_ci_setup.aws.session import (
    ClientError,
    error_code,
    ignore_aws_errors,
    replace_aws_errors,
    translate_aws_errors,
    undoing,
)
from exasol_ci_setup.core.clock import HEARTBEAT_SECONDS
from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.errors import INTERRUPTED_UNCHANGED, OperationInterruptedError, PlanOutdatedError, SetupError
from exasol_ci_setup.core.stacks import ABSENT, Change, Plan, PropertyChange
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.stacks import Plan

_LOG = logging.getLogger(__name__)

PREFIX: Final = "exasol-ci-setup-"
# The start of the reason in a response that omits changes, because AWS could not determine their property values.
_INCOMPLETE: Final = "can return incomplete ChangeSet data"
_PAUSES: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_LONGEST_PAUSE: Final = 2.0
# Seconds in which AWS may still create a change set that is to be deleted. Until it is created, AWS refuses to delete it.
_TIMEOUT_SECONDS: Final = 120.0
# The limit after Ctrl-C. The next run deletes what remains.
_TIMEOUT_INTERRUPTED_SECONDS: Final = 4.0
# An older change set was left by a killed process: a plan is not reviewed for a day.
_STALE_AFTER: Final = timedelta(days=1)
_MISSING: Final = ("ChangeSetNotFound", "ChangeSetNotFoundException")
_BEING_DELETED: Final = frozenset({"DELETE_PENDING", "DELETE_IN_PROGRESS"})
_BEING_MADE: Final = frozenset({"CREATE_PENDING", "CREATE_IN_PROGRESS"})


def wait(context: Context, plan: Plan) -> Mapping[str, Any]:
    """Return the first page of the change set when AWS has finished it, created or failed.

    Reports it if that takes long. Raises PlanOutdatedError if a concurrent operation deleted the change set.
    """
    cfn, clock = context.cfn, context.clock
    started = notified = clock.now()
    polls = 0
    while True:
        with replace_aws_errors(_MISSING, lambda _message: out_of_date(plan.stack_name)):
            described = cfn.describe_change_set(ChangeSetName=plan.change_set_id, IncludePropertyValues=True)
        if described["Status"] not in _BEING_MADE:
            return described
        if clock.now() - notified > HEARTBEAT_SECONDS:
            notified = clock.now()
            context.note(f"AWS has been working on the plan for {notified - started:.0f} s")
        clock.sleep(_PAUSES[polls] if polls < len(_PAUSES) else _LONGEST_PAUSE)
        polls += 1


def out_of_date(stack_name: str) -> PlanOutdatedError:
    """Return the error for a plan that is outdated, because the stack was changed after planning."""
    return PlanOutdatedError(
        f"the plan for stack {stack_name} is outdated: another process changed the stack",
        hint="run the same command again for a new plan",
        stack_name=stack_name,
    )


def has_started(cfn: CloudFormationClient, plan: Plan) -> bool:
    """Return whether the execution of the change set has started."""
    with ignore_aws_errors(*_MISSING, "ValidationError"):
        return cfn.describe_change_set(**_reference(plan)).get("ExecutionStatus", "").startswith("EXECUTE_")
    return False


def new_name() -> str:
    """Return a unique name for a change set, which contains the machine and the process that created it."""
    return f"{PREFIX}{_machine()}-{os.getpid()}-{uuid.uuid4().hex}"


def _machine() -> str:
    """Return an identifier of the machine or container within which process IDs are comparable."""
    known = [platform.node()]
    with suppress(OSError):
        # On Linux, two containers have separate process IDs.
        known += [Path("/proc/sys/kernel/random/boot_id").read_text("ascii"), str(Path("/proc/self/ns/pid").readlink())]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:12]


def _is_abandoned(name: str, created: datetime) -> bool:
    """Return whether a change set was left by an ended process of this machine, or was created over a day ago."""
    if not name.startswith(PREFIX):
        return False
    if created < datetime.now(timezone.utc) - _STALE_AFTER:
        return True
    machine, _, rest = name.removeprefix(PREFIX).partition("-")
    process = rest.partition("-")[0]
    return machine == _machine() and process.isdecimal() and not _is_running(int(process))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It belongs to another user.
        return True
    return True


def delete_change_set(
    cfn: CloudFormationClient, plan: Plan, clock: Clock, *, timeout: float = _TIMEOUT_SECONDS
) -> None:
    """Delete what a plan left on AWS: the change set, and the empty stack that was created for it.

    An empty stack is retained while it holds the change set of another running process. AWS does not delete a change set while it
    creates it: this waits at most `timeout` seconds for that. Does not raise for what is already deleted.
    """
    if not plan.change_set_id:
        return
    deadline = clock.now() + timeout
    with translate_aws_errors(), undoing():
        while True:
            try:
                cfn.delete_change_set(**_reference(plan))
                break
            except ClientError as error:
                if error_code(error) == "InvalidChangeSetStatus" and clock.now() < deadline:
                    clock.sleep(_LONGEST_PAUSE)
                elif error_code(error) in {*_MISSING, "ValidationError"}:
                    # Already deleted, with its stack or by another process.
                    break
                else:
                    raise
    if plan.kind != "UPDATE":
        _delete_empty_stack(cfn, plan, clock, deadline)


def delete_abandoned(cfn: CloudFormationClient, plan: Plan) -> None:
    """Delete the change sets of an existing stack that interrupted or killed processes left."""
    if plan.kind != "UPDATE":
        return
    with translate_aws_errors(), undoing():
        for other in cfn.list_change_sets(StackName=plan.stack_name).get("Summaries", []):
            name, created = other.get("ChangeSetName", ""), other.get("CreationTime", datetime.now(timezone.utc))
            if _is_abandoned(name, created) and other.get("Status") not in _BEING_MADE | _BEING_DELETED:
                cfn.delete_change_set(ChangeSetName=name, StackName=plan.stack_name)


def _delete_empty_stack(cfn: CloudFormationClient, plan: Plan, clock: Clock, deadline: float) -> None:
    with translate_aws_errors(), undoing():
        stack = state.find(cfn, plan.stack_id)
        if stack is None or stack.status != "REVIEW_IN_PROGRESS":
            return
        listed = cfn.list_change_sets(StackName=plan.stack_name).get("Summaries", [])
        while clock.now() < deadline and any(each.get("Status", "") in _BEING_DELETED for each in listed):
            # With nested stacks the deletion takes time, and AWS needs this stack to find the nested ones.
            clock.sleep(_LONGEST_PAUSE)
            listed = cfn.list_change_sets(StackName=plan.stack_name).get("Summaries", [])
        for other in listed:
            ours = plan.change_set_id in {other.get("ChangeSetId"), other.get("ChangeSetName")}
            created = other.get("CreationTime", datetime.now(timezone.utc))
            if not ours and not _is_abandoned(other.get("ChangeSetName", ""), created):
                return
        cfn.delete_stack(StackName=stack.id)


@contextmanager
def delete_on_error(cfn: CloudFormationClient, plan: Plan, clock: Clock) -> Iterator[None]:
    """Delete the change set if the block raises. If that fails too, add that to the hint of the first error."""
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        try:
            delete_change_set(
                cfn, plan, clock, timeout=_TIMEOUT_INTERRUPTED_SECONDS if interrupted else _TIMEOUT_SECONDS
            )
        except SetupError as second:
            leftover = f"change set {plan.change_set_id} of stack {plan.stack_name} could not be deleted: {second}"
            _LOG.debug("%s", leftover, exc_info=second)
            if isinstance(error, SetupError):
                error.hint = f"{error.hint}\n{leftover}".strip()
            elif interrupted:
                raise OperationInterruptedError(
                    INTERRUPTED_UNCHANGED,
                    hint=f"{leftover}\nthe same command deletes it when it runs again",
                ) from error
        raise


def _reference(plan: Plan) -> dict[str, Any]:
    """Return the arguments that identify a change set: its ARN if known, or its name and stack."""
    if plan.change_set_id.startswith("arn:"):
        return {"ChangeSetName": plan.change_set_id}
    return {"ChangeSetName": plan.change_set_id, "StackName": plan.stack_name}


def template_body(
    cfn: CloudFormationClient, *, stage: Literal["Original", "Processed"] = "Original", **which: str
) -> str:
    """Return the text of a template, by default as it was sent. `which` is GetTemplate's StackName or ChangeSetName.

    At the stage ``Processed`` its transforms are applied.
    """
    with translate_aws_errors():
        body: Any = cfn.get_template(TemplateStage=stage, **which).get("TemplateBody", "")
    # botocore returns a JSON template as a dictionary.
    return body if isinstance(body, str) else json.dumps(body, indent=2)


def changes(
    cfn: CloudFormationClient, change_set_id: str, first: Mapping[str, Any]
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Return all changes of a change set and the remarks of AWS, given its ARN and its `first` page."""
    notes: list[str] = []
    by_id = {change.logical_id: change for change in _pages(cfn, change_set_id, first, with_values=True)}
    reason = first.get("StatusReason", "")
    if _INCOMPLETE in reason:
        with translate_aws_errors():
            again = cfn.describe_change_set(ChangeSetName=change_set_id)
        for change in _pages(cfn, change_set_id, again, with_values=False):
            by_id.setdefault(change.logical_id, change)
        _LOG.debug("described again without property values: %s", reason)
    elif reason:
        notes.append(reason)
    return tuple(by_id.values()), tuple(notes)


def _pages(
    cfn: CloudFormationClient, change_set_id: str, first: Mapping[str, Any], *, with_values: bool
) -> Iterator[Change]:
    page = first
    while True:
        for described in page.get("Changes", []):
            if "ResourceChange" in described:
                yield _change(described["ResourceChange"])
        token = page.get("NextToken")
        if not token:
            return
        with translate_aws_errors():
            page = cfn.describe_change_set(
                ChangeSetName=change_set_id, NextToken=token, IncludePropertyValues=with_values
            )


def _change(described: Mapping[str, Any]) -> Change:
    changed: dict[str, PropertyChange] = {}
    causes: list[str] = []
    for detail in described.get("Details", []):
        target = detail.get("Target", {})
        path = _path(target)
        cause = detail.get("CausingEntity") or ("stack tags" if target.get("Attribute") == "Tags" else "")
        if cause and cause not in causes:
            causes.append(cause)
        if path not in changed:
            changed[path] = PropertyChange(
                path,
                target.get("BeforeValue", ABSENT),
                target.get("AfterValue", ABSENT),
                target.get("RequiresRecreation", ""),
            )
    return Change(
        action=described.get("Action", ""),
        logical_id=described.get("LogicalResourceId", ""),
        type=described.get("ResourceType", ""),
        physical_id=described.get("PhysicalResourceId", ""),
        replacement=described.get("Replacement", ""),
        policy_action=described.get("PolicyAction", ""),
        properties=tuple(changed.values()),
        causes=tuple(causes),
        change_set_id=described.get("ChangeSetId", ""),
    )


def _path(target: Mapping[str, Any]) -> str:
    """Return the dotted path of a change's target, with list indexes, or the attribute's own name."""
    attribute = target.get("Attribute", "")
    steps = [step for step in str(target.get("Path", "")).split("/") if step]
    if attribute != "Properties":
        return attribute or ".".join(steps)
    if steps[:1] == ["Properties"]:
        steps = steps[1:]
    return ".".join(steps) or target.get("Name", "")


def execute(cfn: CloudFormationClient, plan: Plan, clock: Clock) -> None:
    """Execute the change set of a plan: afterwards either the execution has started, or the change set is deleted.

    Raises PlanOutdatedError if a concurrent operation started first, OperationInterruptedError if AWS may have started, and the errors of
    `translate_aws_errors`.
    """
    try:
        with translate_aws_errors():
            cfn.execute_change_set(ChangeSetName=plan.change_set_id, ClientRequestToken=uuid.uuid4().hex)
    except BaseException as error:
        if _may_have_started(cfn, plan):
            if error_code(error.__cause__ or error) == "InvalidChangeSetStatus":
                # The response to the first attempt was lost, the call was not.
                return
            continues = f"AWS continues with stack {plan.stack_name}; {watch_hint(plan.stack_name)}"
            if isinstance(error, SetupError):
                error.hint = f"{continues}\n{error.hint}".strip()
                raise
            raise OperationInterruptedError(
                "interrupted when AWS had just received the change", hint=continues, stack_name=plan.stack_name
            ) from None
        with delete_on_error(cfn, plan, clock):
            if _is_refusal(error):
                raise out_of_date(plan.stack_name) from error
            raise


def _is_refusal(error: BaseException) -> bool:
    """Return whether AWS rejected the execution because a concurrent operation started first."""
    cause = error.__cause__ or error
    code = error_code(cause)
    return code in {"InvalidChangeSetStatus", *_MISSING} or (
        code == "ValidationError" and "_IN_PROGRESS state" in str(cause)
    )


def _may_have_started(cfn: CloudFormationClient, plan: Plan) -> bool:
    try:
        return has_started(cfn, plan)
    except SetupError:
        # The status is unknown. To assume that it runs is safe, to delete what may be running is not.
        return True
