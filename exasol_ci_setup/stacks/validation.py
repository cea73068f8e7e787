"""Read the findings of CloudFormation's validation of a change set before its execution.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code
from exasol_ci_setup.core.errors import AccessDeniedError, AwsUnavailableError, SetupError
from exasol_ci_setup.stacks import hooks
from exasol_ci_setup.stacks.optional import NotAnsweredAgainError, optional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

_LOG = logging.getLogger(__name__)

# The reason of AWS for a change set that a hook stopped. It does not contain the finding of the hook.
_HOOKS_FAILED: Final = re.compile(r"hook\(s\) failed", re.IGNORECASE)


def remarks(cfn: CloudFormationClient, change_set_id: str, reason: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the findings of the validation of a change set: errors, for which AWS failed it, and warnings, one line each.

    If hooks failed according to the events or the `reason` of the change set, their findings are included. If the findings cannot be
    read, that is a warning, because the plan is valid without them. An endpoint without DescribeEvents has no findings.
    """
    errors: list[str] = []
    warnings: list[str] = []
    named_hooks: set[str] = set()
    try:
        with optional(cfn, "DescribeEvents") as client:
            for event in _events(client, change_set_id):
                if event.get("EventType") in {"VALIDATION_ERROR", "HOOK_INVOCATION_ERROR"}:
                    named_hooks |= {event["HookType"]} if event.get("HookType") else set()
                    failed = "FAIL" in {event.get("ValidationFailureMode"), event.get("HookFailureMode")}
                    (errors if failed else warnings).append(_line(event))
    except AccessDeniedError:
        warnings.append(
            "AWS validated the change, but its findings cannot be read: the permission cloudformation:DescribeEvents is missing"
        )
    except NotAnsweredAgainError:
        _LOG.info("the endpoint did not answer DescribeEvents before, so the findings of its validation are not shown")
    except AwsUnavailableError as error:
        if _is_unknown(error.__cause__):
            _LOG.info("this endpoint does not support DescribeEvents, so the findings of its validation are not shown")
        else:
            warnings.append(
                f"{cfn.meta.endpoint_url} does not answer DescribeEvents, so the findings of AWS's validation are not shown: {error}"
            )
    if named_hooks or _HOOKS_FAILED.search(reason):
        try:
            _add_hooks(cfn, change_set_id, named_hooks, errors, warnings)
        except SetupError as error:
            if _HOOKS_FAILED.search(reason):
                errors += [*([] if errors else [reason]), hooks.why_unknown(error)]
            else:
                warnings.append(hooks.why_unknown(error))
    return tuple(dict.fromkeys(errors)), tuple(dict.fromkeys(warnings))


def _add_hooks(
    cfn: CloudFormationClient, change_set_id: str, named_hooks: set[str], errors: list[str], warnings: list[str]
) -> None:
    """Add the findings of hooks, and the hooks themselves unless `named_hooks` has their names."""
    for hook in hooks.of_change_set(cfn, change_set_id):
        lines = warnings if hook.warns else errors
        lines += [*([] if hook.name in named_hooks else [hook.words]), *hooks.findings(cfn, hook)]


def _events(cfn: CloudFormationClient, change_set_id: str) -> Iterator[Mapping[str, Any]]:
    # The full ARN: with the name alone AWS also needs the stack.
    for page in cfn.get_paginator("describe_events").paginate(ChangeSetName=change_set_id):
        yield from page["OperationEvents"]


def _is_unknown(error: BaseException | None) -> bool:
    return isinstance(error, ClientError) and error_code(error) in {"InvalidAction", "UnknownOperationException"}


def _line(event: Mapping[str, Any]) -> str:
    what = event.get("LogicalResourceId", "")
    path = event.get("ValidationPath", "")
    reason = event.get("ValidationStatusReason") or event.get("HookStatusReason") or "no reason given"
    by = event.get("ValidationName") or event.get("HookType", "")
    place = f"{what} ({event['ResourceType']})" if what and event.get("ResourceType") else what or path
    return f"{place}: {reason}" + (f" [{by}]" if by else "")
