"""What CloudFormation found when it validated a change set before anything was deployed.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import ClientError, error_code
from exasol_ci_setup.errors import AccessDenied, AwsUnavailable, SetupError
from exasol_ci_setup.stacks import hooks
from exasol_ci_setup.stacks.optional import NotAnsweredAgain, optional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

_LOG = logging.getLogger(__name__)

# AWS's words on a change set that a hook stopped; what the hook found is not among them.
_HOOKS_FAILED: Final = re.compile(r"hook\(s\) failed", re.IGNORECASE)


def remarks(cfn: CloudFormationClient, change_set_id: str, reason: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the validation of a change set found: errors, for which AWS failed it, and warnings, each one line.

    Where hooks did not pass, as the events or the `reason` of the change set say, what they found is told too. That the findings may not be
    read, or cannot be, is a warning: the plan is good without them. An endpoint that does not know DescribeEvents has found nothing.
    """
    errors: list[str] = []
    warnings: list[str] = []
    told: set[str] = set()
    try:
        with optional(cfn, "DescribeEvents") as client:
            for event in _events(client, change_set_id):
                if event.get("EventType") in {"VALIDATION_ERROR", "HOOK_INVOCATION_ERROR"}:
                    told |= {event["HookType"]} if event.get("HookType") else set()
                    failed = "FAIL" in {event.get("ValidationFailureMode"), event.get("HookFailureMode")}
                    (errors if failed else warnings).append(_line(event))
    except AccessDenied:
        warnings.append(
            "AWS validated the change, but its findings may not be read: the permission cloudformation:DescribeEvents is missing"
        )
    except NotAnsweredAgain:
        _LOG.info("the endpoint did not answer DescribeEvents before, so findings of its validation are not shown")
    except AwsUnavailable as error:
        if _is_unknown(error.__cause__):
            _LOG.info("this endpoint has no DescribeEvents, so findings of its validation are not shown")
        else:
            warnings.append(
                f"{cfn.meta.endpoint_url} does not answer DescribeEvents, so findings of AWS's validation are not shown: {error}"
            )
    if told or _HOOKS_FAILED.search(reason):
        try:
            _add_hooks(cfn, change_set_id, told, errors, warnings)
        except SetupError as error:
            if _HOOKS_FAILED.search(reason):
                errors += [*([] if errors else [reason]), hooks.why_unknown(error)]
            else:
                warnings.append(hooks.why_unknown(error))
    return tuple(dict.fromkeys(errors)), tuple(dict.fromkeys(warnings))


def _add_hooks(
    cfn: CloudFormationClient, change_set_id: str, told: set[str], errors: list[str], warnings: list[str]
) -> None:
    """Add what hooks found, and themselves unless they were `told` of by their names."""
    for hook in hooks.of_change_set(cfn, change_set_id):
        lines = warnings if hook.warns else errors
        lines += [*([] if hook.name in told else [hook.words]), *hooks.findings(cfn, hook)]


def _events(cfn: CloudFormationClient, change_set_id: str) -> Iterator[Mapping[str, Any]]:
    # The full ARN: by its name alone AWS finds a change set only together with its stack.
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
