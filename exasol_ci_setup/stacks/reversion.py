"""Detect all drift of a stack, and revert it with the deployed template."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import StackError
from exasol_ci_setup.core.stacks import Options, Outcome
from exasol_ci_setup.stacks import drift, plan, recreation, state
from exasol_ci_setup.stacks.deploy import deploy
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.deployed import read
from exasol_ci_setup.template.render import Template, written

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Drift, Stack


def detect_drift(context: Context, stack: Stack) -> Drift:
    """Return the drift of `stack`, with the resources that AWS did not compare, or that were deleted.

    Raises StackError if it was never deployed.
    """
    if state.is_absent(stack):
        raise StackError(f"stack {stack.name} was never deployed", stack_name=stack.name)
    detected = drift.detect(context, stack)
    gone = recreation.lost(context.account, stack, context.note)
    unchecked = (
        replace(each, status="DELETED") if each.logical_id in gone else each
        for each in drift.unchecked(context.cfn, stack, detected)
    )
    return replace(detected, resources=(*detected.resources, *unchecked))


def revert_drift(context: Context, stack: Stack, detected: Drift) -> None:
    """Deploy the stack again with its deployed template. Raises StackError if drift remains, and the errors of `deploy`."""
    cfn = context.cfn
    if not state.is_own(stack):
        raise StackError(
            f"stack {stack.name} cannot be reverted: it was not created by this tool",
            hint="revert it with the tool that created it",
            stack_name=stack.name,
        )
    request = Request(
        stack.name,
        _readable(Template(stack.name, plan.deployed_body(cfn, stack.name))),
        tags=stack.user_tags,
        kept_parameters=tuple(stack.parameters),
    )
    result = deploy(context, request, Options(drift=detected))
    remaining = detected
    if result.outcome is Outcome.DEPLOYED and result.stack is not None:
        # By the new ID, since the stack may have been created again.
        remaining = drift.detect(context, state.get(cfn, result.stack.id))
    if remaining:
        raise StackError(
            f"drift remains in stack {stack.name}: {', '.join(each.logical_id for each in remaining.drifted)}",
            hint=f"set the expected values that `exasol-ci-setup drift {stack.name}` shows, or change the template",
            stack_name=stack.name,
        )


def _readable(deployed: Template) -> Template:
    """Return a deployed template, written again if its text contains what this tool rejects."""
    found = read(deployed.body)
    return replace(deployed, body=written(found.template)) if found.notes else deployed
