"""Why an operation failed: the first resource that did, and AWS's words for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import for_optional_calls, translate_aws_errors
from exasol_ci_setup.commands import DEPLOY_SOURCE_CREDENTIALS
from exasol_ci_setup.errors import SetupError
from exasol_ci_setup.errors.details import Diagnosis
from exasol_ci_setup.stacks import event_pages, hooks
from exasol_ci_setup.stacks.model import NESTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.stacks.model import Event, Hook, Stack

# What CloudFormation writes on resources that it stopped because another one had failed.
_CANCELLED: Final = re.compile(r"(resource )?(creation|update|deletion|operation|import)? ?cancell?ed", re.IGNORECASE)

# A reason that is known to have a way out. The first that matches is told.
_HINTS: Final = (
    (
        re.compile(r"not authorized to perform:? ?(?P<action>[\w-]+:\w+)|AccessDenied", re.IGNORECASE),
        "the credentials, or the role given by --role-arn, may not do this: add the permission to them",
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
        "something outside this stack has that name: take it over with --import-existing, choose another name, or delete what has it",
    ),
    (
        re.compile(r"limit ?exceeded|quota|maximum (number|limit)|too many", re.IGNORECASE),
        "a quota of the account is used up: remove what is not needed, or ask for more under Service Quotas",
    ),
    (
        re.compile(r"bucket you tried to delete is not empty|BucketNotEmpty", re.IGNORECASE),
        "the bucket still holds objects: run the delete again with --empty",
    ),
    (
        re.compile(r"secretsmanager|Secrets Manager|secret", re.IGNORECASE),
        "look whether the secret exists in this region and holds the key",
    ),
)


def root_cause(events: Sequence[Event]) -> Event | None:
    """Return the event of the first resource that failed of its own, or None if none did.

    `events` are those of one operation, the oldest first. Cancellations, the stack's own events and hooks do not count. Should
    all failures be cancellations, the first of them is returned.
    """
    failures = [
        event for event in events if event.status.endswith("_FAILED") and not event.is_stack and event.hook is None
    ]
    own = [event for event in failures if not _CANCELLED.match(event.reason.strip())]
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

    `nested` returns the events of the operation on a nested stack, given its ARN; the search goes down as long as the
    first failure is a stack. Without any failed resource the stack's own `reason` is the explanation. If hooks stopped what failed, each is
    told with what `findings` returns for it, a line each.
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
        told = reason or next(
            (event.reason for event in events if event.is_stack and event.status.endswith("_FAILED")), ""
        )
        hints = () if stopped_by else _hints(told)
        return Diagnosis(stack_name=stack_name, status=status, reason=told, hints=hints, details=details)
    return Diagnosis(
        stack_name=cause.stack_name,
        status=status,
        logical_id=cause.logical_id,
        physical_id=cause.physical_id,
        type=cause.type,
        resource_status=cause.status,
        reason=cause.reason,
        # What a hook found is nothing that the words of AWS's services tell a way out of.
        hints=() if stopped_by else _hints(cause.reason),
        details=details,
    )


def of_stack(cfn: CloudFormationClient, stack: Stack, events: Sequence[Event]) -> Diagnosis:
    """Explain how the operation with these `events`, the oldest first, came to leave `stack` as it is, down to nested stacks and hooks."""

    def nested(stack_id: str) -> Sequence[Event]:
        try:
            with translate_aws_errors():
                # Not only its last operation: after a creation that failed, that is its deletion.
                return event_pages.since(for_optional_calls(cfn), stack_id, events[0].at)
        except SetupError:
            # An explanation that is less deep is better than another failure on top of the first.
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
