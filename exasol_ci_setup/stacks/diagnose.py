"""Explain why an operation failed: the first failed resource, and the reason of AWS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import console
from exasol_ci_setup.aws.session import for_optional_calls, translate_aws_errors
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.errors.details import Diagnosis
from exasol_ci_setup.core.stacks import NESTED
from exasol_ci_setup.stacks import event_pages, failure_details, failure_hints, hooks, name_owners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Event, Stack

# What CloudFormation reports for resources that it stopped because another one failed.
_CANCELED: Final = re.compile(r"(resource )?(creation|update|deletion|operation|import)? ?cancell?ed", re.IGNORECASE)


def root_cause(events: Sequence[Event]) -> Event | None:
    """Return the event of the first resource that failed by itself, or None if none failed.

    `events` are those of one operation, the oldest first. Cancellations, events of the stack itself and hooks do not count. If
    all failures are cancellations, the first of them is returned.
    """
    failures = [
        event for event in events if event.status.endswith("_FAILED") and not event.is_stack and event.hook is None
    ]
    own = [event for event in failures if not _CANCELED.match(event.reason.strip())]
    return next(iter(own or failures), None)


def of_stack(account: Account, stack: Stack, events: Sequence[Event]) -> Diagnosis:
    """Explain the failed operation with these `events`, the oldest first, including nested stacks and hooks.

    The search descends as long as the first failure is a nested stack. Without a failed resource, the reason of the stack is the explanation. If
    hooks stopped the failed resource, the details list each hook with its findings, one line each. Failed look-ups add a line, and raise nothing.
    """
    cfn = account.client("cloudformation")
    cause = root_cause(events)
    stopped_by = hooks.stopping(events, cause)
    while cause is not None and cause.type == NESTED and cause.physical_id:
        inner = _nested_events(cfn, cause.physical_id, events)
        deeper = root_cause(inner)
        stopped_by = hooks.stopping(inner, deeper) or stopped_by
        if deeper is None:
            break
        cause = deeper
    details = [line for hook in stopped_by for line in (hook.words, *hooks.findings(cfn, hook))]
    if cause is None:
        reason = stack.reason or next(
            (event.reason for event in events if event.is_stack and event.status.endswith("_FAILED")), ""
        )
        found = None if stopped_by else failure_hints.find(NESTED, stack.status, reason)
        return Diagnosis(
            stack_name=stack.name,
            status=stack.status,
            reason=reason,
            hints=(found[1],) if found else (),
            details=tuple(details),
            console_url=console.of_stack(cfn, stack.id),
        )
    # The hints are for reasons of AWS services, not for what a hook found.
    hint, unknown = ("", "") if stopped_by else _hint(cfn, cause)
    if unknown:
        details.append(unknown)
    if not stopped_by:
        details += failure_details.find(account, cause)
    return Diagnosis(
        stack_name=cause.stack_name,
        status=stack.status,
        logical_id=cause.logical_id,
        physical_id=cause.physical_id,
        type=cause.type,
        resource_status=cause.status,
        reason=cause.reason,
        hints=(hint,) if hint else (),
        details=tuple(details),
        console_url=console.of_stack(cfn, stack.id),
    )


def _nested_events(cfn: CloudFormationClient, stack_id: str, events: Sequence[Event]) -> Sequence[Event]:
    try:
        with translate_aws_errors():
            # All events and not only the last operation: after a failed creation, that is its deletion.
            return event_pages.since(for_optional_calls(cfn), stack_id, events[0].at)
    except SetupError:
        # A less precise explanation is better than a second failure.
        return ()


def _hint(cfn: CloudFormationClient, cause: Event) -> tuple[str, str]:
    """Return the next step for a failed resource, and a line on what could not be looked up; both may be empty."""
    found = failure_hints.find(cause.type, cause.status, cause.reason)
    if found is None:
        return "", ""
    entry, hint = found
    return name_owners.hint(cfn, cause, hint) if entry.is_taken else (hint, "")
