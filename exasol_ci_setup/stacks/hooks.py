"""The findings of an account's hooks: checks that CloudFormation runs before an operation.

https://docs.aws.amazon.com/cloudformation-cli/latest/hooks-userguide/what-is-cloudformation-hooks.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exasol_ci_setup.aws.session import ClientError, error_code
from exasol_ci_setup.core.errors import AwsUnavailableError, SetupError
from exasol_ci_setup.core.stacks import Hook
from exasol_ci_setup.stacks.optional import optional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import HookResultSummaryTypeDef

    from exasol_ci_setup.core.stacks import Event


def stopping(events: Sequence[Event], cause: Event | None) -> list[Hook]:
    """Return the hooks that stopped the resource of `cause`, or the stack itself if `cause` is None.

    `events` are those of one operation on one stack, the oldest first, and `cause` is one of them.
    """
    before = events if cause is None else events[: events.index(cause) + 1]
    about = (event for event in before if (event.is_stack if cause is None else event.logical_id == cause.logical_id))
    return [event.hook for event in about if event.hook is not None and event.hook.stops]


def findings(cfn: CloudFormationClient, hook: Hook) -> tuple[str, ...]:
    """Return the findings of an invocation of a hook, one line each: the broken rules, and their remedies.

    The ID in the events of a stack and in the results of a change set is the one of GetHookResult:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetHookResult.html. If that call fails, the result is a line
    with the reason; nothing is raised.
    """
    if not hook.id:
        return ()
    try:
        result: Mapping[str, Any] = _ask(cfn, "get_hook_result", HookResultId=hook.id)
    except SetupError as error:
        return (f"the findings of hook {hook.name} are not available: {_why(error)}",)
    lines: list[str] = []
    reason = _one_line(result.get("HookStatusReason", ""))
    if reason and reason != _one_line(hook.reason):
        # The reason in an event is shorter.
        lines.append(f"hook {hook.name}: {reason}")
    for annotation in result.get("Annotations", []):
        if annotation.get("Status") == "FAILED":
            lines += _annotation(annotation)
    return tuple(lines)


def of_change_set(cfn: CloudFormationClient, change_set_id: str) -> list[Hook]:
    """Return the hooks that failed when AWS created the change set, given its ARN.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListHookResults.html. Raises the errors of
    `translate_aws_errors`.
    """
    return [hook for hook in map(_hook, _results(cfn, change_set_id)) if hook.has_failed]


def why_unknown(error: SetupError) -> str:
    """Return the line that says why the hook results of a change set could not be listed."""
    return f"the findings of the account's hooks are not available: {_why(error)}"


def _results(cfn: CloudFormationClient, change_set_id: str) -> Iterator[HookResultSummaryTypeDef]:
    token: dict[str, str] = {}
    while True:
        page = _ask(cfn, "list_hook_results", TargetType="CHANGE_SET", TargetId=change_set_id, **token)
        yield from page.get("HookResults", [])
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _hook(result: HookResultSummaryTypeDef) -> Hook:
    return Hook(
        name=result.get("TypeName", ""),
        status=result.get("Status", ""),
        reason=result.get("HookStatusReason", ""),
        point=result.get("InvocationPoint", ""),
        failure_mode=result.get("FailureMode", ""),
        id=result.get("HookResultId", ""),
    )


def _ask(cfn: CloudFormationClient, operation: str, **arguments: str) -> Any:
    # botocore has these operations since 2025, and earlier versions of it are allowed.
    if not hasattr(cfn, operation):
        raise AwsUnavailableError("the installed version of boto3 is too old")
    with optional(cfn, cfn.meta.method_to_api_mapping[operation]) as client:
        return getattr(client, operation)(**arguments)


def is_unsupported(error: SetupError) -> bool:
    """Return whether the endpoint does not have the operation that failed."""
    return error_code(error.__cause__ or error) in {"InvalidAction", "UnknownOperationException"}


def _why(error: SetupError) -> str:
    if is_unsupported(error) and isinstance(error.__cause__, ClientError):
        return f"this endpoint does not support {error.__cause__.operation_name}"
    return error.message


def _annotation(annotation: Mapping[str, Any]) -> Iterator[str]:
    name = annotation.get("AnnotationName", "")
    severity = annotation.get("SeverityLevel", "")
    message = _one_line(annotation.get("StatusMessage", "")) or "no reason given"
    yield f"rule {name} is broken{f' ({severity})' if severity else ''}: {message}"
    remedy = _one_line(annotation.get("RemediationMessage", ""))
    link = annotation.get("RemediationLink", "")
    if remedy or link:
        yield f"remedy for {name}: {' '.join(part for part in (remedy, f'({link})' if remedy and link else link) if part)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
