"""Read the findings of CloudFormation's validation of a change set before its execution.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import AccessDeniedError, AwsUnavailableError, SetupError
from exasol_ci_setup.stacks import hooks
from exasol_ci_setup.stacks.optional import NotAnsweredAgainError, optional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

_LOG = logging.getLogger(__name__)

# The reason of AWS for a change set that a hook stopped. It does not contain the finding of the hook.
_HOOKS_FAILED: Final = re.compile(r"hook\(s\) failed", re.IGNORECASE)
_FINDINGS: Final = frozenset({"VALIDATION_ERROR", "HOOK_INVOCATION_ERROR"})
"""The types of events with findings."""


def remarks(cfn: CloudFormationClient, change_set_id: str, reason: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the findings of the validation of a change set: errors, for which AWS failed it, and warnings, one line each.

    If hooks failed according to the events or the `reason` of the change set, their findings are included. If the findings cannot be
    read, that is a warning, because the plan is valid without them. An endpoint without DescribeEvents has no findings.
    """
    found = _Findings()
    _read_events(cfn, change_set_id, found)
    has_failed = bool(_HOOKS_FAILED.search(reason))
    if found.hooks or has_failed:
        try:
            _add_hooks(cfn, change_set_id, found)
        except SetupError as error:
            if has_failed and not found.errors:
                found.errors.append(reason)
            found.of(is_error=has_failed).append(hooks.why_unknown(error))
    return tuple(dict.fromkeys(found.errors)), tuple(dict.fromkeys(found.warnings))


@dataclass
class _Findings:
    """The errors and warnings so far, and the names of the hooks that they have."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    hooks: set[str] = field(default_factory=set)

    def of(self, *, is_error: bool) -> list[str]:
        return self.errors if is_error else self.warnings


def _read_events(cfn: CloudFormationClient, change_set_id: str, found: _Findings) -> None:
    """Add the findings of the events to `found`, or a warning if they cannot be read."""
    try:
        with optional(cfn, "DescribeEvents") as client:
            for event in _events(client, change_set_id):
                if event.get("HookType"):
                    found.hooks.add(event["HookType"])
                has_failed = "FAIL" in {event.get("ValidationFailureMode"), event.get("HookFailureMode")}
                found.of(is_error=has_failed).append(_line(event))
    except AccessDeniedError:
        found.warnings.append(
            "AWS validated the change, but its findings cannot be read: the permission cloudformation:DescribeEvents is missing"
        )
    except NotAnsweredAgainError:
        _LOG.info("the endpoint did not answer DescribeEvents before, so the findings of its validation are not shown")
    except AwsUnavailableError as error:
        if hooks.is_unsupported(error):
            _LOG.info("this endpoint does not support DescribeEvents, so the findings of its validation are not shown")
        else:
            found.warnings.append(
                f"{cfn.meta.endpoint_url} does not answer DescribeEvents, so the findings of AWS's validation are not shown: {error}"
            )


def _add_hooks(cfn: CloudFormationClient, change_set_id: str, found: _Findings) -> None:
    """Add the findings of hooks, and the hooks themselves unless their events named them."""
    for hook in hooks.of_change_set(cfn, change_set_id):
        lines = found.of(is_error=not hook.warns)
        lines += [*([] if hook.name in found.hooks else [hook.words]), *hooks.findings(cfn, hook)]


def _events(cfn: CloudFormationClient, change_set_id: str) -> Iterator[Mapping[str, Any]]:
    """Yield the events with findings."""
    # The full ARN: with the name alone AWS also needs the stack.
    for page in cfn.get_paginator("describe_events").paginate(ChangeSetName=change_set_id):
        for event in page["OperationEvents"]:
            if event.get("EventType") in _FINDINGS:
                yield event


def _line(event: Mapping[str, Any]) -> str:
    what = event.get("LogicalResourceId", "")
    path = event.get("ValidationPath", "")
    reason = event.get("ValidationStatusReason") or event.get("HookStatusReason") or "no reason given"
    by = event.get("ValidationName") or event.get("HookType", "")
    place = f"{what} ({event['ResourceType']})" if what and event.get("ResourceType") else what or path
    return f"{place}: {reason}" + (f" [{by}]" if by else "")
