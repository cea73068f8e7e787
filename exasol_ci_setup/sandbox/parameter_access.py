"""Check values of parameters with types of AWS with the permissions of the caller, as CloudFormation does."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.parameter_actions import ACTIONS
from exasol_ci_setup.sandbox.private import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.sandbox.private import Reply

CALLER: Final[ContextVar[str]] = ContextVar("caller", default="")
"""The access key of the current request to CloudFormation."""


def set_caller(headers: Mapping[str, str], query: Mapping[str, Any]) -> None:
    """Store the access key of a request to CloudFormation."""
    from ministack.core.router import extract_access_key_id

    CALLER.set(str(extract_access_key_id(headers, query) or ""))


def denial(template: Mapping[str, Any]) -> Reply | None:
    """Return the refusal if the caller may not read the values of a parameter's type, None if access control is off or allows it."""
    import ministack.app as ministack
    from ministack.core.iam_evaluator import enforce
    from ministack.core.responses import get_region

    if not ministack.AUTH:
        return None
    for action in sorted(set(_actions(template))):
        if found := enforce(CALLER.get(), action, action.partition(":")[0], get_region()):
            caller = getattr(found, "principal_arn", "") or CALLER.get()
            return refusal("AccessDenied", f"User: {caller} is not authorized to perform: {action}")
    return None


def _actions(template: Mapping[str, Any]) -> Iterator[str]:
    for declared in (template.get("Parameters") or {}).values():
        kind = (
            str(declared.get("Type", "")).removeprefix("AWS::SSM::Parameter::Value<").removeprefix("List<").strip(">")
        )
        if kind in ACTIONS:
            yield ACTIONS[kind]
