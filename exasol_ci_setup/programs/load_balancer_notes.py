"""Notes about services that a load balancer has no place for: their stacks would be rolled back after minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.constructs.service import Cluster
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.stacks import resources, state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct

_MOST: Final = 100
"""The default quotas of target groups, which AWS does not increase, and of rules, without default rules:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html."""


def notes(account: Account, construct: Construct, parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Return notes about each load balancer that would have more than 100 target groups or rules; empty if AWS denies the check.

    `parameters` are those of the construct's stack, which contain the listeners.
    """
    if not isinstance(construct, Cluster) or not construct.listener_rules:
        return ()
    try:
        existing = _deployed(account, construct.stack_name)
        found: list[str] = []
        for listener in dict.fromkeys(parameters[rule.listener] for rule in construct.listener_rules):
            if any(placeholders_in(listener)):
                continue
            added = sum(
                parameters[rule.listener] == listener and rule.logical_id not in existing
                for rule in construct.listener_rules
            )
            found += _notes(account, listener, added)
    except SetupError:
        return ()
    return tuple(found)


def _notes(account: Account, listener: str, added: int) -> list[str]:
    if not added:
        return []
    usage = _usage(account, listener)
    found = []
    if usage.target_groups + added > _MOST:
        found.append(
            f"{added} new target groups: load balancer {usage.name} has {usage.target_groups} of {_MOST}, the limit of AWS: use another load "
            "balancer"
        )
    if usage.rules + added > _MOST:
        found.append(
            f"{added} new rules: load balancer {usage.name} has {usage.rules} of {_MOST}: if AWS rejects more, request a higher quota in "
            "Service Quotas"
        )
    return found


@dataclass(frozen=True)
class _Usage:
    name: str
    target_groups: int
    rules: int


def _usage(account: Account, listener: str) -> _Usage:
    elb = account.client("elbv2")
    balancer = listener.replace(":listener/", ":loadbalancer/").rpartition("/")[0]
    with translate_aws_errors():
        groups = elb.get_paginator("describe_target_groups").paginate(LoadBalancerArn=balancer)
        target_groups = sum(len(page["TargetGroups"]) for page in groups)
        rules = 0
        for page in elb.get_paginator("describe_listeners").paginate(LoadBalancerArn=balancer):
            for each in page["Listeners"]:
                pages = elb.get_paginator("describe_rules").paginate(ListenerArn=each["ListenerArn"])
                rules += sum(not rule["IsDefault"] for found in pages for rule in found["Rules"])
    return _Usage(balancer.split("/")[-2], target_groups, rules)


def _deployed(account: Account, stack_name: str) -> set[str]:
    """Return the logical IDs of the resources of the stack; empty if it does not exist."""
    cfn = account.client("cloudformation")
    stack = state.find(cfn, stack_name)
    if stack is None or state.is_absent(stack):
        return set()
    return {each.logical_id for each in resources.of_id(cfn, stack.id)}
