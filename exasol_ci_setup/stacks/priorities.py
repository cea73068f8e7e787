"""Choose the priorities of rules in listeners: free, in the order of how specific the rules are, and stable between deployments."""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.core.errors import StackError
from exasol_ci_setup.stacks import resources, state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.load_balancer import ListenerRule

# Of the priorities 1 to 50,000, rules for any host come after those for one host, and short paths after long ones:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html. The platform uses those below for its spaces.
_WITH_HOST: Final = 30_000
_WITHOUT_HOST: Final = 40_000
_BAND: Final = 1_000
_DEEPEST: Final = 9

# Concurrent deployments of one program see the same rules on AWS, so each choice is recorded: stack and rule by listener and priority.
_CHOSEN: Final[dict[tuple[str, int], tuple[str, str]]] = {}
_LOCK: Final = Lock()


def choose(
    account: Account, stack_name: str, rules: tuple[ListenerRule, ...], parameters: Mapping[str, str]
) -> dict[str, str]:
    """Return the priority of each rule by its parameter, if it has one: that of the deployed rule, or a free one.

    Before the listener exists, it is the probable priority. Raises StackError if a listener has no free priority, and the errors of
    `translate_aws_errors`.
    """
    found: dict[str, str] = {}
    for rule in rules:
        if rule.parameter is None:
            continue
        listener = parameters[rule.listener]
        if any(placeholders_in(listener)):
            found[rule.parameter] = str(_candidates(rule, stack_name)[0])
        else:
            found[rule.parameter] = str(_choose(account, stack_name, rule, listener))
    return found


def _choose(account: Account, stack_name: str, rule: ListenerRule, listener: str) -> int:
    taken = _priorities(account, listener)
    own = _own_rules(account, stack_name) if taken else {}
    candidates = _candidates(rule, stack_name)
    current = taken.get(own.get(rule.logical_id, ""))
    if current in candidates or (current is not None and rule.keeps_any):
        return current
    others = {priority for arn, priority in taken.items() if arn != own.get(rule.logical_id)}
    key = (stack_name, rule.logical_id)
    with _LOCK:
        free = (each for each in candidates if each not in others and _CHOSEN.get((listener, each), key) == key)
        chosen = next(free, None)
        if chosen is None:
            raise StackError(
                f"listener {listener} has no free priority for {rule.logical_id}",
                hint="use another load balancer",
                stack_name=stack_name,
            )
        _CHOSEN[listener, chosen] = key
    return chosen


def _candidates(rule: ListenerRule, stack_name: str) -> list[int]:
    """Return the priorities that the rule may have, the preferred one first: it depends on the name, so that two rarely collide."""
    first = (_WITH_HOST if rule.hosts else _WITHOUT_HOST) + _BAND * (_DEEPEST - min(rule.depth, _DEEPEST)) + 1
    start = int(sha256(f"{stack_name}/{rule.logical_id}".encode()).hexdigest(), base=16) % _BAND
    return [*range(first + start, first + _BAND), *range(first, first + start)]


def _priorities(account: Account, listener: str) -> dict[str, int]:
    """Return the priorities of the rules of a listener by their ARNs, without its default rule."""
    with translate_aws_errors():
        pages = account.client("elbv2").get_paginator("describe_rules").paginate(ListenerArn=listener)
        return {
            each["RuleArn"]: int(each["Priority"]) for page in pages for each in page["Rules"] if not each["IsDefault"]
        }


def _own_rules(account: Account, stack_name: str) -> dict[str, str]:
    """Return the ARNs of the stack's resources by their logical IDs; empty if the stack does not exist."""
    cfn = account.client("cloudformation")
    stack = state.find(cfn, stack_name)
    if stack is None or state.is_absent(stack):
        return {}
    return {each.logical_id: each.physical_id for each in resources.of_id(cfn, stack.id)}
