"""Explain why an operation failed: the first failed resource, and the reason of AWS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import for_optional_calls, translate_aws_errors
from exasol_ci_setup.core.commands import DEPLOY_SOURCE_CREDENTIALS
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.errors.details import Diagnosis
from exasol_ci_setup.core.stacks import NESTED
from exasol_ci_setup.stacks import event_pages, hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.stacks import Event, Hook, Stack

# What CloudFormation reports for resources that it stopped because another one failed.
_CANCELED: Final = re.compile(r"(resource )?(creation|update|deletion|operation|import)? ?cancell?ed", re.IGNORECASE)

# Reasons with a known remedy. Only the first match is shown.
_HINTS: Final = (
    (
        re.compile(r"not authorized to perform:? ?(?P<action>[\w-]+:\w+)|AccessDenied", re.IGNORECASE),
        "the credentials, or the role given by --role-arn, lack this permission: add it",
    ),
    (
        re.compile(r"Could not find access token for server type", re.IGNORECASE),
        f"CodeBuild has no access to GitHub in this account and region: run `{DEPLOY_SOURCE_CREDENTIALS}`",
    ),
    (
        re.compile(r"access token with server type .*already exists", re.IGNORECASE),
        (
            "CodeBuild holds one credential for each kind of server, and all projects use the existing one: builds need no other. "
            f"If another stack created it, adopt that stack with `{DEPLOY_SOURCE_CREDENTIALS} --stack-name STACK --adopt`"
        ),
    ),
    (
        re.compile(r"already exists|BucketAlreadyOwnedByYou|BucketAlreadyExists|AlreadyExistsException", re.IGNORECASE),
        "the name is in use: choose another, or import or delete that resource",
    ),
    (
        re.compile(r"limit ?exceeded|quota|maximum (number|limit)|too many", re.IGNORECASE),
        "a quota of the account is used up: delete unused resources, or request an increase in Service Quotas",
    ),
    (
        re.compile(r"bucket you tried to delete is not empty|BucketNotEmpty", re.IGNORECASE),
        "the bucket still holds objects: run the delete command again with --empty",
    ),
    (
        re.compile(r"secretsmanager|Secrets Manager|secret", re.IGNORECASE),
        "check that the secret exists in this region and has the key",
    ),
)


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


def diagnose(
    events: Sequence[Event],
    *,
    stack_name: str,
    status: str,
    reason: str = "",
    nested: Callable[[str], Sequence[Event]] = lambda _stack_id: (),
    findings: Callable[[Hook], Sequence[str]] = lambda _hook: (),
) -> Diagnosis:
    """Explain an operation that ended in `status` by its events, the oldest first.

    `nested` returns the events of the operation on a nested stack, given its ARN. The search descends as long as the
    first failure is a stack. Without a failed resource the `reason` of the stack is the explanation. If hooks stopped the failed resource,
    the details list each hook with what `findings` returns for it, one line each.
    """
    cause = root_cause(events)
    stopped_by = hooks.stopping(events, cause)
    while cause is not None and cause.type == NESTED and cause.physical_id:
        inner = nested(cause.physical_id)
        deeper = root_cause(inner)
        stopped_by = hooks.stopping(inner, deeper) or stopped_by
        if deeper is None:
            break
        cause = deeper
    details = tuple(line for hook in stopped_by for line in (hook.words, *findings(hook)))
    if cause is None:
        shown_reason = reason or next(
            (event.reason for event in events if event.is_stack and event.status.endswith("_FAILED")), ""
        )
        hints = () if stopped_by else _hints(shown_reason)
        return Diagnosis(stack_name=stack_name, status=status, reason=shown_reason, hints=hints, details=details)
    return Diagnosis(
        stack_name=cause.stack_name,
        status=status,
        logical_id=cause.logical_id,
        physical_id=cause.physical_id,
        type=cause.type,
        resource_status=cause.status,
        reason=cause.reason,
        # The hints are for reasons of AWS services, not for what a hook found.
        hints=() if stopped_by else _hints(cause.reason),
        details=details,
    )


def of_stack(cfn: CloudFormationClient, stack: Stack, events: Sequence[Event]) -> Diagnosis:
    """Explain the failed operation with these `events`, the oldest first, including nested stacks and hooks."""

    def nested(stack_id: str) -> Sequence[Event]:
        try:
            with translate_aws_errors():
                # All events and not only the last operation: after a failed creation, that is its deletion.
                return event_pages.since(for_optional_calls(cfn), stack_id, events[0].at)
        except SetupError:
            # A less precise explanation is better than a second failure.
            return ()

    return diagnose(
        events,
        stack_name=stack.name,
        status=stack.status,
        reason=stack.reason,
        nested=nested,
        findings=lambda hook: hooks.findings(cfn, hook),
    )


def _hints(reason: str) -> tuple[str, ...]:
    for pattern, hint in _HINTS:
        found = pattern.search(reason)
        if found:
            action = found.groupdict().get("action")
            return (f"{action} was denied: {hint}" if action else hint,)
    return ()
