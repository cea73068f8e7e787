"""The settings of a stack that no change set contains: termination protection and stack policy."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import replace_aws_errors, translate_aws_errors
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.core.stacks import ABSENT, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.stacks import Plan, Stack
    from exasol_ci_setup.stacks.request import Request

PROTECTION: Final = "termination-protection"
POLICY: Final = "stack-policy"
# The longest policy that SetStackPolicy accepts as text: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SetStackPolicy.html
_LONGEST_POLICY: Final = 16_384


def policy_of(content: bytes, *, name: str) -> str:
    """Return a stack policy as normalized JSON. `name` is the name of its source, for the error.

    Raises InputError if `content` is not a JSON object with a statement, or too long.
    """
    try:
        parsed = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}", hint="a stack policy is a JSON document") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("Statement"), list):
        raise InputError(f"{name} is no stack policy: it has no list named Statement")
    body = json.dumps(parsed)
    if len(body) > _LONGEST_POLICY:
        raise InputError(f"{name} is too long: a stack policy has at most {_LONGEST_POLICY:,} characters")
    return body


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def policy_change(cfn: CloudFormationClient, request: Request, current: Stack | None) -> tuple[Setting, ...]:
    """Return the difference of the policy of the stack and the requested one, empty if none is requested. `current` is None for a new stack."""
    if request.stack_policy is None:
        return ()
    after = json.loads(request.stack_policy)
    before: Any = ABSENT
    if current is not None:
        with translate_aws_errors():
            body = cfn.get_stack_policy(StackName=current.id).get("StackPolicyBody")
        before = json.loads(body) if body else ABSENT
    return () if before == after else (Setting(POLICY, before, after),)


def is_own_call(setting: Setting) -> bool:
    """Return whether the setting is applied by its own call, outside of a change set."""
    return setting.name in {PROTECTION, POLICY}


def apply_policy_first(cfn: CloudFormationClient, plan: Plan) -> bool:
    """Set the policy of the plan for an existing stack, before its change set is executed; return whether the plan has one.

    A policy applies to later updates, so a more permissive policy must be set before the change that it permits.
    A change set cannot be executed with its own policy, as UpdateStack can with ``StackPolicyDuringUpdate``:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html.
    Raises InputError if AWS rejects the policy, and the errors of `translate_aws_errors`; the stack is then unchanged.
    """
    wanted = [setting for setting in plan.settings if setting.name == POLICY]
    with translate_aws_errors():
        for setting in wanted:
            _set_policy(cfn, plan.stack_id or plan.stack_name, json.dumps(setting.after))
    return bool(wanted)


@contextmanager
def note_applied_policy(is_set: bool) -> Iterator[None]:
    """Add to the hint of an error that the stack already has its new policy, if `is_set`."""
    try:
        yield
    except SetupError as error:
        if is_set:
            error.hint = f"{error.hint}\nthe stack has its new stack policy already".strip()
        raise


def apply(cfn: CloudFormationClient, plan: Plan) -> bool:
    """Apply the settings of the plan that no change set contains and that are not applied yet; return whether there were any.

    Raises InputError if AWS rejects the policy, and the errors of `translate_aws_errors`.
    """
    # The policy of an existing stack was set before its change set was executed.
    is_first = bool(plan.change_set_id) and plan.kind != "CREATE"
    own = [each for each in plan.settings if is_own_call(each) and not (is_first and each.name == POLICY)]
    stack = plan.stack_id or plan.stack_name
    try:
        with translate_aws_errors():
            for setting in own:
                if setting.name == PROTECTION:
                    cfn.update_termination_protection(StackName=stack, EnableTerminationProtection=bool(setting.after))
                else:
                    _set_policy(cfn, stack, json.dumps(setting.after))
    except SetupError as error:
        if plan.change_set_id:
            left = f"stack {plan.stack_name} itself is deployed; its protection or its policy is unchanged"
            error.hint = f"{left}\n{error.hint}".strip()
        raise
    return bool(own)


def _set_policy(cfn: CloudFormationClient, stack: str, body: str) -> None:
    with replace_aws_errors({"ValidationError"}, lambda reason: InputError(f"AWS rejected the stack policy: {reason}")):
        cfn.set_stack_policy(StackName=stack, StackPolicyBody=body)
